package artifact

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"gonum.org/v1/hdf5"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// goldenPath is a file of the folder $CTDB_GOLDEN, or of testdata.
func goldenPath(name string) string {
	dir := os.Getenv("CTDB_GOLDEN")
	if dir == "" {
		dir = "testdata"
	}
	return filepath.Join(dir, name)
}

// goldenCase is the description of the golden data set.
type goldenCase struct {
	Params struct {
		File     string
		Datasets map[string]struct {
			Shape []int
			DType string
		}
		SumsOf                  []string `json:"sums_of"`
		Trials, T, Latents      int
		Heldin, Heldout, Inputs int
		Note                    string
	}
	Tensors map[string]struct {
		Shape []int
		Data  []float64
	}
}

func goldenDataset(t *testing.T) (goldenCase, *Dataset) {
	t.Helper()
	var doc struct{ Cases []goldenCase }
	b, err := os.ReadFile(goldenPath("ctdb_dataset.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	c := doc.Cases[0]
	d, err := OpenDataset(goldenPath(c.Params.File))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return c, d
}

// all reads every array of a data set under its name in the file.
func all(t *testing.T, d *Dataset, blockTrials int) map[string]*tensor.Tensor {
	t.Helper()
	out := map[string]*tensor.Tensor{}
	for _, split := range []task.Split{task.Train, task.Valid} {
		b, err := tensor.Collect(d.Blocks(t.Context(), split, nil, blockTrials))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range b.Arrays {
			out[string(split)+"_"+a.Name] = a
		}
		out[string(split)+"_inds"] = tensor.FromInt("inds", b.Trials, len(b.Trials))
	}
	constants, err := d.Constants()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range constants {
		out[a.Name] = a
	}
	return out
}

func TestGoldenDataset(t *testing.T) {
	c, d := goldenDataset(t)
	p := c.Params
	spec := d.Spec()
	if spec.HeldIn != p.Heldin || spec.Neurons != p.Heldin+p.Heldout || spec.Bins != p.T || spec.Inputs != p.Inputs || spec.TrainTrials+spec.ValidTrials != p.Trials {
		t.Errorf("spec %+v of %+v", spec, p)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, blockTrials := range []int{0, 1, 7} {
		have := all(t, d, blockTrials)
		if len(have) != len(p.Datasets) {
			t.Errorf("%d arrays, want %d", len(have), len(p.Datasets))
		}
		for name, want := range p.Datasets {
			got := have[name]
			if got == nil || !slices.Equal(got.Shape, want.Shape) || got.DType().String() != want.DType {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
		for i, name := range p.SumsOf {
			sum := 0.0
			for _, v := range have[name].Float64s() {
				sum += v
			}
			if want := c.Tensors["sums"].Data[i]; math.Abs(sum-want) > 1e-9*math.Abs(want) {
				t.Errorf("%s: sum %v, want %v", name, sum, want)
			}
		}
		rate := have["valid_activity"]
		last := rate.Slice(rate.Shape[0]-1, rate.Shape[0]).Float64s()
		for name, got := range map[string][]float64{
			"first_train_latent": have["train_latents"].Float64s()[:p.Latents],
			"first_train_spikes": have["train_recon_data"].Float64s()[:p.Heldin+p.Heldout],
			"last_valid_rates":   last[len(last)-p.Heldin-p.Heldout:],
			"orig_mean":          have["orig_mean"].Float64s(),
			"orig_std":           have["orig_std"].Float64s(),
			"perm":               have["perm_neurons"].Float64s(),
		} {
			want := c.Tensors[name].Data
			if len(got) != len(want) {
				t.Errorf("%s: %d values, want %d", name, len(got), len(want))
				continue
			}
			for i := range got {
				if float32(got[i]) != float32(want[i]) {
					t.Errorf("%s[%d]: %v, want %v", name, i, got[i], want[i])
				}
			}
		}
	}
}

// What we write has the reference's keys, shapes and types, and the data come back.
func TestGoldenDatasetWritten(t *testing.T) {
	c, d := goldenDataset(t)
	path := filepath.Join(t.TempDir(), "dataset.h5")
	w, err := CreateDataset(path, DatasetOptions{Trials: c.Params.Trials, Neurons: d.Spec().Neurons, HeldIn: d.Spec().HeldIn, Bins: d.Spec().Bins, Counts: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	constants, err := d.Constants()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Constants(constants); err != nil {
		t.Fatal(err)
	}
	// Spikes come as float32 from a simulator, and its extra is not there: types are the file's, not the block's.
	for b, err := range d.Blocks(t.Context(), task.All, nil, 7) {
		if err != nil {
			t.Fatal(err)
		}
		var arrays tensor.Set
		for _, a := range b.Arrays {
			switch a.Name {
			case "encod_data", "recon_data":
				a = tensor.From32(a.Name, a.Float32s(), a.Shape...)
			case "latents", "activity":
				a = tensor.From64(a.Name, a.Float64s(), a.Shape...)
			case "extra":
				continue
			}
			arrays = append(arrays, a)
		}
		if err := w.Write(tensor.Block{Trials: b.Trials, Arrays: arrays}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want, got := structure(t, d.Path()), structure(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("structure %v\nwant %v", got, want)
	}
	mine, err := OpenDataset(path)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	got, want := all(t, mine, 0), all(t, d, 0)
	for name, a := range want {
		b := got[name]
		if !slices.Equal(a.F32, b.F32) || !slices.Equal(a.F64, b.F64) || !slices.Equal(a.I64, b.I64) {
			t.Errorf("%s differs", name)
		}
	}
}

// structure reads with gonum alone what a file holds: "float64 [16 40 50]" by name.
func structure(t *testing.T, path string) map[string]string {
	t.Helper()
	library.Lock()
	defer library.Unlock()
	f, err := hdf5.OpenFile(path, hdf5.F_ACC_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.NumObjects()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i := range n {
		name, err := f.ObjectNameByIndex(i)
		if err != nil {
			t.Fatal(err)
		}
		set, err := f.OpenDataset(name)
		if err != nil {
			t.Fatal(err)
		}
		dtype, err := set.Datatype()
		if err != nil {
			t.Fatal(err)
		}
		space := set.Space()
		dims, _, err := space.SimpleExtentDims()
		if err != nil {
			t.Fatal(err)
		}
		kind := "other"
		for name, t := range map[string]*hdf5.Datatype{"float32": hdf5.T_IEEE_F32LE, "float64": hdf5.T_IEEE_F64LE, "int64": hdf5.T_STD_I64LE} {
			if dtype.Equal(t) {
				kind = name
			}
		}
		out[name] = fmt.Sprint(kind, " ", dims)
		space.Close()
		dtype.Close()
		set.Close()
	}
	return out
}
