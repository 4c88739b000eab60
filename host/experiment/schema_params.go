package experiment

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// at lists the offers that may stand at a place.
func (s *schema) at(p stagePlace) []Offer {
	return slices.DeleteFunc(slices.Clone(s.offers), func(o Offer) bool {
		return o.Name.Kind != p.kind || (p.can != "" && !o.Can(p.can))
	})
}

// reference is the value of use: a component's name, alone or with its plugin and a version.
func (s *schema) reference(p stagePlace) object {
	var plain, qualified, patterns, docs []string
	for _, o := range s.at(p) {
		name := o.Name.String()
		if !slices.Contains(plain, name) {
			plain = append(plain, name)
			docs = append(docs, "- "+name+": "+o.Doc)
		}
		if q := o.Plugin + ":" + name; !slices.Contains(qualified, q) {
			qualified = append(qualified, q)
			patterns = append(patterns, "^"+regexp.QuoteMeta(o.Plugin)+"@[^:]+:"+regexp.QuoteMeta(name)+"$")
		}
	}
	alternatives := []object{}
	if len(plain) > 0 {
		alternatives = append(alternatives, object{"enum": append(plain, qualified...)})
	}
	for _, form := range patterns {
		alternatives = append(alternatives, object{"pattern": form})
	}
	out := object{"type": "string", "description": fmt.Sprintf("The %s; PLUGIN:%s/NAME and PLUGIN@VERSION:%s/NAME say whose.\n\n%s", p.kind, p.kind, p.kind, strings.Join(docs, "\n"))}
	if len(alternatives) == 0 {
		out["pattern"] = "(^|:)" + string(p.kind) + "/"
		return out
	}
	out["anyOf"] = alternatives
	return out
}

// choice is a component that may be used, with its parameters.
type choice struct {
	pattern string
	params  object
	// required are the parameters without default that every version has.
	required []string
}

// when holds for a mapping that uses the component.
func (c choice) when() object {
	return object{"type": "object", "required": []string{"use"}, "properties": object{"use": object{"pattern": c.pattern}}}
}

// choices are the components that may stand at a place. Those of one name whose parameters differ are told apart by their plugins, as far as that goes.
func (s *schema) choices(p stagePlace) []choice {
	byName := map[string][]Offer{}
	var names []string
	for _, o := range s.at(p) {
		n := o.Name.String()
		if byName[n] == nil {
			names = append(names, n)
		}
		byName[n] = append(byName[n], o)
	}
	var out []choice
	for _, name := range names {
		offers, n := byName[name], regexp.QuoteMeta(name)
		if !slices.ContainsFunc(offers, func(o Offer) bool { return !reflect.DeepEqual(fieldsOf(o), fieldsOf(offers[0])) }) {
			out = append(out, s.choice("^([^:]+:)?"+n+"$", name, offers[:1]))
			continue
		}
		out = append(out, s.choice("^"+n+"$", name, offers))
		for len(offers) > 0 {
			plugin := offers[0].Plugin
			same := func(o Offer) bool { return o.Plugin == plugin }
			var own []Offer
			for _, o := range offers {
				if same(o) {
					own = append(own, o)
				}
			}
			out = append(out, s.choice("^"+regexp.QuoteMeta(plugin)+"(@[^:]+)?:"+n+"$", plugin+":"+name, own))
			offers = slices.DeleteFunc(slices.Clone(offers), same)
		}
	}
	return out
}

// fieldsOf are the parameters as they are written; bounds that are not there are not numbers, and as such not equal.
func fieldsOf(o Offer) []string {
	var out []string
	for _, f := range o.Params {
		out = append(out, fmt.Sprintf("%#v", f))
	}
	return out
}

func (s *schema) choice(pattern, name string, offers []Offer) choice {
	c := choice{pattern: pattern}
	var versions []object
	for i, o := range offers {
		properties := object{}
		var required []string
		for _, f := range o.Params {
			properties[f.Name] = fieldSchema(f)
			if f.Default == nil {
				required = append(required, f.Name)
			}
		}
		if i == 0 {
			c.required = required
		}
		c.required = slices.DeleteFunc(c.required, func(n string) bool { return !slices.Contains(required, n) })
		versions = append(versions, object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties, "title": o.Name.String() + " " + o.Version, "description": o.Doc})
	}
	if len(versions) == 1 {
		c.params = s.define(name, versions[0])
	} else {
		c.params = s.define(name, object{"anyOf": versions})
	}
	return c
}

// conditions say which parameters go with which component; all of them are needed where whole.
func (s *schema) conditions(p stagePlace, whole bool) []object {
	out := []object{}
	for _, c := range s.choices(p) {
		then := object{"properties": object{"params": c.params}}
		if whole && len(c.required) > 0 {
			then = object{"required": []string{"params"}, "properties": object{"params": object{"type": "object", "required": c.required, "allOf": []object{c.params}}}}
		}
		out = append(out, object{"if": c.when(), "then": then})
	}
	return out
}

// fieldSchema is one parameter.
func fieldSchema(f param.Field) object {
	out := valueSchema(f)
	doc := f.Doc
	var more []string
	if f.Unit != "" {
		more = append(more, "unit: "+f.Unit)
	}
	if r := f.Range(); r != "" {
		more = append(more, r)
	}
	if f.Default == nil {
		more = append(more, "required")
	} else {
		out["default"] = f.Default
		more = append(more, "default "+value(f.Default))
	}
	out["description"] = doc + " (" + strings.Join(more, "; ") + ")"
	return out
}

func valueSchema(f param.Field) object {
	out := object{}
	element := out
	switch f.Type {
	case param.Ints, param.Floats, param.Strings:
		element = object{}
		out["type"], out["items"] = "array", element
	}
	switch f.Type {
	case param.Bool:
		element["type"] = "boolean"
	case param.Int, param.Ints:
		element["type"] = "integer"
	case param.Float, param.Floats:
		element["type"] = "number"
	case param.String, param.Strings:
		element["type"] = "string"
		if len(f.Choices) > 0 {
			element["enum"] = f.Choices
		}
	}
	for key, bound := range map[string]float64{"minimum": f.Min, "maximum": f.Max, "exclusiveMinimum": f.Above, "exclusiveMaximum": f.Below} {
		if !math.IsNaN(bound) && !math.IsInf(bound, 0) {
			element[key] = bound
		}
	}
	return out
}
