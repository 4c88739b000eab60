package param

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Values are parameters by name. A resolved value is a bool, int64, float64, string, []int64, []float64 or []string.
type Values map[string]any

// Problem is one thing wrong with what a user gave.
type Problem struct {
	// Path leads to the field, e.g. "params.n_bits".
	Path string
	// Message says what was given and what is allowed.
	Message string
	// Hint says what to do, e.g. the nearest valid name; may be empty.
	Hint string
}

// String returns the problem on one line.
func (p Problem) String() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Resolve fills in the defaults and checks every value. It takes any integer and float type, and an integral float where an
// integer is wanted, so that values may come from YAML, JSON or Go. All problems are returned at once, with paths that
// are the bare parameter names, in the order of the schema; unknown names come last.
func (s Schema) Resolve(given Values) (Values, []Problem) {
	out := make(Values, len(s))
	var problems []Problem
	for _, f := range s {
		v, ok := given[f.Name]
		if !ok {
			if f.Default == nil {
				problems = append(problems, Problem{Path: f.Name, Message: fmt.Sprintf("is required: %s", f.want()), Hint: f.Doc})
				continue
			}
			out[f.Name] = f.Default
			continue
		}
		c, ok := convert(f.Type, v)
		if !ok {
			problems = append(problems, Problem{Path: f.Name, Message: fmt.Sprintf("%s: %s is needed", show(v), f.want())})
			continue
		}
		if message, hint := f.check(c); message != "" {
			problems = append(problems, Problem{Path: f.Name, Message: message, Hint: hint})
			continue
		}
		out[f.Name] = c
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := s.Field(name); !ok {
			hint := DidYouMean(name, s.Names())
			if hint == "" && len(s) > 0 {
				hint = "parameters are " + strings.Join(s.Names(), ", ")
			}
			problems = append(problems, Problem{Path: name, Message: "no such parameter", Hint: hint})
		}
	}
	return out, problems
}

// Decode writes resolved values into the struct that the schema was read from, given by pointer.
// It returns an error if a value is missing or does not fit its field.
func Decode(values Values, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("param: %T: a pointer to a struct is needed", into)
	}
	return decode(values, v.Elem())
}

func decode(values Values, v reflect.Value) error {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			if err := decode(values, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name := sf.Tag.Get("param")
		given, ok := values[name]
		if !ok {
			return fmt.Errorf("param: %s: no value", name)
		}
		c, ok := convert(typeOf(sf.Type), given)
		if !ok {
			return fmt.Errorf("param: %s: %s does not fit %s", name, show(given), sf.Type)
		}
		from := reflect.ValueOf(c)
		if from.Kind() == reflect.Slice {
			to := reflect.MakeSlice(sf.Type, from.Len(), from.Len())
			for k := range from.Len() {
				to.Index(k).Set(from.Index(k).Convert(sf.Type.Elem()))
			}
			v.Field(i).Set(to)
			continue
		}
		if from.CanInt() && v.Field(i).CanUint() && from.Int() < 0 {
			return fmt.Errorf("param: %s: %d does not fit %s", name, from.Int(), sf.Type)
		}
		v.Field(i).Set(from.Convert(sf.Type))
	}
	return nil
}

func (f Field) want() string {
	article := "a"
	if f.Type == Int {
		article = "an"
	}
	s := article + " " + f.Type.String()
	if r := f.Range(); r != "" {
		s += " " + r
	}
	if f.Unit != "" {
		s += " (" + f.Unit + ")"
	}
	return s
}

// check returns what is wrong with a value of the right type and what may have been meant, or empty strings. Of a list of choices it is the first entry that is none.
func (f Field) check(v any) (message, hint string) {
	bad := func(x float64) bool {
		return math.IsNaN(x) || math.IsInf(x, 0) || x < f.Min || x > f.Max || x <= f.Above || x >= f.Below
	}
	noChoice := func(x string) bool { return len(f.Choices) > 0 && !slices.Contains(f.Choices, x) }
	wrong := false
	switch of := v.(type) {
	case int64:
		wrong = bad(float64(of))
	case float64:
		wrong = bad(of)
	case string:
		if wrong = noChoice(of); wrong {
			hint = DidYouMean(of, f.Choices)
		}
	case []int64:
		wrong = slices.ContainsFunc(of, func(x int64) bool { return bad(float64(x)) })
	case []float64:
		wrong = slices.ContainsFunc(of, bad)
	case []string:
		if i := slices.IndexFunc(of, noChoice); i >= 0 {
			wrong, v, hint = true, of[i], DidYouMean(of[i], f.Choices)
		}
	}
	if !wrong {
		return "", ""
	}
	r := f.Range()
	if r == "" {
		r = "a finite number"
	}
	return fmt.Sprintf("%s is not allowed: %s", show(v), r), hint
}

