package pipeline

import (
	"reflect"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
)

func sampleKey() KeyParts {
	return KeyParts{
		Layout: layout, Stage: "train",
		Components: map[string]KeyComponent{"model": {
			Component: "model/gru", Version: "0.1.0", Plugin: "builtin", PluginVersion: "0.1.0", Executable: "aa",
			Numerics: map[string]string{"kernel": "avx2"}, Params: param.Values{"hidden": int64(64), "lr": 1e-3}, Seed: 3,
		}},
		Inputs: map[string]string{"dataset": "bb"},
	}
}

// Every part must change the key, and be named by Changed.
func TestKeyHoldsEveryPart(t *testing.T) {
	change := func(f func(*KeyComponent)) func(*KeyParts) {
		return func(k *KeyParts) {
			c := k.Components["model"]
			f(&c)
			k.Components["model"] = c
		}
	}
	for _, c := range []struct {
		name   string
		change func(*KeyParts)
		want   []string
	}{
		{"nothing", func(*KeyParts) {}, nil},
		{"layout", func(k *KeyParts) { k.Layout = 99 }, []string{"layout: 99, was 2"}},
		{"stage", func(k *KeyParts) { k.Stage = "fit" }, []string{`stage: "fit", was "train"`}},
		{"component", change(func(c *KeyComponent) { c.Component = "model/x" }), []string{`components.model.component: "model/x", was "model/gru"`}},
		{"version", change(func(c *KeyComponent) { c.Version = "0.2.0" }), []string{`components.model.version: "0.2.0", was "0.1.0"`}},
		{"plugin", change(func(c *KeyComponent) { c.Plugin = "x" }), []string{`components.model.plugin: "x", was "builtin"`}},
		{"plugin version", change(func(c *KeyComponent) { c.PluginVersion = "1.0.0" }), []string{`components.model.plugin_version: "1.0.0", was "0.1.0"`}},
		{"executable", change(func(c *KeyComponent) { c.Executable = "ab" }), []string{`components.model.executable_sha256: "ab", was "aa"`}},
		{"numerics", change(func(c *KeyComponent) { c.Numerics = map[string]string{"kernel": "avx512"} }), []string{`components.model.numerics.kernel: "avx512", was "avx2"`}},
		{"param", change(func(c *KeyComponent) { c.Params = param.Values{"hidden": int64(65), "lr": 1e-3} }), []string{"components.model.params.hidden: 65, was 64"}},
		{"param gone", change(func(c *KeyComponent) { c.Params = param.Values{"hidden": int64(64)} }), []string{"components.model.params.lr: gone, was 0.001"}},
		{"seed", change(func(c *KeyComponent) { c.Seed = 4 }), []string{"components.model.seed: 4, was 3"}},
		{"input", func(k *KeyParts) { k.Inputs = map[string]string{"dataset": "cc"} }, []string{`inputs.dataset: "cc", was "bb"`}},
		{"new input", func(k *KeyParts) { k.Inputs = map[string]string{"dataset": "bb", "weights": "dd"} }, []string{`inputs.weights: "dd", was not there`}},
		{"settings", func(k *KeyParts) { k.Settings = map[string]any{"subjects": []string{"a"}} }, []string{`settings.subjects: ["a"], was not there`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, k := sampleKey(), sampleKey()
			c.change(&k)
			was, err := base.Key()
			if err != nil {
				t.Fatal(err)
			}
			now, err := k.Key()
			if err != nil {
				t.Fatal(err)
			}
			if (was != now) != (c.want != nil) {
				t.Errorf("key %s, was %s", now, was)
			}
			before, err := base.Flat()
			if err != nil {
				t.Fatal(err)
			}
			after, err := k.Flat()
			if err != nil {
				t.Fatal(err)
			}
			if got := changed(after, before); !reflect.DeepEqual(got, c.want) {
				t.Errorf("changed %q, want %q", got, c.want)
			}
		})
	}
}
