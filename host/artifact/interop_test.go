package artifact

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// readH5py prints what h5py reads of a file, all of it, and writes a second one with the same arrays, compressed, as h5py's users write them.
const readH5py = `
import h5py, json, sys
def plain(v):
    v = v.tolist() if hasattr(v, "tolist") else v
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v.decode() if isinstance(v, bytes) else v
out = {"arrays": {}, "attributes": {}}
with h5py.File(sys.argv[1], "r") as f, h5py.File(sys.argv[2], "w") as g:
    out["attributes"] = {k: plain(v) for k, v in f.attrs.items()}
    g.attrs.update(f.attrs)
    for name, d in f.items():
        out["arrays"][name] = {"dtype": str(d.dtype), "shape": list(d.shape), "values": d[()].ravel().tolist(), "attributes": {k: plain(v) for k, v in d.attrs.items()}}
        g.create_dataset(name, data=d[()], compression="gzip", shuffle=True)
json.dump(out, sys.stdout)
`

// h5pyFile is what it prints.
type h5pyFile struct {
	Arrays map[string]struct {
		DType      string
		Shape      []int
		Values     []float64
		Attributes map[string]any
	}
	Attributes map[string]any
}

// h5py reads a file, and returns a copy that h5py wrote.
func h5py(t *testing.T, path string) (h5pyFile, string) {
	t.Helper()
	python := os.Getenv("CTDB_INTEROP_PYTHON")
	if python == "" {
		t.Skip("CTDB_INTEROP_PYTHON does not name a Python with h5py: make interop installs one")
	}
	again := filepath.Join(t.TempDir(), "again.h5")
	cmd := exec.CommandContext(t.Context(), python, "-c", readH5py, path, again)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got h5pyFile
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got, again
}

// TestInteropDataset has h5py read a data set, and reads one that h5py wrote.
func TestInteropDataset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dataset.h5")
	write(t, path, small, 3, 7)
	got, again := h5py(t, path)
	want := map[string]*tensor.Tensor{
		"readout": tensor.New64("", 2, 4), "orig_mean": tensor.New32("", 1, 1, 1), "orig_std": tensor.New32("", 1, 1, 1), "perm_neurons": tensor.NewInt("", 4), "gains": tensor.New64("", 4),
	}
	for prefix, b := range map[string]tensor.Block{"train_": trials(0, 8), "valid_": trials(8, 2)} {
		for _, a := range b.Arrays {
			s, err := stored(a)
			if err != nil {
				t.Fatal(err)
			}
			want[prefix+a.Name] = s
		}
		n := len(b.Trials)
		want[prefix+"extra"], want[prefix+"inds"] = tensor.New32("", n, 1), tensor.FromInt("", b.Trials, n)
	}
	if len(got.Arrays) != len(want) {
		t.Errorf("h5py reads %d arrays, want %d", len(got.Arrays), len(want))
	}
	for name, w := range want {
		g := got.Arrays[name]
		if g.DType != w.DType().String() || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Values, w.Float64s()) {
			t.Errorf("h5py reads %s as %s %v %v, want %s %v %v", name, g.DType, g.Shape, g.Values, w.DType(), w.Shape, w.Float64s())
		}
	}
	for name, w := range map[string]any{"plugin": "builtin", "seed": 3., "compat": 1., "empty": "", "long": small.Attributes["long"], "params": `{"bad":null,"fr_scaling":2,"link":"exp"}`} {
		if g := got.Attributes[name]; g != w {
			t.Errorf("h5py reads attribute %s as %v, want %v", name, g, w)
		}
	}
	if unit := got.Arrays["train_joint_angle"].Attributes["unit"]; unit != "rad" {
		t.Errorf("h5py reads the unit %v, want rad", unit)
	}
	d, err := OpenDataset(again)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	theirs := all(t, d, 3)
	for name, w := range want {
		if g := theirs[name]; g == nil || g.DType() != w.DType() || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Float64s(), w.Float64s()) {
			t.Errorf("of what h5py wrote %s is read as %+v, want %+v", name, g, w)
		}
	}
	if g := d.Attributes()["params"]; g != got.Attributes["params"] {
		t.Errorf("of what h5py wrote the attribute params is %v", g)
	}
}

// TestInteropArrays has h5py read a file of arrays, what a fit's rates and latents are in.
func TestInteropArrays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inferred.h5")
	w, err := CreateArrays(path, ArraysOptions{Trials: map[task.Split]int{task.Valid: 4}, Attributes: Attributes{"model": "sae"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	rates := tensor.New32("rates", 4, 3, 2).With("spikes/bin", tensor.Trial, tensor.Bin, tensor.Neuron)
	for i := range rates.F32 {
		rates.F32[i] = float32(i) / 3
	}
	if err := w.Write(task.Valid, tensor.Block{Trials: []int64{7, 8, 9, 11}, Arrays: tensor.Set{rates}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _ := h5py(t, path)
	g := got.Arrays["valid_rates"]
	if g.DType != "float32" || !slices.Equal(g.Shape, rates.Shape) || !slices.Equal(g.Values, rates.Float64s()) || g.Attributes["unit"] != "spikes/bin" {
		t.Errorf("h5py reads the rates as %+v, want %+v", g, rates)
	}
	if n := got.Arrays["valid_trials"]; n.DType != "int64" || !reflect.DeepEqual(n.Values, []float64{7, 8, 9, 11}) {
		t.Errorf("h5py reads the trials' numbers as %+v", n)
	}
	if got.Attributes["model"] != "sae" {
		t.Errorf("h5py reads attributes %v", got.Attributes)
	}
}
