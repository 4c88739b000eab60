package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// offers are the components of the catalogue of the tests.
func offers(t *testing.T) []Offer {
	t.Helper()
	var out []Offer
	for ref := range components() {
		info, err := catalogue(ref, "")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Offer{Info: info, Plugin: "builtin"})
	}
	return out
}

// checker compiles the schema of some components and returns a check of a file.
func checker(t *testing.T, all []Offer) func(t *testing.T, file string) error {
	t.Helper()
	text, err := Schema(all)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, file string) error {
		t.Helper()
		r := reader{file: "x.yaml"}
		root := r.read(file)
		if err := Join(r.problems...); err != nil {
			return err
		}
		var v any
		if root != nil {
			b, err := json.Marshal(root.any())
			if err != nil {
				return err
			}
			if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
		}
		return s.Validate(v)
	}
}

func TestSchemaAccepts(t *testing.T) {
	check := checker(t, offers(t))
	files := soundFiles()
	for _, c := range wrongFiles() {
		files["wrong: "+c.name] = c.file
	}
	for _, c := range wrongStudies() {
		files["wrong study: "+c.name] = c.file
	}
	sound := 0
	for name, file := range files {
		// What is wrong of the tables may be right for want of the overrides that made it wrong.
		if _, err := Read("x.yaml", []byte(file), nil, catalogue); err != nil {
			continue
		}
		sound++
		if err := check(t, file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sound < len(soundFiles()) {
		t.Errorf("%d files of %d could be read", sound, len(soundFiles()))
	}
}

// What a schema can tell it tells.
func TestSchemaRefuses(t *testing.T) {
	check := checker(t, offers(t))
	for name, file := range map[string]string{
		"nothing":                   "",
		"a list":                    "- 1\n",
		"no version":                strings.TrimPrefix(train, head),
		"another version":           "version: 2\n" + train,
		"unknown key":               head + train + "sweep: {}\n",
		"name with a slash":         head + train + "name: a/b\n",
		"name a number":             head + train + "name: 3\n",
		"seed negative":             head + train + "seed: -1\n",
		"seed a fraction":           head + train + "seed: 1.5\n",
		"seed and seeds":            head + train + "seed: 1\nseeds: [1]\n",
		"seeds empty":               head + train + "seeds: []\n",
		"seeds twice":               head + train + "seeds: [1, 1]\n",
		"nothing to do":             head,
		"task alone":                head + "task: {use: task/nbff}\n",
		"task without use":          head + "task: {params: {n_bits: 3}}\ntrain: {use: model/noisy-gru}\n",
		"task unknown":              head + "task: {use: task/nbf}\ntrain: {use: model/noisy-gru}\n",
		"task a model":              head + "task: {use: model/noisy-gru}\ntrain: {use: model/noisy-gru}\n",
		"train without task":        head + "train: {use: model/noisy-gru}\n",
		"train what is for spikes":  head + "task: {use: task/nbff}\ntrain: {use: model/sae-gru}\n",
		"train neither":             head + "task: {use: task/nbff}\ntrain: {}\n",
		"train both":                head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, load: x}\n",
		"load with parameters":      head + "train: {load: x, params: {}}\n",
		"load and begin":            head + "train: {load: x, from: y}\n",
		"begin with nothing":        head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, from: \"\"}\n",
		"load nothing":              head + "train: {load: \"\"}\n",
		"simulate without train":    head + "simulate: {use: simulator/spikes}\n",
		"simulate both":             head + train + "simulate: {use: simulator/spikes, dataset: x}\n",
		"trials of another task":    head + train + "simulate: {use: simulator/spikes, task: {use: task/nbff}}\n",
		"trials' parameters":        head + train + "simulate: {use: simulator/spikes, task: {params: {n_bits: 0}}}\n",
		"fit a mapping":             head + sim + "fit: {use: model/sae-gru}\n",
		"fit empty":                 head + sim + "fit: []\n",
		"fit named truth":           head + sim + "fit: [{name: Truth, use: model/sae-gru}]\n",
		"fit without spikes":        head + train + "fit: [{use: model/sae-gru}]\n",
		"fit without a parameter":   head + sim + "fit: [{use: model/must}]\n",
		"compare without use":       head + sim + "compare: [{subjects: [truth]}]\n",
		"compare nothing":           head + "compare: [{use: comparator/metrics}]\n",
		"subjects twice":            head + sim + "compare: [{use: comparator/metrics, subjects: [truth, truth]}]\n",
		"parameter unknown":         head + "task: {use: task/nbff, params: {n_bit: 3}}\ntrain: {use: model/noisy-gru}\n",
		"parameter below":           head + "task: {use: task/nbff, params: {n_bits: 0}}\ntrain: {use: model/noisy-gru}\n",
		"parameter above":           head + "task: {use: builtin:task/nbff, params: {n_bits: 17}}\ntrain: {use: model/noisy-gru}\n",
		"parameter at its bound":    head + "task: {use: task/nbff}\ntrain: {use: \"builtin@^0.1:model/noisy-gru\", params: {lr: 0}}\n",
		"parameter a fraction":      head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {hidden: 1.5}}\n",
		"parameter of another type": head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {sizes: 3}}\n",
		"parameter a choice":        head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {link: tanh}}\n",
		"parameter of an element":   head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {sizes: [0]}}\n",
		"matrix empty":              head + train + "matrix: {}\n",
		"axis empty":                head + train + "matrix: {train.params.lr: []}\n",
		"axis no list":              head + train + "matrix: {train.params.lr: 3}\n",
		"axis twice the same":       head + train + "matrix: {train.params.lr: [1, 1.0]}\n",
		"axis of no stage":          head + train + "matrix: {trian.params.lr: [1]}\n",
		"axis of a name":            head + sim + "fit: [{name: a, use: model/sae-gru}]\nmatrix: {fit.a.name: [b]}\n",
		"axis of the seed":          head + train + "matrix: {seed: [1]}\n",
		"axis of no parameter":      head + train + "matrix: {train.params.lrr: [1]}\n",
		"axis out of range":         head + train + "matrix: {train.params.lr: [0]}\n",
		"axis of a fit":             head + sim + "fit: [{name: a, use: model/sae-gru}]\nmatrix: {fit.a.params.hidden: [0]}\n",
		"axis of components":        head + train + "matrix: {train.use: [model/noisy-gru, model/nothing]}\n",
		"beside an axis":            head + sim + "fit: [{name: a, use: model/sae-gru, params: {hiden: 3}}]\nmatrix: {fit.a.params.lr: [1]}\n",
		"another stage's axis":      head + train + "simulate: {}\nmatrix: {train.params.lr: [1]}\n",
	} {
		var invalid *jsonschema.ValidationError
		if err := check(t, file); !errors.As(err, &invalid) {
			t.Errorf("%s: error is %v", name, err)
		}
		if _, err := Read("x.yaml", []byte(file), nil, catalogue); err == nil {
			t.Errorf("%s: can be read", name)
		}
	}
}

