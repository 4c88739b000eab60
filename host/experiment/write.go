package experiment

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// YAML writes the experiment. The same experiment gives the same bytes, and [Parse] reads the same experiment from them, wherever they are put:
// paths are absolute. Of a resolved one all parameters are written, in the order of their schema.
func (e *Experiment) YAML() []byte {
	w := &writer{}
	e.write(w)
	return w.Bytes()
}

// Digest is a checksum of what the experiment does, in hexadecimal: of all that [Experiment.YAML] writes but what it says of itself in about, and where the files lie that it loads.
func (e *Experiment) Digest() string {
	w := &writer{pathless: true}
	plain := *e
	plain.About = ""
	plain.write(w)
	return fmt.Sprintf("%x", sha256.Sum256(w.Bytes()))
}

func (e *Experiment) write(w *writer) {
	w.line(0, "version", strconv.Itoa(Version))
	w.line(0, "name", text(e.Name))
	if e.About != "" {
		w.line(0, "about", text(e.About))
	}
	w.line(0, "seed", strconv.FormatUint(e.Seed, 10))
	if e.Task != nil {
		w.line(0, "task", "")
		w.use(2, e.Task, e.Seed)
	}
	if t := e.Train; t != nil {
		w.line(0, "train", "")
		w.use(2, t.Use, e.Seed)
		w.path(2, "from", t.From)
		w.path(2, "load", t.Load)
	}
	if s := e.Simulate; s != nil {
		w.line(0, "simulate", "")
		w.use(2, s.Use, e.Seed)
		if t := s.Trials; t != nil && (t.Seed != DefaultTrialsSeed || len(t.Params) > 0) {
			w.line(2, "task", "")
			w.settings(4, t, DefaultTrialsSeed)
		}
		w.path(2, "dataset", s.Dataset)
	}
	if len(e.Fit) > 0 {
		w.line(0, "fit", "")
	}
	for _, f := range e.Fit {
		w.item("name", text(f.Name))
		w.use(4, f.Use, e.Seed)
		w.path(4, "from", f.From)
		w.path(4, "load", f.Load)
	}
	if len(e.Compare) > 0 {
		w.line(0, "compare", "")
	}
	for _, c := range e.Compare {
		w.item("name", text(c.Name))
		w.use(4, c.Use, e.Seed)
		if len(c.Subjects) > 0 {
			w.line(4, "subjects", value(c.Subjects))
		}
	}
}

type writer struct {
	bytes.Buffer
	// pathless leaves out what paths say, but that there is one.
	pathless bool
}

func (w *writer) line(indent int, key, value string) {
	fmt.Fprintf(w, "%*s%s:", indent, "", key)
	if value != "" {
		w.WriteString(" " + value)
	}
	w.WriteByte('\n')
}

func (w *writer) item(key, value string) { fmt.Fprintf(w, "  - %s: %s\n", key, value) }

func (w *writer) path(indent int, key, path string) {
	switch {
	case path == "":
	case w.pathless:
		w.line(indent, key, "")
	default:
		w.line(indent, key, text(path))
	}
}

func (w *writer) use(indent int, u *Use, seed uint64) {
	if u == nil {
		return
	}
	w.line(indent, "use", text(u.Ref.String()))
	w.settings(indent, u, seed)
}

// settings writes a seed that is not the default one, and the parameters.
func (w *writer) settings(indent int, u *Use, seed uint64) {
	if u.Seed != seed {
		w.line(indent, "seed", strconv.FormatUint(u.Seed, 10))
	}
	if len(u.Params) == 0 {
		return
	}
	w.line(indent, "params", "")
	for _, name := range order(u.Params, u.Info.Params) {
		w.line(indent+2, name, value(u.Params[name]))
	}
}

// order is the schema's, then the alphabet's.
func order(v param.Values, s param.Schema) []string {
	var out []string
	for _, name := range s.Names() {
		if _, ok := v[name]; ok {
			out = append(out, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// value writes a parameter's value as a scalar or a list in one line.
func value(v any) string {
	switch v := v.(type) {
	case string:
		return text(v)
	case float64:
		return float(v)
	case []any:
		return list(v)
	case []int64:
		return list(v)
	case []float64:
		return list(v)
	case []string:
		return list(v)
	}
	return fmt.Sprint(v)
}

func list[E any](v []E) string {
	parts := make([]string, len(v))
	for i, x := range v {
		parts[i] = value(x)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func float(v float64) string {
	switch {
	case math.IsNaN(v):
		return ".nan"
	case math.IsInf(v, 1):
		return ".inf"
	case math.IsInf(v, -1):
		return "-.inf"
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// plainForm is what needs no quotes: no YAML reader takes it for anything but a string, apart from the words below.
var plainForm = regexp.MustCompile(`^(/|[A-Za-z][A-Za-z0-9_]*[/-])?[A-Za-z_][A-Za-z0-9_./@-]*(:[a-z][a-z0-9/-]*)?$`)

var words = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}

func text(s string) string {
	if plainForm.MatchString(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	// A JSON string is a YAML one, but for what Parse refuses unescaped.
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.QuoteToASCII(s)
	}
	return strings.NewReplacer("\x7f", `\x7F`, "\u0085", `\u0085`, "\ufeff", `\uFEFF`).Replace(strings.TrimSuffix(b.String(), "\n"))
}
