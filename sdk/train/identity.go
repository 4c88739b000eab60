package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// identity is Identity with what a checkpoint is compared by besides.
func (c *Config) identity() string {
	s := c.Identity
	if len(c.ParamGroups) > 0 {
		s += fmt.Sprintf(" %+v", c.ParamGroups)
	}
	if c.Monitor != "" || c.Smoothing != 0 {
		s += fmt.Sprintf(" %q %v", c.Monitor, c.Smoothing)
	}
	return s
}

// Identity returns a text that is the same for the same parameters, target and precision: for Config.Identity. What it is given is compared as JSON has it, with numbers that are
// not finite, such as the bounds of actions that have none, as text.
func Identity[F kernel.Float](of ...any) (string, error) {
	of = append(of, fmt.Sprintf("%T", F(0)))
	b, err := json.Marshal(of)
	var not *json.UnsupportedValueError
	if errors.As(err, &not) {
		b, err = json.Marshal(spelled(reflect.ValueOf(of)))
	}
	if err != nil {
		return "", fmt.Errorf("train: identity: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// spelled is a value that JSON can hold whatever its numbers are: those that are not finite are text, structures are maps by the names of their exported fields.
func spelled(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if x := v.Float(); math.IsInf(x, 0) || math.IsNaN(x) {
			return strconv.FormatFloat(x, 'g', -1, 64)
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return spelled(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous && v.Field(i).Kind() == reflect.Struct {
				fields[f.Name] = spelled(v.Field(i))
			}
		}
		return fields
	case reflect.Map:
		entries := map[string]any{}
		for _, k := range v.MapKeys() {
			entries[fmt.Sprint(k)] = spelled(v.MapIndex(k))
		}
		return entries
	case reflect.Slice, reflect.Array:
		elements := make([]any, v.Len())
		for i := range elements {
			elements[i] = spelled(v.Index(i))
		}
		return elements
	}
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}