// What the schema says of a parameter is what the component says.
func TestSchemaOfParameters(t *testing.T) {
	text, err := Schema(offers(t))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		ID   string                    `json:"$id"`
		Defs map[string]map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	params, _ := s.Defs["task/nbff"]["properties"].(map[string]any)
	bits, _ := params["n_bits"].(map[string]any)
	want := map[string]any{"type": "integer", "minimum": 1.0, "maximum": 16.0, "default": 3.0, "description": "bits (unit: bit; 1..16; default 3)"}
	if s.ID != SchemaID || !maps.Equal(bits, want) {
		t.Errorf("n_bits of %s is %v", s.ID, bits)
	}
	again, err := Schema(offers(t))
	if err != nil || !bytes.Equal(text, again) {
		t.Error("the same components gave another schema")
	}
}

// Two plugins may have components of one name with other parameters, and there may be none.
func TestSchemaOfManyPlugins(t *testing.T) {
	type one struct {
		A int `param:"a" default:"1" doc:"a"`
	}
	type two struct {
		B string `param:"b" doc:"b"`
	}
	name := component.Name{Kind: component.Model, Short: "x"}
	info := func(version string, v any) component.Info {
		return component.Info{Name: name, Version: version, Params: param.MustOf(v), Capabilities: []component.Capability{component.TrainsOnTask}}
	}
	check := checker(t, append(offers(t), Offer{info("1.0.0", one{}), "first"}, Offer{info("2.0.0", one{}), "first"}, Offer{info("0.1.0", two{}), "second"}))
	for file, right := range map[string]bool{
		"{use: model/x, params: {a: 3}}":                 true,
		"{use: model/x, params: {b: c}}":                 true,
		"{use: model/x, params: {a: 3, b: c}}":           false,
		"{use: \"first:model/x\", params: {a: 3}}":       true,
		"{use: \"first@2.0.0:model/x\", params: {a: 3}}": true,
		"{use: \"first:model/x\", params: {b: c}}":       false,
		"{use: \"second:model/x\", params: {b: c}}":      true,
		"{use: \"second:model/x\"}":                      false,
		"{use: \"third:model/x\"}":                       false,
	} {
		if err := check(t, head+"task: {use: task/nbff}\ntrain: "+file+"\n"); (err == nil) != right {
			t.Errorf("%s: error %v", file, err)
		}
	}
	if err := checker(t, nil)(t, head+"task: {use: task/any}\ntrain: {use: \"my:model/own\"}\n"); err != nil {
		t.Errorf("without components: %v", err)
	}
	wrong := param.Schema{{Name: "a", Type: param.Float, Default: func() {}}}
	if _, err := Schema([]Offer{{component.Info{Name: component.Name{Kind: component.Task, Short: "t"}, Params: wrong}, "p"}}); err == nil {
		t.Error("a default that is no JSON was written")
	}
}
