// Package param describes the parameters of a component: one struct with tags is the single source of their names, types,
// defaults, units, ranges, choices and documentation, used for validation, help, generated pages and the wire.
//
//	type Params struct {
//		NBits int     `param:"n_bits" default:"3" min:"1" max:"16" unit:"bit" doc:"number of independent bits"`
//		Noise float64 `param:"noise" default:"0.15" min:"0" doc:"standard deviation of the input noise"`
//		Link  string  `param:"link" default:"exp" choices:"exp,softplus,sigmoid" doc:"from activation to rate"`
//	}
//
// The tags are
//
//	param    the name in an experiment file (required; lower-case letters, digits and underscores, a letter first)
//	default  the value where none is given; without it the parameter is required. A list is written with commas.
//	min max  the allowed range of a number (of each element of a list), inclusive
//	above    the same, exclusive: above:"0" is any positive number
//	below    the same, exclusive: below:"1"
//	choices  the allowed values of a string, separated by commas
//	unit     the unit, e.g. "s" or "bin"
//	doc      what it means, in a few words (required)
//
// Fields may be bool, int, int64, uint64, float64, string, or slices of int, float64 or string.
package param

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a parameter's value.
type Type uint8

// The types of parameters.
const (
	Invalid Type = iota
	Bool
	Int
	Float
	String
	Ints
	Floats
	Strings
)

var typeNames = [...]string{"invalid", "bool", "int", "float", "string", "list of int", "list of float", "list of string"}

// String returns the type as it is shown to a user.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return typeNames[0]
}

// Field describes one parameter.
type Field struct {
	Name string
	Type Type
	// Default is the value where none is given (bool, int64, float64, string, []int64, []float64, []string);
	// nil makes the parameter required.
	Default any
	Unit    string
	// Min and Max are inclusive bounds, Above and Below exclusive ones; NaN means no bound.
	Min, Max, Above, Below float64
	Choices                []string
	Doc                    string
}

// Range returns the allowed values in words, e.g. "1..16", "> 0", "one of exp, softplus"; empty where anything goes.
func (f Field) Range() string {
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	low, high := !math.IsNaN(f.Min), !math.IsNaN(f.Max)
	switch {
	case len(f.Choices) > 0:
		return "one of " + strings.Join(f.Choices, ", ")
	case low && high:
		return num(f.Min) + ".." + num(f.Max)
	}
	var parts []string
	if low {
		parts = append(parts, ">= "+num(f.Min))
	}
	if !math.IsNaN(f.Above) {
		parts = append(parts, "> "+num(f.Above))
	}
	if high {
		parts = append(parts, "<= "+num(f.Max))
	}
	if !math.IsNaN(f.Below) {
		parts = append(parts, "< "+num(f.Below))
	}
	return strings.Join(parts, " and ")
}

// Schema is the ordered list of a component's parameters.
type Schema []Field

// Names returns the names in order.
func (s Schema) Names() []string {
	out := make([]string, len(s))
	for i, f := range s {
		out[i] = f.Name
	}
	return out
}

// Field returns the field of that name.
func (s Schema) Field(name string) (Field, bool) {
	i := slices.IndexFunc(s, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return s[i], true
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Of reads the schema from the tags of a struct, given as a value or a pointer. An error is a mistake in the tags.
func Of(v any) (Schema, error) {
	t := reflect.TypeOf(v)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("param: %T: a struct is needed", v)
	}
	return fields(t)
}

func fields(t reflect.Type) (Schema, error) {
	var s Schema
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			inner, err := fields(sf.Type)
			if err != nil {
				return nil, err
			}
			s = append(s, inner...)
			continue
		}
		f, err := fieldOf(sf)
		if err != nil {
			return nil, fmt.Errorf("param: %s.%s: %w", t.Name(), sf.Name, err)
		}
		s = append(s, f)
	}
	for i, f := range s {
		if slices.ContainsFunc(s[:i], func(g Field) bool { return g.Name == f.Name }) {
			return nil, fmt.Errorf("param: %s: two fields are named %q", t.Name(), f.Name)
		}
	}
	return s, nil
}

