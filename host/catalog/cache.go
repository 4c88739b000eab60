package catalog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adrg/xdg"
	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// DefaultCacheDir is ctdb/manifests in the user's cache folder.
func DefaultCacheDir() string { return filepath.Join(xdg.CacheHome, "ctdb", "manifests") }

// cacheFormat is the version of the files; it grows when they, or component.Manifest, change.
const cacheFormat = 2

// maxCacheFile bounds what is read, maxCacheFiles how many files are kept: a program that is rebuilt leaves one behind each time.
const (
	maxCacheFile  = 16 << 20
	maxCacheFiles = 200
)

// cache keeps manifests in a folder, one file for each executable on each kind of machine. Whatever is wrong with a file, or with the folder, costs a
// start of the plugin and no more.
type cache struct {
	dir string
	// machine is what a manifest depends on besides the executable.
	machine string
	log     *slog.Logger
}

// newCache returns a cache in a folder; one that keeps nothing where dir is empty.
func newCache(dir string, log *slog.Logger) *cache {
	return &cache{dir: dir, machine: fingerprint(os.Environ()), log: log}
}

// cacheFile is what a file holds.
type cacheFile struct {
	Format     int               `json:"format"`
	Executable string            `json:"executable_sha256"`
	Machine    string            `json:"machine"`
	Name       string            `json:"name"`
	Version    string            `json:"version"`
	Doc        string            `json:"doc"`
	Protocol   int               `json:"protocol"`
	Language   string            `json:"language"`
	Build      string            `json:"build"`
	Numerics   map[string]string `json:"numerics"`
	Components []cacheComponent  `json:"components"`
}

type cacheComponent struct {
	Name         string                 `json:"name"`
	Version      string                 `json:"version"`
	Doc          string                 `json:"doc"`
	Source       string                 `json:"source"`
	Params       []cacheField           `json:"params"`
	Capabilities []component.Capability `json:"capabilities"`
	Readings     []component.Reading    `json:"readings"`
}

// cacheField is a parameter; JSON has no NaN, so bounds that are none are null.
type cacheField struct {
	Name    string   `json:"name"`
	Type    uint8    `json:"type"`
	Default any      `json:"default"`
	Unit    string   `json:"unit"`
	Min     *float64 `json:"min"`
	Max     *float64 `json:"max"`
	Above   *float64 `json:"above"`
	Below   *float64 `json:"below"`
	Choices []string `json:"choices"`
	Doc     string   `json:"doc"`
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c *cache) path(sum string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s-%s.json", sum, c.machine[:16]))
}

// get returns the manifest of an executable; false where it is not known, or the file is not what put wrote.
func (c *cache) get(sum string) (component.Manifest, bool) {
	if c.dir == "" || !sumForm.MatchString(sum) {
		return component.Manifest{}, false
	}
	m, err := c.read(sum)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Debug("a remembered manifest is not used", "file", c.path(sum), "error", err)
		}
		return component.Manifest{}, false
	}
	return m, true
}

func (c *cache) read(sum string) (component.Manifest, error) {
	info, err := os.Stat(c.path(sum))
	if err != nil {
		return component.Manifest{}, err
	}
	if info.Size() > maxCacheFile || !info.Mode().IsRegular() {
		return component.Manifest{}, fmt.Errorf("%d bytes", info.Size())
	}
	data, err := os.ReadFile(c.path(sum))
	if err != nil {
		return component.Manifest{}, err
	}
	// The first line is the checksum of the rest.
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if want := sha256.Sum256(body); !ok || string(head) != hex.EncodeToString(want[:]) {
		return component.Manifest{}, errors.New("damaged")
	}
	var f cacheFile
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&f); err != nil {
		return component.Manifest{}, err
	}
	if f.Format != cacheFormat || f.Executable != sum || f.Machine != c.machine {
		return component.Manifest{}, errors.New("of another format or machine")
	}
	return fromCache(f)
}

// put remembers a manifest.
func (c *cache) put(sum string, m component.Manifest) {
	if c.dir == "" || !sumForm.MatchString(sum) {
		return
	}
	if err := c.write(sum, m); err != nil {
		c.log.Debug("a manifest is not remembered", "file", c.path(sum), "error", err)
	}
}

func (c *cache) write(sum string, m component.Manifest) error {
	f := toCache(m)
	f.Format, f.Executable, f.Machine = cacheFormat, sum, c.machine
	body, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	c.prune()
	head := sha256.Sum256(body)
	return renameio.WriteFile(c.path(sum), append([]byte(hex.EncodeToString(head[:])+"\n"), body...), 0o644)
}