func convert(t Type, v any) (any, bool) {
	rv := reflect.ValueOf(v)
	switch t {
	case Bool:
		b, ok := v.(bool)
		return b, ok
	case String:
		s, ok := v.(string)
		return s, ok
	case Int:
		switch {
		case !rv.IsValid():
		case rv.CanInt():
			return rv.Int(), true
		case rv.CanUint() && rv.Uint() <= math.MaxInt64:
			return int64(rv.Uint()), true
		case rv.CanFloat() && rv.Float() == math.Trunc(rv.Float()) && math.Abs(rv.Float()) < 1<<53:
			return int64(rv.Float()), true
		}
		return nil, false
	case Float:
		switch {
		case !rv.IsValid():
		case rv.CanFloat():
			return rv.Float(), true
		case rv.CanInt():
			return float64(rv.Int()), true
		case rv.CanUint():
			return float64(rv.Uint()), true
		}
		return nil, false
	case Ints:
		return convertAll[int64](Int, rv)
	case Floats:
		return convertAll[float64](Float, rv)
	case Strings:
		return convertAll[string](String, rv)
	}
	return nil, false
}

func convertAll[E any](t Type, rv reflect.Value) (any, bool) {
	if !rv.IsValid() || rv.Kind() != reflect.Slice {
		return nil, false
	}
	out := make([]E, rv.Len())
	for i := range out {
		c, ok := convert(t, rv.Index(i).Interface())
		if !ok {
			return nil, false
		}
		out[i] = c.(E)
	}
	return out, true
}

// shown is how much of a value a message shows, in bytes.
const shown = 120

func show(v any) string {
	if s, ok := v.(string); ok {
		if len(s) > shown {
			s = strings.ToValidUTF8(s[:shown], "") + "..."
		}
		return fmt.Sprintf("%q", s)
	}
	rv := reflect.ValueOf(v)
	list := rv.Kind() == reflect.Slice && rv.Len() > shown
	if list {
		v = rv.Slice(0, shown).Interface()
	}
	s := fmt.Sprintf("%v", v)
	if len(s) > shown || list {
		s = strings.ToValidUTF8(s[:min(shown, len(s))], "") + "..."
	}
	return s
}

// leastPrefix is how many letters say what was meant where all that they lack is the name's end.
const leastPrefix = 3

// Nearest returns the valid name closest to what was given, if one is close enough to be meant, or else the only one that begins with it.
func Nearest(given string, valid []string) (string, bool) {
	best, distance := "", len(given)/2+1
	var longer []string
	for _, v := range valid {
		if d := levenshtein.ComputeDistance(strings.ToLower(given), strings.ToLower(v)); d < distance {
			best, distance = v, d
		}
		if len(given) >= leastPrefix && strings.HasPrefix(strings.ToLower(v), strings.ToLower(given)) {
			longer = append(longer, v)
		}
	}
	if best == "" && len(longer) == 1 {
		best = longer[0]
	}
	return best, best != ""
}

// DidYouMean is [Nearest] as a hint, empty where nothing is near.
func DidYouMean(given string, valid []string) string {
	if n, ok := Nearest(given, valid); ok {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// Checker turns a check of a parameter struct into one of resolved values; nil stays nil.
func Checker[P any](check func(P) []Problem) func(Values) []Problem {
	if check == nil {
		return nil
	}
	return func(v Values) []Problem {
		var p P
		if err := Decode(v, &p); err != nil {
			return []Problem{{Message: err.Error()}}
		}
		return check(p)
	}
}
