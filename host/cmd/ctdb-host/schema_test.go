package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema holds the schema that the program prints against experiments: it accepts all that come with the program and refuses wrong ones, as far as a schema can
// tell.
func TestSchema(t *testing.T) {
	w := newWorld(t)
	w.must("schema", "--out", "s.json")
	s, err := jsonschema.NewCompiler().Compile(w.path("s.json"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, text string) error {
		t.Helper()
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			return err
		}
		// As JSON has it.
		b, err := yaml.MarshalWithOptions(v, yaml.JSON())
		if err != nil {
			return err
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			return err
		}
		return s.Validate(doc)
	}
	right := map[string]string{
		"tiny":  tinyStudy,
		"long":  longStudy,
		"study": tinyStudy[:strings.Index(tinyStudy, "seed: 2")] + "seeds: [0, 1]\nmatrix: {fit.sae.params.latent: [1, 2], train.use: [model/gru, model/lstm]}\n" + tinyStudy[strings.Index(tinyStudy, "task:"):],
		"given": ofRecording,
	}
	for _, name := range []string{"quickstart", "sizes", "multitask-small", "random-target-small", "nbff", "nbff-node-sizes", "multitask", "random-target"} {
		right[name] = w.must("examples", name).String()
	}
	for name, text := range right {
		if err := check(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	archive, err := txtar.ParseFile("testdata/wrong.txtar")
	if err != nil {
		t.Fatal(err)
	}
	// What only the program can know, or what YAML itself refuses.
	beyond := []string{
		"blind longer than trial", "memory beyond", "model memory", "window too long", "window negative", "warm-up", "fit names twice", "fit case twice", "subject unknown",
		"load missing", "load a file", "dataset missing", "dataset is text", "matrix nowhere", "two documents",
		"begin with what is missing", "begin with an experiment", "begin with any folder",
	}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if ok && (check(t, string(f.Data)) == nil) != slices.Contains(beyond, name) {
			t.Errorf("%s: accepted is %t", name, !slices.Contains(beyond, name))
		}
	}
}
