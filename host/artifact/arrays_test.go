package artifact

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func TestArraysRoundTrip(t *testing.T) {
	dir := t.TempDir()
	matrix := tensor.From64("angular", []float64{0, 1.5, 1.5, math.NaN()}, 2, 2).With("rad", "subject", "subject")
	make := func(name string, sizes ...int) string {
		path := filepath.Join(dir, name)
		w, err := CreateArrays(path, ArraysOptions{Trials: map[task.Split]int{task.Train: 7, task.Valid: 3}, Attributes: Attributes{"model": "gru-64"}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		if err := w.WriteSet(tensor.Set{matrix, tensor.New32("scalar"), tensor.NewInt("none", 0, 3)}); err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, n := range sizes {
			if err := w.Write(task.Train, trials(at, n)); err != nil {
				t.Fatal(err)
			}
			at += n
		}
		if err := w.WriteAll(t.Context(), task.Valid, tensor.Of(trials(20, 1), trials(21, 2))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := make("a.h5", 7)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(make("b.h5", 1, 4, 2)); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the bytes depend on the blocks (%v)", err)
	}
	a, err := OpenArrays(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if !slices.Equal(a.Splits(), []task.Split{task.Train, task.Valid}) || a.Trials(task.Train) != 7 || a.Trials(task.All) != 0 {
		t.Errorf("splits %v, %d, %d trials", a.Splits(), a.Trials(task.Train), a.Trials(task.All))
	}
	if !slices.Equal(a.Names(), []string{"angular", "none", "scalar"}) || a.Attributes().Text("model") != "gru-64" {
		t.Errorf("names %v, attributes %v", a.Names(), a.Attributes())
	}
	m, err := a.Get("angular")
	if err != nil || !slices.Equal(m.F64[:3], matrix.F64[:3]) || !math.IsNaN(m.F64[3]) || m.Unit != "rad" || !slices.Equal(m.Axes, matrix.Axes) {
		t.Errorf("matrix %+v, %v", m, err)
	}
	if s, err := a.Get("scalar"); err != nil || len(s.Shape) != 0 || len(s.F32) != 1 {
		t.Errorf("scalar %+v, %v", s, err)
	}
	if s, err := a.Get("none"); err != nil || !slices.Equal(s.Shape, []int{0, 3}) {
		t.Errorf("an array without elements: %+v, %v", s, err)
	}
	want := trials(20, 3)
	if infos := a.Arrays(task.Valid); len(infos) != len(want.Arrays) || !a.Has(task.Valid, "latents") || a.Has(task.All, "latents") || a.Has(task.Valid, "trials") {
		t.Errorf("arrays %+v", infos)
	}
	got, err := tensor.Collect(a.Blocks(t.Context(), task.Valid, nil, 2))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Trials, want.Trials) {
		t.Errorf("trials %v, want %v", got.Trials, want.Trials)
	}
	for _, w := range want.Arrays {
		g := got.Arrays.Get(w.Name)
		if g == nil || g.DType() != w.DType() || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Float64s(), w.Float64s()) || g.Unit != w.Unit {
			t.Errorf("%s: %+v", w.Name, g)
		}
	}
	if _, err := a.Get("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an array that is not there: %v", err)
	}
	for _, blocks := range []tensor.Blocks{a.Blocks(t.Context(), task.All, nil, 0), a.Blocks(t.Context(), task.Train, []string{"absent"}, 0)} {
		if _, err := tensor.Collect(blocks); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("blocks that are not there: %v", err)
		}
	}
}

func TestArraysRefuse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.h5")
	for name, o := range map[string]ArraysOptions{
		"split":     {Trials: map[task.Split]int{"test": 1}},
		"no trials": {Trials: map[task.Split]int{task.Train: 0}},
	} {
		if w, err := CreateArrays(path, o); err == nil {
			w.Abort()
			t.Errorf("%s: no error", name)
		}
	}
	for name, do := range map[string]func(w *ArraysWriter) error{
		"split not announced": func(w *ArraysWriter) error { return w.Write(task.Valid, trials(0, 1)) },
		"too many":            func(w *ArraysWriter) error { return w.Write(task.Train, trials(0, 3)) },
		"too few":             func(w *ArraysWriter) error { return w.Write(task.Train, trials(0, 1)) },
		"name like a split's": func(w *ArraysWriter) error { return w.WriteSet(tensor.Set{tensor.New32("train_x", 1)}) },
		"slash":               func(w *ArraysWriter) error { return w.WriteSet(tensor.Set{tensor.New32("a/b", 1)}) },
		"twice": func(w *ArraysWriter) error {
			return errors.Join(w.WriteSet(tensor.Set{tensor.New32("a", 1)}), w.WriteSet(tensor.Set{tensor.New32("a", 1)}))
		},
		"wrong shape": func(w *ArraysWriter) error { return w.WriteSet(tensor.Set{tensor.From32("a", nil, 1)}) },
	} {
		w, err := CreateArrays(path, ArraysOptions{Trials: map[task.Split]int{task.Train: 2}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(do(w), w.Close()); err == nil {
			t.Errorf("%s: no error", name)
		}
		w.Abort()
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the folder has %v", left)
	}
	for name, m := range map[string]map[string]*tensor.Tensor{
		"trials of floats": {"train_trials": tensor.New32("", 3)},
		"rows":             {"train_trials": tensor.NewInt("", 3), "train_x": tensor.New32("", 2, 2)},
		"scalar":           {"train_trials": tensor.NewInt("", 3), "train_x": tensor.New32("")},
	} {
		raw(t, path, m, nil)
		if a, err := OpenArrays(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
			if err == nil {
				a.Close()
			}
		}
	}
}
