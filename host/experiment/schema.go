package experiment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// SchemaID names the JSON Schema of the experiment file.
const SchemaID = "https://github.com/ctdb-host/ctdb/schema/experiment-v1.json"

// Offer is a component and the plugin that offers it.
type Offer struct {
	component.Info
	Plugin string
}

// object is a JSON object; its keys are written in the order of the alphabet.
type object = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of the experiment file, with the parameters of every component that there is, so that an editor completes
// and checks it. What [Read] accepts it accepts, where the matrix does not replace a value that is wrong; it cannot say everything that Read does: names that are
// taken, files that are not there, paths of the matrix to fits that are not there. The same components give the same bytes.
//
// Source of the keywords: https://json-schema.org/draft/2020-12. Only those are used that readers of older drafts know too.
func Schema(offers []Offer) ([]byte, error) {
	s := schema{defs: object{}, offers: sortedOffers(offers)}
	top := struct {
		Schema      string   `json:"$schema"`
		ID          string   `json:"$id"`
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Type        string   `json:"type"`
		Required    []string `json:"required"`
		Additional  bool     `json:"additionalProperties"`
		Properties  object   `json:"properties"`
		AllOf       []object `json:"allOf"`
		Defs        object   `json:"$defs"`
	}{
		Schema: "https://json-schema.org/draft/2020-12/schema", ID: SchemaID,
		Title: "ctdb-host experiment", Description: "A study of computation through dynamics: which component at each stage, its parameters and seeds.",
		Type: "object", Required: []string{"version"}, Properties: s.properties(), AllOf: s.rules(), Defs: s.defs,
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(top); err != nil {
		return nil, fmt.Errorf("experiment: schema: %w", err)
	}
	return b.Bytes(), nil
}

// schema collects definitions.
type schema struct {
	defs   object
	offers []Offer
}

func sortedOffers(offers []Offer) []Offer {
	out := slices.Clone(offers)
	slices.SortStableFunc(out, func(a, b Offer) int {
		return strings.Compare(a.Name.String()+" "+a.Plugin+" "+a.Version, b.Name.String()+" "+b.Plugin+" "+b.Version)
	})
	return out
}

// define keeps a definition and returns a reference to it.
func (s *schema) define(name string, v any) object {
	s.defs[name] = v
	return object{"$ref": "#/$defs/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}
}

func described(doc string, v object) object {
	out := object{"description": doc}
	for k, x := range v {
		out[k] = x
	}
	return out
}

// all holds where every rule does.
func all(rules []object) object {
	if len(rules) == 0 {
		return object{}
	}
	return object{"allOf": rules}
}

// properties are the keys of the file.
func (s *schema) properties() object {
	seed := s.define("seed", object{"type": "integer", "minimum": 0, "maximum": int64(maxSeed)})
	s.define("name", object{"type": "string", "pattern": nameForm.String()})
	for _, p := range places() {
		s.define("use-"+p.stage, s.reference(p))
		s.define(p.stage, s.stage(p))
		s.define(p.stage+"-whole", all(s.whole(p)))
		s.define(p.stage+"-part", all(s.conditions(p, false)))
	}
	one := func(stage, doc string) object {
		return described(doc, object{"type": []string{"object", "null"}, "$ref": "#/$defs/" + stage})
	}
	list := func(stage, doc string) object {
		return object{"description": doc, "type": []string{"array", "null"}, "minItems": 1, "items": object{"type": "object", "$ref": "#/$defs/" + stage}}
	}
	return object{
		"version":  object{"description": "The version of the file's format.", "const": Version},
		"name":     described("What the experiment is called; by default the file's name.", object{"$ref": "#/$defs/name"}),
		"about":    object{"description": "What is asked, and what is expected: it stands at the top of the report.", "type": "string", "minLength": 1, "maxLength": maxText},
		"seed":     described("The seed of every stage that has none of its own; default 0.", seed),
		"seeds":    object{"description": "Run the experiment once for each of these seeds.", "type": "array", "minItems": 1, "maxItems": maxPoints, "uniqueItems": true, "items": seed},
		"matrix":   s.matrix(),
		"task":     one("task", "What the network is trained on, and simulated on."),
		"train":    one("train", "Where the task-trained network comes from: a model to train (use), or a run's train folder (load)."),
		"simulate": one("simulate", "Where the spikes come from: a simulator (use), or an HDF5 file (dataset)."),
		"fit":      list("fit", "Models that are fitted to the spikes."),
		"compare":  list("compare", "Comparators that examine the fitted models against the truth."),
	}
}

// place is a stage of the file with what may stand there.
type stagePlace struct {
	stage string
	kind  component.Kind
	// can is what a component must be capable of; empty for nothing.
	can component.Capability
	// other is the key that may stand instead of use; empty for none.
	other string
	list  bool
}

func places() []stagePlace {
	return []stagePlace{
		{stage: "task", kind: component.Task},
		{stage: "train", kind: component.Model, can: component.TrainsOnTask, other: "load"},
		{stage: "simulate", kind: component.Simulator, other: "dataset"},
		{stage: "fit", kind: component.Model, can: component.TrainsOnData, other: "load", list: true},
		{stage: "compare", kind: component.Comparator, list: true},
	}
}

// stage is the shape of a stage, whatever its component.
func (s *schema) stage(p stagePlace) object {
	path := object{"type": "string", "minLength": 1}
	params := object{"description": "The component's parameters; `ctdb-host describe COMPONENT` shows them.", "type": []string{"object", "null"}}
	seed := described("The stage's own seed; by default the experiment's.", object{"$ref": "#/$defs/seed"})
	known := object{
		"use": object{"$ref": "#/$defs/use-" + p.stage}, "params": params, "seed": seed,
		"name":    described("Unique among the entries; by default the component's short name.", object{"$ref": "#/$defs/name"}),
		"load":    described("A folder of an earlier run to take the model from; relative paths start from this file.", path),
		"from":    described("Weights that the training begins with: a run's folder, the folder of a trained model, or a safetensors file; relative paths start from this file.", path),
		"dataset": described("An HDF5 file with spikes; relative paths start from this file.", path),
		"subjects": object{"description": "What is compared: truth, and names of fits. By default everything.", "type": []string{"array", "null"},
			"minItems": 1, "uniqueItems": true, "items": object{"type": "string"}},
		"task": object{"description": fmt.Sprintf("The trials that are simulated from: parameters laid over the task's, and their seed (default %d).", DefaultTrialsSeed),
			"type": []string{"object", "null"}, "additionalProperties": false,
			"properties": object{"params": params, "seed": described("", object{"$ref": "#/$defs/seed"})}},
	}
	if p.stage == "fit" {
		known["name"] = object{"description": "Unique among the fits; by default the component's short name.", "allOf": []object{
			{"$ref": "#/$defs/name"}, {"not": object{"type": "string", "pattern": "^[Tt][Rr][Uu][Tt][Hh]$"}},
		}}
	}
	properties := object{}
	for _, key := range keysAt(p.stage) {
		properties[key] = known[key]
	}
	return object{"additionalProperties": false, "properties": properties}
}

// whole are the rules of a stage that no matrix completes.
func (s *schema) whole(p stagePlace) []object {
	out := s.conditions(p, true)
	if p.other == "" {
		return append(out, object{"if": object{"type": "object"}, "then": object{"required": []string{"use"}}})
	}
	beside := []string{"params", "seed"}
	if p.stage == "simulate" {
		beside = append(beside, "task")
	} else {
		beside = append(beside, "from")
	}
	no := object{}
	for _, key := range beside {
		no[key] = false
	}
	return append(out,
		object{"if": object{"type": "object"}, "then": object{"oneOf": []object{{"required": []string{"use"}}, {"required": []string{p.other}}}}},
		object{"if": object{"type": "object", "required": []string{p.other}}, "then": object{"properties": no}})
}

// rules are those that span stages.
func (s *schema) rules() []object {
	out := []object{{"not": object{"required": []string{"seed", "seeds"}}}}
	for _, p := range places() {
		at := func(kind string) object {
			rule := object{"$ref": "#/$defs/" + p.stage + "-" + kind}
			if p.list {
				rule = object{"items": rule}
			}
			return object{"properties": object{p.stage: rule}}
		}
		deep := `^` + p.stage + `(\.[^.]+|\[[0-9]+\])?(\.(use|params))?$`
		if !p.list {
			deep = `^` + p.stage + `(\.(use|params))?$`
		}
		out = append(out,
			object{"if": varies(`^` + p.stage + `([.[]|$)`), "then": object{"if": object{"not": varies(deep)}, "then": at("part")}, "else": at("whole")})
	}
	out = append(out, s.trials()...)
	needs := func(stage string, rule object, need ...string) object {
		if stage == "fit" {
			rule = object{"type": "array", "contains": rule}
		}
		return object{"if": object{"required": []string{stage}, "properties": object{stage: rule}}, "then": object{"required": need}}
	}
	use := object{"type": "object", "required": []string{"use"}}
	return append(out, object{"if": object{"not": object{"required": []string{"matrix"}}}, "then": object{
		"anyOf": []object{{"required": []string{"train"}}, {"required": []string{"simulate"}}, {"required": []string{"fit"}}, {"required": []string{"compare"}}},
		"allOf": []object{
			needs("train", use, "task"), needs("simulate", use, "task", "train"), needs("fit", use, "simulate"),
			// Trained networks may be compared on their task alone.
			{"if": object{"required": []string{"compare"}, "properties": object{"compare": object{"type": "array"}}},
				"then": object{"anyOf": []object{{"required": []string{"simulate"}}, {"required": []string{"task", "train"}}}}},
		},
	}})
}

// varies holds where a path of the matrix has a form.
func varies(pattern string) object {
	return object{"required": []string{"matrix"}, "properties": object{"matrix": object{"type": "object", "not": object{"propertyNames": object{"not": object{"pattern": pattern}}}}}}
}

// trials are the rules of what is laid over the task for the simulation: parameters of the task.
func (s *schema) trials() []object {
	var out []object
	for _, p := range places()[:1] {
		for _, c := range s.choices(p) {
			out = append(out, object{
				"if":   object{"not": varies(`^task(\.use)?$`), "required": []string{"task"}, "properties": object{"task": c.when()}},
				"then": object{"properties": object{"simulate": object{"properties": object{"task": object{"properties": object{"params": c.params}}}}}},
			})
		}
	}
	return out
}
