package artifact

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// user is a data set as a user may bring it: spikes alone, as whole numbers, with nothing that the host adds.
func user() map[string]*tensor.Tensor {
	m := map[string]*tensor.Tensor{}
	for _, split := range []string{"train_", "valid_"} {
		n := 4
		if split == "valid_" {
			n = 2
		}
		for name, t := range map[string]*tensor.Tensor{
			"encod_data": tensor.NewInt("", n, 5, 3), "recon_data": tensor.NewInt("", n, 5, 4), "inputs": tensor.New64("", n, 5, 2),
		} {
			m[split+name] = t
		}
	}
	m["train_recon_data"].I64[7] = 3
	return m
}

// raw writes arrays as they are, without any check, and attributes.
func raw(t testing.TB, path string, arrays map[string]*tensor.Tensor, a Attributes) {
	t.Helper()
	w, err := createH5(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.abort()
	if err := w.attributes(a, nil); err != nil {
		t.Fatal(err)
	}
	for name, x := range arrays {
		if err := w.whole(x.Named(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// open opens and checks a data set.
func open(t *testing.T, path string) error {
	t.Helper()
	d, err := OpenDataset(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Check(t.Context())
}

// What a user may bring, and what is refused: each with the datasets that the error must name.
func TestDatasetRefuses(t *testing.T) {
	type arrays = map[string]*tensor.Tensor
	path := filepath.Join(t.TempDir(), "user.h5")
	for _, c := range []struct {
		name   string
		change func(arrays)
		a      Attributes
		bad    []string // datasets named, sorted; empty: the file is good
	}{
		{name: "as it is"},
		{name: "without inputs", change: func(m arrays) { delete(m, "train_inputs"); delete(m, "valid_inputs") }},
		{name: "float32 spikes", change: func(m arrays) {
			m["train_encod_data"], m["valid_encod_data"] = tensor.New32("", 4, 5, 3), tensor.New32("", 2, 5, 3)
		}},
		{name: "all neurons held in", change: func(m arrays) {
			m["train_encod_data"], m["valid_encod_data"] = tensor.NewInt("", 4, 5, 4), tensor.NewInt("", 2, 5, 4)
		}},
		{name: "inputs of no channels", change: func(m arrays) {
			m["train_inputs"], m["valid_inputs"] = tensor.New32("", 4, 5, 0), tensor.New32("", 2, 5, 0)
		}},
		{name: "one trial each", change: func(m arrays) {
			for _, split := range []string{"train_", "valid_"} {
				m[split+"encod_data"], m[split+"recon_data"], m[split+"inputs"] = tensor.NewInt("", 1, 5, 3), tensor.NewInt("", 1, 5, 4), tensor.New64("", 1, 5, 2)
			}
		}},
		{name: "arrays of the user's own", change: func(m arrays) {
			m["train_mood"], m["valid_mood"], m["electrodes"] = tensor.New64("", 4), tensor.New64("", 2), tensor.New32("", 96)
		}},
		{name: "continuous and marked so", a: Attributes{"counts": false}, change: func(m arrays) {
			m["train_recon_data"], m["valid_recon_data"] = tensor.New64("", 4, 5, 4), tensor.New64("", 2, 5, 4)
			m["train_recon_data"].F64[3] = -0.5
		}},

		{name: "nothing", change: func(m arrays) { clear(m) }, bad: []string{"train_encod_data", "train_recon_data", "valid_encod_data", "valid_recon_data"}},
		{name: "no validation trials", change: func(m arrays) { delete(m, "valid_encod_data") }, bad: []string{"valid_encod_data"}},
		{name: "zero trials", change: func(m arrays) {
			m["train_encod_data"], m["train_recon_data"], m["train_inputs"] = tensor.NewInt("", 0, 5, 3), tensor.NewInt("", 0, 5, 4), tensor.New64("", 0, 5, 2)
		}, bad: []string{"train_encod_data", "train_inputs", "train_recon_data"}},
		{name: "zero bins", change: func(m arrays) { m["train_recon_data"] = tensor.NewInt("", 4, 0, 4) }, bad: []string{"train_recon_data"}},
		{name: "zero neurons", change: func(m arrays) { m["valid_recon_data"] = tensor.NewInt("", 2, 5, 0) }, bad: []string{"valid_recon_data"}},
		{name: "two axes", change: func(m arrays) { m["train_encod_data"] = tensor.NewInt("", 4, 15) }, bad: []string{"train_encod_data"}},
		{name: "a scalar", change: func(m arrays) { m["train_encod_data"] = tensor.NewInt("") }, bad: []string{"train_encod_data"}},
		{name: "trials differ", change: func(m arrays) { m["train_recon_data"] = tensor.NewInt("", 3, 5, 4) }, bad: []string{"train_recon_data"}},
		{name: "bins differ", change: func(m arrays) { m["train_inputs"] = tensor.New64("", 4, 6, 2) }, bad: []string{"train_inputs"}},
		{name: "bins differ between splits", change: func(m arrays) {
			m["valid_recon_data"], m["valid_encod_data"], m["valid_inputs"] = tensor.NewInt("", 2, 6, 4), tensor.NewInt("", 2, 6, 3), tensor.New64("", 2, 6, 2)
		}, bad: []string{"valid_encod_data", "valid_inputs", "valid_recon_data"}},
		{name: "neurons differ between splits", change: func(m arrays) { m["valid_recon_data"] = tensor.NewInt("", 2, 5, 9) }, bad: []string{"valid_recon_data"}},
		{name: "types differ between splits", change: func(m arrays) { m["valid_recon_data"] = tensor.New32("", 2, 5, 4) }, bad: []string{"valid_recon_data"}},
		{name: "more held in than there are", change: func(m arrays) {
			m["train_encod_data"], m["valid_encod_data"] = tensor.NewInt("", 4, 5, 5), tensor.NewInt("", 2, 5, 5)
		}, bad: []string{"train_encod_data"}},
		{name: "inputs of one split", change: func(m arrays) { delete(m, "valid_inputs") }, bad: []string{"valid_inputs"}},
		{name: "other array of one split", change: func(m arrays) { m["valid_mood"] = tensor.New64("", 2) }, bad: []string{"train_mood"}},
		{name: "other array of too many trials", change: func(m arrays) { m["train_mood"], m["valid_mood"] = tensor.New64("", 4), tensor.New64("", 3) }, bad: []string{"valid_mood"}},
		{name: "inds of floats", change: func(m arrays) { m["train_inds"], m["valid_inds"] = tensor.New64("", 4), tensor.New64("", 2) }, bad: []string{"train_inds", "valid_inds"}},
		{name: "readout", change: func(m arrays) { m["readout"] = tensor.New64("", 2, 3) }, bad: []string{"readout"}},
		{name: "permutation", change: func(m arrays) { m["perm_neurons"] = tensor.NewInt("", 3) }, bad: []string{"perm_neurons"}},
		{name: "bin width", a: Attributes{"bin_width": -1.0}, bad: []string{"attribute bin_width"}},
		{name: "several", change: func(m arrays) {
			m["train_inputs"] = tensor.New64("", 4, 6, 2)
			m["valid_recon_data"] = tensor.NewInt("", 3, 5, 4)
		}, bad: []string{"train_inputs", "valid_recon_data"}},

		{name: "negative count", change: func(m arrays) { m["train_recon_data"].I64[79] = -1 }, bad: []string{"train_recon_data"}},
		{name: "count of half", change: func(m arrays) {
			m["train_encod_data"], m["valid_encod_data"] = tensor.New64("", 4, 5, 3), tensor.New64("", 2, 5, 3)
			m["valid_encod_data"].F64[0] = 0.5
		}, bad: []string{"valid_encod_data"}},
		{name: "NaN and infinity", change: func(m arrays) {
			m["train_inputs"].F64[1], m["valid_inputs"].F64[1] = math.NaN(), math.Inf(-1)
			m["offset"] = tensor.From64("", []float64{math.NaN()}, 1)
		}, bad: []string{"offset", "train_inputs", "valid_inputs"}},
		{name: "lengths", change: func(m arrays) {
			m["train_lengths"], m["valid_lengths"] = tensor.FromInt("", []int64{1, 5, 6, 1}, 4), tensor.FromInt("", []int64{0, 1}, 2)
		}, bad: []string{"train_lengths", "valid_lengths"}},
	} {
		m := user()
		if c.change != nil {
			c.change(m)
		}
		raw(t, path, m, c.a)
		err := open(t, path)
		if c.bad == nil {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var format *FormatError
		if !errors.As(err, &format) || !errors.Is(err, ErrFormat) || format.File != path {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		var named []string
		for _, p := range format.Problems {
			named = append(named, p.Dataset)
			if p.Found == "" || p.Allowed == "" || !strings.Contains(err.Error(), p.Found) {
				t.Errorf("%s: %v says too little: %+v", c.name, err, p)
			}
		}
		slices.Sort(named)
		if named = slices.Compact(named); !slices.Equal(named, c.bad) {
			t.Errorf("%s: %v names %v, want %v", c.name, err, named, c.bad)
		}
	}
}

// Spikes alone have positions for trials' numbers.
func TestDatasetOfUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user.h5")
	raw(t, path, user(), nil)
	d, err := OpenDataset(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if s := d.Spec(); s.BinWidth != 0 || s.Neurons != 4 || s.HeldIn != 3 || s.Inputs != 2 || !d.Counts() {
		t.Errorf("spec %+v", s)
	}
	b, err := tensor.Collect(d.Blocks(t.Context(), task.All, []string{"recon_data"}, 1))
	if err != nil || !slices.Equal(b.Trials, []int64{0, 1, 2, 3, 4, 5}) || b.Arrays[0].I64[7] != 3 {
		t.Errorf("trials %v, %v", b.Trials, err)
	}
}

// A file that is cut short anywhere, or is none, is refused, and nothing panics or prints.
func TestDatasetDamaged(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.h5")
	o := small
	o.Trials = 3000
	write(t, good, o, 3000)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "damaged.h5")
	refused := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := open(t, path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, n := range []int{0, 1, 8, 47, 48, 95, 96, 97, 500, 2048, 4096, len(b) / 4, len(b) / 2, len(b) * 3 / 4, len(b) - 4096, len(b) - 1} {
		refused(fmt.Sprint("cut at ", n), b[:n])
	}
	refused("text", []byte("trial,neuron,count\n"))
	refused("zeros", make([]byte, 10_000))
	// One wrong byte in compressed data is found by zlib's own checksum.
	at := slices.Index(b, 0x78)
	for n := 0; n < len(b); n++ {
		if b[n] == 0x78 && b[n+1] == 0x01 { // zlib at level 1
			at = n
		}
	}
	flipped := slices.Clone(b)
	flipped[at+40] ^= 0xff
	refused("wrong byte in a chunk", flipped)

	if err := open(t, dir); !errors.Is(err, ErrFormat) {
		t.Errorf("a folder: %v", err)
	}
	if err := open(t, filepath.Join(dir, "absent.h5")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(good, 0); err != nil {
			t.Fatal(err)
		}
		if err := open(t, good); !errors.Is(err, os.ErrPermission) {
			t.Errorf("a file that may not be read: %v", err)
		}
	}
}
