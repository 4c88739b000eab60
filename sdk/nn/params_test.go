package nn

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func TestParams(t *testing.T) {
	a, b := NewParams[float32](3), NewParams[float64](3)
	a.Cell(kernel.CellGRU, "cell", "", 3, 7)
	a.Linear("readout", 7, 2)
	b.Linear("readout", 7, 2)
	b.Cell(kernel.CellGRU, "cell", "", 3, 7)
	bound := map[string]float64{"cell.weight_ih": 1 / math.Sqrt(7), "cell.weight_hh": 1 / math.Sqrt(7), "cell.bias_ih": 1 / math.Sqrt(7), "cell.bias_hh": 1 / math.Sqrt(7),
		"readout.weight": 1 / math.Sqrt(7), "readout.bias": 1 / math.Sqrt(7)}
	for _, q := range a.All() {
		for i, v := range q.Value {
			if v != float32(b.Get(q.Name)[i]) {
				t.Fatalf("%s depends on the order or the type", q.Name)
			}
			if math.Abs(float64(v)) > bound[q.Name] {
				t.Errorf("%s[%d] is %v", q.Name, i, v)
			}
		}
		if q.Offset%align != 0 {
			t.Errorf("%s is at %d", q.Name, q.Offset)
		}
	}
	// A uniform variable on [-k, k] has the standard deviation k/sqrt(3).
	wide := NewParams[float64](1)
	wide.Uniform("x", 2, 100, 100)
	sum, squares := 0.0, 0.0
	for _, v := range wide.Get("x") {
		sum, squares = sum+v/1e4, squares+v*v/1e4
	}
	if math.Abs(sum) > 5*2/math.Sqrt(3e4) || math.Abs(squares-4.0/3) > 0.05 {
		t.Errorf("mean %v, mean square %v", sum, squares)
	}
	c := b.Clone()
	if err := b.Load(a.Save()); err != nil {
		t.Fatal(err)
	}
	if b.Get("cell.weight_hh")[0] != float64(a.Get("cell.weight_hh")[0]) || c.Get("cell.weight_hh")[0] == b.Get("cell.weight_hh")[0] {
		t.Error("loading did not change the values, or changed a clone")
	}
	before := slices.Clone(b.Flat())
	bad := tensor.Set{tensor.New32("cell.weight_ih", 3, 21), tensor.NewInt("cell.weight_hh", 21, 7), tensor.New32("other", 1)}
	var m *MismatchError
	if err := b.Load(bad); !errors.As(err, &m) || len(m.Missing) != 4 || len(m.Unknown) != 1 || len(m.Shapes) != 2 {
		t.Errorf("error is %v", err)
	}
	if !slices.Equal(before, b.Flat()) {
		t.Error("a failed load changed something")
	}
	// What is finite in double precision and not in that of the network is refused too.
	huge := b.Save()
	huge.Get("readout.bias").F64[1] = 1e39
	if err := a.Load(huge); !errors.As(err, &m) || len(m.Shapes) != 1 || !strings.HasPrefix(m.Shapes[0], "readout.bias: 1e+39 is beyond single precision") {
		t.Errorf("error is %v", err)
	}
	if err := c.Load(huge); err != nil {
		t.Errorf("in double precision: %v", err)
	}
	b.Zeros("cell.weight_ih", 3)
	if b.Err() == nil {
		t.Error("a name was taken twice")
	}
	b = NewParams[float64](0)
	b.Zeros("x", 3, 0)
	if b.Err() == nil {
		t.Error("an empty parameter was added")
	}
	// A cell without inputs has the names and shapes of PyTorch's; weights that lack the empty one are its weights too.
	b = NewParams[float64](0)
	b.Cell(kernel.CellGRU, "cell", "", 0, 7)
	all := b.Save()
	if w := all.Get("cell.weight_ih"); b.Err() != nil || w == nil || w.Check() != nil || !slices.Equal(w.Shape, []int{21, 0}) {
		t.Fatalf("weight_ih without inputs is %+v, %v", w, b.Err())
	}
	for _, set := range []tensor.Set{all, all[1:]} {
		if err := b.Clone().Load(set); err != nil {
			t.Errorf("%v: %v", set.Names(), err)
		}
	}
	if err := b.Load(tensor.Set{tensor.New64("cell.weight_ih", 21, 1), all[1], all[2], all[3]}); !errors.As(err, &m) || len(m.Shapes) != 1 {
		t.Errorf("weight_ih with an input: %v", err)
	}
}

func TestBuffers(t *testing.T) {
	p := NewParams[float64](3)
	p.Zeros("a", 2)
	p.NormalBuffer("chi", 0.5, 100, 100)
	p.Zeros("b", 3)
	if len(p.All()) != 2 || p.Count() != 5 || len(p.Flat()) != 2*align {
		t.Errorf("the buffer is among the parameters: %d of %d, flat %d", len(p.All()), p.Count(), len(p.Flat()))
	}
	mean, square := 0.0, 0.0
	for _, v := range p.Get("chi") {
		mean, square = mean+v/1e4, square+v*v/1e4
	}
	if math.Abs(mean) > 5*.5/100 || math.Abs(square-.25) > .02 {
		t.Errorf("mean %v, mean square %v", mean, square)
	}
	w := p.Save()
	if names := w.Names(); !slices.Equal(names, []string{"a", "b", "chi"}) {
		t.Errorf("saved are %v", names)
	}
	if len(p.SaveFlat(p.Flat())) != 2 || p.LoadFlat(p.Flat(), p.SaveFlat(p.Flat())) != nil {
		t.Error("a checkpoint's weights are not those without buffers")
	}
	c := p.Clone()
	w.Get("chi").F64[7] = 42
	if err := p.Load(w); err != nil {
		t.Fatal(err)
	}
	if p.Get("chi")[7] != 42 || c.Get("chi")[7] == 42 || p.Float64()["chi"][7] != 42 {
		t.Error("loading did not change the buffer, or changed a clone's")
	}
	var e *MismatchError
	if err := p.Load(tensor.Set{tensor.New64("a", 2), tensor.New64("b", 3), tensor.New64("chi", 3)}); !errors.As(err, &e) || len(e.Shapes) != 1 {
		t.Errorf("a buffer of another shape: %v", err)
	}
	if err := p.Load(tensor.Set{tensor.New64("a", 2), tensor.New64("b", 3)}); !errors.As(err, &e) || len(e.Missing) != 1 {
		t.Errorf("a buffer is missing: %v", err)
	}
	p.NormalBuffer("a", 1, 2)
	if p.Err() == nil {
		t.Error("a buffer took a parameter's name")
	}
	p = NewParams[float64](3)
	p.NormalBuffer("chi", 1, 0)
	if p.Err() == nil {
		t.Error("an empty buffer was added")
	}
}
