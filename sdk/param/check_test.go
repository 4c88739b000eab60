package param

import (
	"math"
	"strings"
	"testing"
)

func TestSchemaCheck(t *testing.T) {
	nan := math.NaN()
	field := func(change func(*Field)) Field {
		f := Field{Name: "x", Type: Float, Min: nan, Max: nan, Above: nan, Below: nan, Doc: "x"}
		change(&f)
		return f
	}
	if p := MustOf(sample{}).Check(); len(p) != 0 {
		t.Errorf("a schema of tags: %v", p)
	}
	for name, s := range map[string]Schema{
		"required": {field(func(*Field) {})},
		"range":    {field(func(f *Field) { f.Min, f.Below, f.Default = 0, 1, 0.5 })},
		"one":      {field(func(f *Field) { f.Min, f.Max, f.Default = 3, 3, 3.0 })},
		"choices":  {field(func(f *Field) { f.Type, f.Choices, f.Default = Strings, []string{"a", "b"}, []string{"b"} })},
	} {
		if p := s.Check(); len(p) != 0 {
			t.Errorf("%s: %v", name, p)
		}
	}
	for name, s := range map[string]Schema{
		"no name":             {field(func(f *Field) { f.Name = "" })},
		"name":                {field(func(f *Field) { f.Name = "X-y" })},
		"escape":              {field(func(f *Field) { f.Name = "x\x1b[31m" })},
		"long name":           {field(func(f *Field) { f.Name = strings.Repeat("x", 65) })},
		"twice":               {field(func(*Field) {}), field(func(*Field) {})},
		"no type":             {field(func(f *Field) { f.Type = Invalid })},
		"unknown type":        {field(func(f *Field) { f.Type = 200 })},
		"infinite bound":      {field(func(f *Field) { f.Min = math.Inf(-1) })},
		"empty range":         {field(func(f *Field) { f.Min, f.Max = 2, 1 })},
		"empty open range":    {field(func(f *Field) { f.Above, f.Below = 1, 1 })},
		"half open":           {field(func(f *Field) { f.Min, f.Below = 1, 1 })},
		"range of text":       {field(func(f *Field) { f.Type, f.Min = String, 1 })},
		"choices of numbers":  {field(func(f *Field) { f.Choices = []string{"1"} })},
		"choice twice":        {field(func(f *Field) { f.Type, f.Choices = String, []string{"a", "a"} })},
		"default type":        {field(func(f *Field) { f.Default = "0.5" })},
		"default of no float": {field(func(f *Field) { f.Default = int64(1) })},
		"default range":       {field(func(f *Field) { f.Max, f.Default = 1, 2.0 })},
		"default NaN":         {field(func(f *Field) { f.Default = nan })},
		"default choice":      {field(func(f *Field) { f.Type, f.Choices, f.Default = String, []string{"a"}, "b" })},
		"default list":        {field(func(f *Field) { f.Type, f.Default = Ints, []float64{1} })},
	} {
		if p := s.Check(); len(p) != 1 || p[0].Message == "" || strings.Contains(p[0].String(), "\x1b") {
			t.Errorf("%s: %q", name, p)
		}
	}
}
