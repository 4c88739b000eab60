package param

import (
	"fmt"
	"math"
	"reflect"
	"slices"
)

// Check reports what makes a schema that was not read from a struct's tags unusable, e.g. that of a plugin: names that are malformed or given twice, types that
// do not exist, bounds that no value meets, choices of what is no string, and defaults of another type or out of range. Paths are the fields' names.
func (s Schema) Check() []Problem {
	var problems []Problem
	seen := map[string]bool{}
	for i, f := range s {
		path := f.Name
		add := func(format string, args ...any) {
			problems = append(problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
		}
		if !nameForm.MatchString(f.Name) || len(f.Name) > maxName {
			path = fmt.Sprintf("[%d]", i)
			add("name %.100q: at most %d lower-case letters, digits and underscores are needed, a letter first", f.Name, maxName)
		}
		if seen[f.Name] {
			add("is declared twice")
		}
		seen[f.Name] = true
		if f.Type == Invalid || int(f.Type) >= len(typeNames) {
			add("type %d is not one of those that parameters have", f.Type)
			continue
		}
		if p := f.checkBounds(); p != "" {
			add("%s", p)
			continue
		}
		if f.Default == nil {
			continue
		}
		if c, ok := convert(f.Type, f.Default); !ok || reflect.TypeOf(c) != reflect.TypeOf(f.Default) {
			add("default %.100s: %s is needed", show(f.Default), f.want())
		} else if p, _ := f.check(c); p != "" {
			add("default %.300s", p)
		}
	}
	return problems
}

// maxName is the longest name of a parameter, in bytes.
const maxName = 64

// checkBounds returns what is wrong with the range of a field, or an empty string.
func (f Field) checkBounds() string {
	for _, b := range []float64{f.Min, f.Max, f.Above, f.Below} {
		if math.IsInf(b, 0) {
			return fmt.Sprintf("a bound is %v: a finite number or none is needed", b)
		}
	}
	numeric := f.Type == Int || f.Type == Float || f.Type == Ints || f.Type == Floats
	bounded := !math.IsNaN(f.Min) || !math.IsNaN(f.Max) || !math.IsNaN(f.Above) || !math.IsNaN(f.Below)
	switch {
	case bounded && !numeric:
		return fmt.Sprintf("a range for a %s: numbers alone have one", f.Type)
	case f.Min > f.Max, f.Above >= f.Max, f.Min >= f.Below, f.Above >= f.Below:
		return fmt.Sprintf("no number is %s", f.Range())
	case len(f.Choices) > 0 && f.Type != String && f.Type != Strings:
		return fmt.Sprintf("choices for a %s: strings alone have them", f.Type)
	}
	for i, c := range f.Choices {
		if slices.Contains(f.Choices[:i], c) {
			return fmt.Sprintf("choice %.100q is given twice", c)
		}
	}
	return ""
}
