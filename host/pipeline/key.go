package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// layout is the version of what this package writes into a stage's folder and of how it calls components. It is part of every key and
// grows when either changes.
const layout = 2

// KeyParts is everything that the bytes of a stage depend on.
type KeyParts struct {
	Layout int    `json:"layout"`
	Stage  string `json:"stage"`
	// Components by their role in the stage, e.g. "task", "model".
	Components map[string]KeyComponent `json:"components"`
	// Inputs are the SHA-256 of the files that the stage reads, by what they are, e.g. "dataset".
	Inputs map[string]string `json:"inputs"`
	// Settings are further choices of the experiment, e.g. which subjects are compared.
	Settings map[string]any `json:"settings,omitempty"`
}

// KeyComponent is one component's part of a key.
type KeyComponent struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	// Plugin and its version, and the SHA-256 of its executable or, of a package of several files, of them all.
	Plugin        string `json:"plugin"`
	PluginVersion string `json:"plugin_version"`
	Executable    string `json:"executable_sha256"`
	// Numerics is what may change the last bits: kernel variant, BLAS and the settings of its environment.
	Numerics map[string]string `json:"numerics,omitempty"`
	Params   param.Values      `json:"params"`
	Seed     uint64            `json:"seed"`
}

// Key returns the name of the stage's entry: the SHA-256, in hexadecimal, of the parts as JSON with sorted keys.
func (k KeyParts) Key() (string, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("pipeline: key of %s: %w", k.Stage, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Flat maps the path of every part, e.g. "components.model.params.hidden", to its value as JSON.
func (k KeyParts) Flat() (map[string]string, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("pipeline: key of %s: %w", k.Stage, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a seed has more digits than a float64
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("pipeline: key of %s: %w", k.Stage, err)
	}
	out := map[string]string{}
	return out, flatten(out, "", tree)
}

func flatten(into map[string]string, path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		leaf, err := json.Marshal(v)
		into[path] = string(leaf)
		return err
	}
	for name, inner := range m {
		p := name
		if path != "" {
			p = path + "." + name
		}
		if err := flatten(into, p, inner); err != nil {
			return err
		}
	}
	return nil
}

// changed lists the parts in which two keys, as from Flat, differ: paths with both values, e.g. "components.model.params.hidden: 64, was 32".
func changed(now, was map[string]string) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(now)) {
		switch before, ok := was[path]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s: %s, was not there", path, short(now[path])))
		case before != now[path]:
			out = append(out, fmt.Sprintf("%s: %s, was %s", path, short(now[path]), short(before)))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		if _, ok := now[path]; !ok {
			out = append(out, fmt.Sprintf("%s: gone, was %s", path, short(was[path])))
		}
	}
	return out
}

// short cuts a quoted checksum to what a person compares.
func short(leaf string) string {
	if len(leaf) == 2+2*sha256.Size && leaf[0] == '"' {
		return leaf[1:13]
	}
	return leaf
}
