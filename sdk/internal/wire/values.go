package wire

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// ToValues returns the messages of parameters, resolved or as a user gave them: any integer and float type, strings, booleans, and lists of one of
// these. All that cannot be sent are reported together, in an InvalidArgumentError with paths "params.NAME".
func ToValues(values param.Values) (map[string]*pluginv1.Value, error) {
	out := make(map[string]*pluginv1.Value, len(values))
	var problems []param.Problem
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v, ok := toValue(reflect.ValueOf(values[name]))
		if !ok {
			problems = append(problems, param.Problem{
				Path:    "params." + name,
				Message: fmt.Sprintf("%v: a bool, a number, a string or a list of numbers or strings is needed", values[name]),
			})
			continue
		}
		out[name] = v
	}
	if len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	return out, nil
}

func toValue(v reflect.Value) (*pluginv1.Value, bool) {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return nil, false
	case v.Kind() == reflect.Bool:
		return &pluginv1.Value{Value: &pluginv1.Value_Bool{Bool: v.Bool()}}, true
	case v.CanInt():
		return &pluginv1.Value{Value: &pluginv1.Value_Int{Int: v.Int()}}, true
	case v.CanUint():
		return &pluginv1.Value{Value: &pluginv1.Value_Int{Int: int64(v.Uint())}}, v.Uint() <= math.MaxInt64
	case v.CanFloat():
		return &pluginv1.Value{Value: &pluginv1.Value_Float{Float: v.Float()}}, true
	case v.Kind() == reflect.String:
		return &pluginv1.Value{Value: &pluginv1.Value_String_{String_: v.String()}}, true
	case v.Kind() == reflect.Slice:
		return toList(v)
	}
	return nil, false
}

// toList makes a list of ints where all elements are, of floats where all are numbers, of strings where all are; an empty one is of the slice's own type.
func toList(v reflect.Value) (*pluginv1.Value, bool) {
	var ints []int64
	var floats []float64
	var texts []string
	for i := range v.Len() {
		e, ok := toValue(v.Index(i))
		if !ok {
			return nil, false
		}
		switch e := e.GetValue().(type) {
		case *pluginv1.Value_Int:
			ints, floats = append(ints, e.Int), append(floats, float64(e.Int))
		case *pluginv1.Value_Float:
			floats = append(floats, e.Float)
		case *pluginv1.Value_String_:
			texts = append(texts, e.String_)
		default:
			return nil, false
		}
	}
	n, elem := v.Len(), v.Type().Elem().Kind()
	switch {
	case len(texts) == n && (n > 0 || elem == reflect.String):
		return &pluginv1.Value{Value: &pluginv1.Value_Strings{Strings: &pluginv1.Strings{Values: texts}}}, true
	case len(ints) == n && (n > 0 || (elem != reflect.Float64 && elem != reflect.Float32)):
		return &pluginv1.Value{Value: &pluginv1.Value_Ints{Ints: &pluginv1.Ints{Values: ints}}}, true
	case len(floats) == n:
		return &pluginv1.Value{Value: &pluginv1.Value_Floats{Floats: &pluginv1.Floats{Values: floats}}}, true
	}
	return nil, false
}

// FromValues reads the messages of parameters. A value of a kind that this side does not know is nil, which no schema takes.
func FromValues(values map[string]*pluginv1.Value) param.Values {
	out := make(param.Values, len(values))
	for name, v := range values {
		out[name] = fromValue(v)
	}
	return out
}

func fromValue(v *pluginv1.Value) any {
	switch v := v.GetValue().(type) {
	case *pluginv1.Value_Bool:
		return v.Bool
	case *pluginv1.Value_Int:
		return v.Int
	case *pluginv1.Value_Float:
		return v.Float
	case *pluginv1.Value_String_:
		return v.String_
	case *pluginv1.Value_Ints:
		return append([]int64{}, v.Ints.GetValues()...)
	case *pluginv1.Value_Floats:
		return append([]float64{}, v.Floats.GetValues()...)
	case *pluginv1.Value_Strings:
		return append([]string{}, v.Strings.GetValues()...)
	}
	return nil
}

var types = pairs[param.Type, pluginv1.Type]{
	{param.Bool, pluginv1.Type_TYPE_BOOL},
	{param.Int, pluginv1.Type_TYPE_INT},
	{param.Float, pluginv1.Type_TYPE_FLOAT},
	{param.String, pluginv1.Type_TYPE_STRING},
	{param.Ints, pluginv1.Type_TYPE_INTS},
	{param.Floats, pluginv1.Type_TYPE_FLOATS},
	{param.Strings, pluginv1.Type_TYPE_STRINGS},
}

// ToSchema returns the messages of a schema.
func ToSchema(s param.Schema) []*pluginv1.Field {
	bound := func(x float64) *float64 {
		if math.IsNaN(x) {
			return nil
		}
		return &x
	}
	out := make([]*pluginv1.Field, len(s))
	for i, f := range s {
		m := &pluginv1.Field{
			Name: f.Name, Unit: f.Unit, Choices: f.Choices, Doc: f.Doc,
			Min: bound(f.Min), Max: bound(f.Max), Above: bound(f.Above), Below: bound(f.Below),
		}
		m.Type, _ = types.to(f.Type)
		if f.Default != nil {
			m.Default, _ = toValue(reflect.ValueOf(f.Default))
		}
		out[i] = m
	}
	return out
}

// FromSchema reads the messages of a schema. A field of an unknown type is an InvalidArgumentError.
func FromSchema(fields []*pluginv1.Field) (param.Schema, error) {
	bound := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	var out param.Schema
	for _, m := range fields {
		f := param.Field{
			Name: m.GetName(), Unit: m.GetUnit(), Choices: m.GetChoices(), Doc: m.GetDoc(),
			Min: bound(m.Min), Max: bound(m.Max), Above: bound(m.Above), Below: bound(m.Below),
		}
		t, ok := types.from(m.GetType())
		if !ok || t == param.Invalid {
			return nil, component.Invalid("params."+m.GetName()+".type", "%d is not a type of parameter", m.GetType())
		}
		f.Type = t
		if m.GetDefault() != nil {
			f.Default = fromValue(m.GetDefault())
		}
		out = append(out, f)
	}
	return out, nil
}
