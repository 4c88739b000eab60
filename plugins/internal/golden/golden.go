// Package golden reads golden values for the tests of the built-in components: JSON files of named cases, each with parameters and
// tensors, made with the published references. A test keeps its copy of a file in testdata under the file's own name; the folder that the
// environment variable CTDB_GOLDEN names, where it is set, is read instead.
package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Case is one case of a golden file.
type Case struct {
	Name string
	// Params are the case's parameters, undecoded; see [Case.Decode].
	Params  json.RawMessage
	Tensors map[string]*tensor.Tensor
}

// path is where a file of golden values is.
func path(file string) string {
	dir := "testdata"
	if d := os.Getenv("CTDB_GOLDEN"); d != "" {
		dir = d
	}
	return filepath.Join(dir, file)
}

// Weights returns the tensors of a safetensors file whose names begin with prefix and a dot, without these; all where prefix is empty. A file that cannot be read, or has none, fails the test.
func Weights(t testing.TB, file, prefix string) tensor.Set {
	t.Helper()
	f, err := os.Open(path(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, _, err := tensor.ReadSafetensors(f, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var out tensor.Set
	if prefix == "" {
		return all
	}
	for _, w := range all {
		if name, ok := strings.CutPrefix(w.Name, prefix+"."); ok {
			out = append(out, w.Named(name))
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no weights of %s", file, prefix)
	}
	return out
}

// Read returns the cases of a file in order. A file that cannot be read, or is malformed, fails the test.
func Read(t testing.TB, file string) []Case {
	t.Helper()
	data, err := os.ReadFile(path(file))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := parse(data)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return cases
}

// Select returns the cases that a test is for. It fails where there are none, so that a test of none does not pass.
func Select(t testing.TB, file string, is func(Case) bool) []Case {
	t.Helper()
	out := slices.DeleteFunc(Read(t, file), func(c Case) bool { return !is(c) })
	if len(out) == 0 {
		t.Fatalf("%s has no cases for this test", file)
	}
	return out
}

func parse(data []byte) ([]Case, error) {
	var f struct {
		Cases []struct {
			Name    string
			Params  json.RawMessage
			Tensors map[string]struct {
				Shape []int
				DType string
				Data  json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if len(f.Cases) == 0 {
		return nil, fmt.Errorf("golden: no cases")
	}
	out := make([]Case, len(f.Cases))
	for i, c := range f.Cases {
		out[i] = Case{Name: c.Name, Params: c.Params, Tensors: make(map[string]*tensor.Tensor, len(c.Tensors))}
		for name, g := range c.Tensors {
			a := &tensor.Tensor{Name: name, Shape: g.Shape}
			var into any
			switch g.DType {
			case "float64":
				into = &a.F64
			case "float32":
				into = &a.F32
			case "int64":
				into = &a.I64
			default:
				return nil, fmt.Errorf("golden: %s: %s has type %q", c.Name, name, g.DType)
			}
			if err := json.Unmarshal(g.Data, into); err != nil {
				return nil, fmt.Errorf("golden: %s: %s: %w", c.Name, name, err)
			}
			if err := a.Check(); err != nil {
				return nil, fmt.Errorf("golden: %s: %w", c.Name, err)
			}
			out[i].Tensors[name] = a
		}
	}
	return out, nil
}

// Decode reads the parameters into a struct, given by pointer; a failure fails the test.
func (c Case) Decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(c.Params, into); err != nil {
		t.Fatalf("%s: params: %v", c.Name, err)
	}
}

// Floats returns a tensor's elements as float64; a tensor that is not there fails the test.
func (c Case) Floats(t testing.TB, name string) []float64 {
	t.Helper()
	a := c.Tensors[name]
	if a == nil {
		t.Fatalf("%s: no tensor %q", c.Name, name)
	}
	return a.Float64s()
}

// Ints returns the elements of an int64 tensor; one that is not there, or of another type, fails the test.
func (c Case) Ints(t testing.TB, name string) []int64 {
	t.Helper()
	a := c.Tensors[name]
	if a == nil || a.I64 == nil {
		t.Fatalf("%s: no int64 tensor %q", c.Name, name)
	}
	return a.I64
}
