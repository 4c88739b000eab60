package artifact

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Keyed is a component on which the bytes of a stage depend, as the stage's key has it.
type Keyed struct {
	// Component is kind/name, Plugin that which it is of.
	Component, Plugin string
	Seed              uint64
	// Params are the resolved parameters as JSON, which DecodeValue reads.
	Params map[string]string
}

// Keyed is the component of a role in the stage, e.g. "task", "model", "subject/NAME"; ok is false where the key has none, or none that can be read.
func (r Record) Keyed(role string) (k Keyed, ok bool) {
	prefix := "components." + role + "."
	if json.Unmarshal([]byte(r.KeyParts[prefix+"component"]), &k.Component) != nil {
		return Keyed{}, false
	}
	if text, given := r.KeyParts[prefix+"plugin"]; given && json.Unmarshal([]byte(text), &k.Plugin) != nil {
		return Keyed{}, false
	}
	var err error
	if k.Seed, err = strconv.ParseUint(r.KeyParts[prefix+"seed"], 10, 64); err != nil {
		return Keyed{}, false
	}
	k.Params = map[string]string{}
	for path, text := range r.KeyParts {
		if name, found := strings.CutPrefix(path, prefix+"params."); found {
			k.Params[name] = text
		}
	}
	return k, true
}

// Difference is a parameter that two components have different values of, as JSON; where Param is empty they are different components.
type Difference struct{ Param, One, Other string }

// Differences are those of two components but for their seeds, by the parameters' names. What only one of them has does not count.
func (k Keyed) Differences(other Keyed) []Difference {
	if k.Component != other.Component {
		return []Difference{{"", k.Component, other.Component}}
	}
	var out []Difference
	for _, name := range slices.Sorted(maps.Keys(k.Params)) {
		if one, text := k.Params[name], other.Params; text[name] != "" && text[name] != one {
			out = append(out, Difference{name, one, text[name]})
		}
	}
	return out
}
