package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// The attributes of a file that the host itself writes and looks at.
const (
	formatAttribute   = "format"
	namesAttribute    = "attributes" // a JSON list of the names of the others
	contentAttribute  = "content_sha256"
	countsAttribute   = "counts"
	binWidthAttribute = "bin_width"
	firstBinAttribute = "first_bin"
)

// Attributes are the remarks on an HDF5 file. Integers and bools (as 0 and 1) are stored as int64 scalars, floats as float64, strings as UTF-8
// strings of fixed length (h5py gives bytes) of at most 65000 bytes, and anything else as the text of its JSON. Read back, a value is an int64, a float64 or a
// string. Of another program's file only format, counts, bin_width, first_bin and content_sha256 are read, and no strings of variable length, such as h5py writes.
type Attributes map[string]any

// Int returns a whole number.
func (a Attributes) Int(name string) (int64, bool) {
	v, ok := a[name].(int64)
	return v, ok
}

// Float returns a number.
func (a Attributes) Float(name string) (float64, bool) {
	switch v := a[name].(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// Text returns a string.
func (a Attributes) Text(name string) string {
	s, _ := a[name].(string)
	return s
}

// flat reduces the values to what putAttribute takes.
func (a Attributes) flat() (Attributes, error) {
	out := make(Attributes, len(a))
	for name, value := range a {
		v, err := flatten(value)
		if err == nil && (name == "" || strings.ContainsRune(name, 0)) {
			err = fmt.Errorf("a name without zero bytes is needed")
		}
		if err != nil {
			return nil, fmt.Errorf("artifact: attribute %q: %w", name, err)
		}
		out[name] = v
	}
	return out, nil
}

func flatten(value any) (any, error) {
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("text without zero bytes is needed")
		}
		return v, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
		return fmt.Sprint(v), nil
	case float64:
		return v, nil
	case Number:
		return float64(v), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(finite(value)); err != nil {
		return nil, err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// put writes the attributes in the order of their names, with the lock held.
func (a Attributes) put(object int64) error {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if err := putAttribute(object, name, a[name]); err != nil {
			return err
		}
	}
	return nil
}

// describe are the attributes that say what an array means.
func describe(axes []string, unit string) Attributes {
	a := Attributes{}
	if len(axes) > 0 {
		a[axesAttribute] = axes
	}
	if unit != "" {
		a[unitAttribute] = unit
	}
	return a
}

const (
	axesAttribute = "axes" // a JSON list, e.g. ["trial","bin","neuron"]
	unitAttribute = "unit"
)

// axes reads the axes of an array of some rank; what does not fit is let be.
func (a Attributes) axes(rank int) []string {
	var axes []string
	if json.Unmarshal([]byte(a.Text(axesAttribute)), &axes) != nil || len(axes) != rank {
		return nil
	}
	return axes
}

// fileAttributes reads the attributes of a file, with the lock held.
func fileAttributes(root int64) (Attributes, error) {
	a, err := attributesOf(root, formatAttribute, namesAttribute, contentAttribute, countsAttribute, binWidthAttribute)
	if err != nil {
		return nil, err
	}
	var names []string
	if text := a.Text(namesAttribute); text != "" {
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return nil, fmt.Errorf("attribute %q is %.100q: a JSON list of names is needed", namesAttribute, text)
		}
		delete(a, namesAttribute)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" || strings.ContainsRune(n, 0) })
	more, err := attributesOf(root, names...)
	if err != nil {
		return nil, err
	}
	maps.Copy(a, more)
	return a, nil
}