// prune removes the files that were written first where there are too many. Another process may be doing the same.
func (c *cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) < maxCacheFiles {
		return
	}
	age := map[string]time.Time{}
	var files []string
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			age[e.Name()] = info.ModTime()
			files = append(files, e.Name())
		}
	}
	slices.SortFunc(files, func(a, b string) int { return age[a].Compare(age[b]) })
	for _, name := range files[:max(len(files)-maxCacheFiles/2, 0)] {
		_ = os.Remove(filepath.Join(c.dir, name))
	}
}

func toCache(m component.Manifest) cacheFile {
	f := cacheFile{Name: m.Name, Version: m.Version, Doc: m.Doc, Protocol: m.Protocol, Language: m.Language, Build: m.Build, Numerics: m.Numerics}
	bound := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	for _, i := range m.Components {
		c := cacheComponent{Name: i.Name.String(), Version: i.Version, Doc: i.Doc, Source: i.Source, Capabilities: i.Capabilities, Readings: i.Readings}
		for _, p := range i.Params {
			c.Params = append(c.Params, cacheField{
				Name: p.Name, Type: uint8(p.Type), Default: p.Default, Unit: p.Unit, Choices: p.Choices, Doc: p.Doc,
				Min: bound(p.Min), Max: bound(p.Max), Above: bound(p.Above), Below: bound(p.Below),
			})
		}
		f.Components = append(f.Components, c)
	}
	return f
}

func fromCache(f cacheFile) (component.Manifest, error) {
	m := component.Manifest{Name: f.Name, Version: f.Version, Doc: f.Doc, Protocol: f.Protocol, Language: f.Language, Build: f.Build, Numerics: f.Numerics}
	bound := func(v *float64) float64 {
		if v == nil {
			return math.NaN()
		}
		return *v
	}
	for _, c := range f.Components {
		n, err := component.ParseName(c.Name)
		if err != nil {
			return m, err
		}
		i := component.Info{Name: n, Version: c.Version, Doc: c.Doc, Source: c.Source, Capabilities: c.Capabilities, Readings: c.Readings}
		for _, p := range c.Params {
			d, err := fromJSON(param.Type(p.Type), p.Default)
			if err != nil {
				return m, fmt.Errorf("%s: default of %s: %w", c.Name, p.Name, err)
			}
			i.Params = append(i.Params, param.Field{
				Name: p.Name, Type: param.Type(p.Type), Default: d, Unit: p.Unit, Choices: p.Choices, Doc: p.Doc,
				Min: bound(p.Min), Max: bound(p.Max), Above: bound(p.Above), Below: bound(p.Below),
			})
		}
		m.Components = append(m.Components, i)
	}
	return m, nil
}

// fromJSON gives a default its Go type back.
func fromJSON(t param.Type, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	fail := fmt.Errorf("%v is no %s", v, t)
	switch t {
	case param.Int, param.Float:
		n, ok := v.(json.Number)
		if !ok {
			return nil, fail
		}
		if t == param.Int {
			return strconv.ParseInt(n.String(), 10, 64)
		}
		return strconv.ParseFloat(n.String(), 64)
	case param.Bool:
		if _, ok := v.(bool); !ok {
			return nil, fail
		}
		return v, nil
	case param.String:
		if _, ok := v.(string); !ok {
			return nil, fail
		}
		return v, nil
	case param.Ints:
		return elements[int64](param.Int, v, fail)
	case param.Floats:
		return elements[float64](param.Float, v, fail)
	case param.Strings:
		return elements[string](param.String, v, fail)
	}
	return nil, fail
}

func elements[E any](t param.Type, v any, fail error) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fail
	}
	out := make([]E, len(list))
	for i, x := range list {
		e, err := fromJSON(t, x)
		if err != nil {
			return nil, err
		}
		if out[i], ok = e.(E); !ok {
			return nil, fail
		}
	}
	return out, nil
}

// fingerprint stands for what a manifest's Numerics may depend on besides the executable: the processor, the shared libraries, and the settings
// of numeric libraries.
func fingerprint(environment []string) string {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH, component.ProtocolMajor, component.ProtocolMinor)
	// Of the first processor, what does not change from moment to moment.
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		s := bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for s.Scan() && s.Text() != "" {
			switch key, _, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(key) {
			case "vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU implementer", "CPU part", "cache size":
				fmt.Fprintln(h, s.Text())
			}
		}
		f.Close()
	}
	if info, err := os.Stat("/etc/ld.so.cache"); err == nil {
		fmt.Fprintln(h, info.Size(), info.ModTime().UnixNano())
	}
	for _, entry := range slices.Sorted(slices.Values(environment)) {
		name, _, _ := strings.Cut(entry, "=")
		if name == registry.PathEnv {
			continue
		}
		for _, prefix := range []string{"OPENBLAS_", "MKL_", "CTDB_", "LIBXSMM_", "LD_LIBRARY_PATH", "GODEBUG", "VIRTUAL_ENV", "PYTHON"} {
			if strings.HasPrefix(name, prefix) {
				fmt.Fprintln(h, entry)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
