package experiment

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The parts of a path, as regular expressions: an element of fit or compare, an index.
const (
	elementForm = `(\.[A-Za-z0-9_-]+|\[[0-9]{1,6}\])`
	indexForm   = `\[[0-9]{1,6}\]`
)

// matrix is the mapping from paths to lists of values. Paths of stages that are there once are listed, for completion; those of fits and comparisons have forms.
func (s *schema) matrix() object {
	properties, patterns := object{}, object{}
	scalar := object{"type": []string{"boolean", "number", "string"}}
	add := func(p stagePlace, path, doc string, items any) {
		axis := object{"type": "array", "minItems": 1, "maxItems": maxPoints, "uniqueItems": true, "items": items}
		if doc != "" {
			axis["description"] = doc
		}
		if p.list {
			patterns["^"+p.stage+elementForm+path+"$"] = axis
		} else {
			properties[p.stage+strings.ReplaceAll(path, `\.`, ".")] = axis
		}
	}
	params := func(p stagePlace, under string, at stagePlace) {
		add(p, under+`\.params`, "All parameters together.", object{"type": "object"})
		fields := s.parameters(at)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			doc, items := alternatives(fields[name])
			add(p, under+`\.params\.`+name, doc, items)
		}
		lead := "^" + p.stage
		if p.list {
			lead += elementForm
		}
		patterns[lead+under+`\.params\.[A-Za-z_][A-Za-z0-9_-]*`+indexForm+"$"] = object{"type": "array", "minItems": 1, "uniqueItems": true, "items": scalar}
	}
	for _, p := range places() {
		shape := object{"type": "object", "$ref": "#/$defs/" + p.stage}
		add(p, "", "The stage as a whole.", shape)
		if p.list {
			patterns["^"+p.stage+"$"] = object{"description": "The list as a whole.", "type": "array", "minItems": 1, "items": object{"type": "array", "minItems": 1, "items": shape}}
		}
		for _, key := range keysAt(p.stage) {
			switch key {
			case "use":
				add(p, `\.use`, "Which component.", object{"$ref": "#/$defs/use-" + p.stage})
			case "seed":
				add(p, `\.seed`, "The stage's own seed.", object{"$ref": "#/$defs/seed"})
			case "from", "load", "dataset":
				add(p, `\.`+key, "", object{"type": "string", "minLength": 1})
			case "subjects":
				add(p, `\.subjects`, "", object{"type": "array", "minItems": 1, "items": object{"type": "string"}})
				add(p, `\.subjects`+indexForm, "", object{"type": "string"})
			case "params":
				params(p, "", p)
			case "task":
				add(p, `\.task`, "", object{"type": "object"})
				add(p, `\.task\.seed`, "The seed of the trials that are simulated from.", object{"$ref": "#/$defs/seed"})
				params(p, `\.task`, places()[0])
			}
		}
	}
	return object{
		"description": "Run the experiment at every point of the product of these values: paths as for --set, e.g. fit.NAME.params.latent, and lists of values.",
		"type":        "object", "minProperties": 1, "maxProperties": maxAxes, "additionalProperties": false,
		"properties": properties, "patternProperties": patterns,
	}
}

// parameters are those that components at a place have, by name.
func (s *schema) parameters(p stagePlace) map[string][]object {
	out := map[string][]object{}
	for _, o := range s.at(p) {
		for _, f := range o.Params {
			v := valueSchema(f)
			v["description"] = o.Name.String() + ": " + fieldSchema(f)["description"].(string)
			out[f.Name] = append(out[f.Name], v)
		}
	}
	return out
}

// alternatives joins what components say of a parameter of one name.
func alternatives(fields []object) (string, any) {
	var docs, seen []string
	var out []object
	for _, f := range fields {
		doc, _ := f["description"].(string)
		docs = append(docs, doc)
		bare := maps.Clone(f)
		delete(bare, "description")
		text, err := json.Marshal(bare)
		if err == nil && slices.Contains(seen, string(text)) {
			continue
		}
		seen = append(seen, string(text))
		out = append(out, bare)
	}
	if len(out) == 1 {
		return strings.Join(docs, "\n\n"), out[0]
	}
	return strings.Join(docs, "\n\n"), object{"anyOf": out}
}