// MustOf is [Of] for a component's head: it panics on a mistake in the tags.
func MustOf(v any) Schema {
	s, err := Of(v)
	if err != nil {
		panic(err)
	}
	return s
}

func fieldOf(sf reflect.StructField) (Field, error) {
	nan := math.NaN()
	f := Field{Min: nan, Max: nan, Above: nan, Below: nan}
	f.Name, f.Unit, f.Doc = sf.Tag.Get("param"), sf.Tag.Get("unit"), sf.Tag.Get("doc")
	if !nameForm.MatchString(f.Name) {
		return f, fmt.Errorf("tag param %q: lower-case letters, digits and underscores are needed, a letter first", f.Name)
	}
	if f.Doc == "" {
		return f, fmt.Errorf("tag doc is missing")
	}
	if f.Type = typeOf(sf.Type); f.Type == Invalid {
		return f, fmt.Errorf("type %s cannot be a parameter", sf.Type)
	}
	for tag, to := range map[string]*float64{"min": &f.Min, "max": &f.Max, "above": &f.Above, "below": &f.Below} {
		if text, ok := sf.Tag.Lookup(tag); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return f, fmt.Errorf("tag %s %q: a number is needed", tag, text)
			}
			*to = v
		}
	}
	if unsigned(sf.Type) && math.IsNaN(f.Min) && math.IsNaN(f.Above) {
		f.Min = 0
	}
	if text, ok := sf.Tag.Lookup("choices"); ok {
		for _, c := range strings.Split(text, ",") {
			f.Choices = append(f.Choices, strings.TrimSpace(c))
		}
	}
	if text, ok := sf.Tag.Lookup("default"); ok {
		v, err := Parse(f.Type, text)
		if err != nil {
			return f, fmt.Errorf("tag default: %w", err)
		}
		if p, _ := f.check(v); p != "" {
			return f, fmt.Errorf("tag default: %s", p)
		}
		f.Default = v
	}
	return f, nil
}

// unsigned reports a type that holds no negative number.
func unsigned(t reflect.Type) bool {
	return t.Kind() == reflect.Uint64 || t.Kind() == reflect.Slice && unsigned(t.Elem())
}

func typeOf(t reflect.Type) Type {
	switch t.Kind() {
	case reflect.Bool:
		return Bool
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return Int
	case reflect.Float64:
		return Float
	case reflect.String:
		return String
	case reflect.Slice:
		switch typeOf(t.Elem()) {
		case Int:
			return Ints
		case Float:
			return Floats
		case String:
			return Strings
		}
	}
	return Invalid
}

// Parse reads a value from text, as in a tag or on a command line; the elements of a list are separated by commas.
func Parse(t Type, text string) (any, error) {
	switch t {
	case Bool:
		return strconv.ParseBool(text)
	case Int:
		return strconv.ParseInt(text, 10, 64)
	case Float:
		return strconv.ParseFloat(text, 64)
	case String:
		return text, nil
	}
	var parts []string
	if text != "" {
		parts = strings.Split(text, ",")
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	switch t {
	case Ints:
		return parseAll(parts, func(p string) (int64, error) { return strconv.ParseInt(p, 10, 64) })
	case Floats:
		return parseAll(parts, func(p string) (float64, error) { return strconv.ParseFloat(p, 64) })
	case Strings:
		return parseAll(parts, func(p string) (string, error) { return p, nil })
	}
	return nil, fmt.Errorf("param: type %v cannot be parsed", t)
}

func parseAll[E any](parts []string, parse func(string) (E, error)) ([]E, error) {
	out := make([]E, len(parts))
	for i, p := range parts {
		v, err := parse(p)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}
