package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/hdf5"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// trials makes a block with numbers from first on, of 5 bins, 3 of 4 neurons held in, 2 inputs.
func trials(first, n int) tensor.Block {
	b := tensor.Block{Trials: make([]int64, n)}
	encod, recon := tensor.New32("encod_data", n, 5, 3), tensor.New32("recon_data", n, 5, 4).With("spikes/bin", tensor.Trial, tensor.Bin, tensor.Neuron)
	activity, latents := tensor.New32("activity", n, 5, 4), tensor.New64("latents", n, 5, 2)
	inputs, lengths := tensor.New32("inputs", n, 5, 2), tensor.NewInt("lengths", n)
	angle := tensor.New64("joint_angle", n, 5, 2).With("rad", tensor.Trial, tensor.Bin, tensor.State)
	for i := range n {
		b.Trials[i] = int64(first + i)
		lengths.I64[i] = int64(1 + (first+i)%5)
		for k := range 20 {
			recon.F32[i*20+k] = float32((first + i + k) % 4)
			activity.F32[i*20+k] = float32(first+i) + 0.25
		}
		for bin := range 5 {
			copy(encod.F32[i*15+bin*3:][:3], recon.F32[i*20+bin*4:])
		}
		for k := range 10 {
			latents.F64[i*10+k], inputs.F32[i*10+k], angle.F64[i*10+k] = float64(first+i)/8, float32(k), float64(k)/3
		}
	}
	b.Arrays = tensor.Set{recon, encod, activity, latents, inputs, lengths, angle}
	return b
}

var small = DatasetOptions{
	Trials: 10, Neurons: 4, HeldIn: 3, Bins: 5, BinWidth: 0.01, Counts: true,
	Attributes: Attributes{"plugin": "builtin", "seed": uint64(3), "params": map[string]any{"fr_scaling": 2.0, "link": "exp", "bad": math.NaN()}, "compat": true, "long": strings.Repeat("ä", 30_000), "empty": ""},
}

// write writes a data set of options o with blocks of the given sizes.
func write(t testing.TB, path string, o DatasetOptions, sizes ...int) {
	t.Helper()
	w, err := CreateDataset(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Constants(tensor.Set{tensor.New32("readout", 2, 4), tensor.New64("orig_mean", 1, 1, 1), tensor.New64("orig_std", 1, 1, 1), tensor.NewInt("perm_neurons", 4), tensor.New64("gains", 4)}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, n := range sizes {
		if err := w.Write(trials(at, n)); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDatasetRoundTrip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dataset.h5")
	write(t, path, small, 3, 7)
	d, err := OpenDataset(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want := model.DataSpec{Neurons: 4, HeldIn: 3, Inputs: 2, Bins: 5, BinWidth: 0.01, TrainTrials: 8, ValidTrials: 2}
	if d.Spec() != want || !d.Counts() {
		t.Errorf("spec %+v, counts %v; want %+v", d.Spec(), d.Counts(), want)
	}
	a := d.Attributes()
	if a["plugin"] != "builtin" || a["seed"] != int64(3) || a["compat"] != int64(1) || a["empty"] != "" || a["long"] != small.Attributes["long"] || a["params"] != `{"bad":null,"fr_scaling":2,"link":"exp"}` {
		t.Errorf("attributes %v", a)
	}
	whole := trials(0, 10)
	got, err := tensor.Collect(d.Blocks(t.Context(), task.All, nil, 3))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Trials, whole.Trials) {
		t.Errorf("trials %v", got.Trials)
	}
	for _, w := range whole.Arrays {
		g := got.Arrays.Get(w.Name)
		if g == nil || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Float64s(), w.Float64s()) {
			t.Errorf("%s differs", w.Name)
		}
	}
	if g := got.Arrays.Get("joint_angle"); g.Unit != "rad" || !slices.Equal(g.Axes, []string{tensor.Trial, tensor.Bin, tensor.State}) {
		t.Errorf("joint_angle: axes %v, unit %q", g.Axes, g.Unit)
	}
	if g := got.Arrays.Get("extra"); g == nil || !slices.Equal(g.Shape, []int{10, 1}) {
		t.Errorf("extra: %+v", g)
	}
	// A model sees spikes, inputs and lengths of the split that it asks for, and nothing else.
	for range 2 {
		b, err := tensor.Collect(d.Source().Data(t.Context(), task.Valid))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.Arrays.Names(), []string{"encod_data", "recon_data", "inputs", "lengths"}) || !slices.Equal(b.Trials, []int64{8, 9}) {
			t.Errorf("the source gives %v of %v", b.Arrays.Names(), b.Trials)
		}
		for _, x := range b.Arrays[:3] {
			if x.F32 == nil {
				t.Errorf("%s is %s", x.Name, x.DType())
			}
		}
	}
	if _, err := tensor.Collect(d.Source().Data(t.Context(), task.All)); err == nil {
		t.Error("the source gives all trials")
	}
	if _, err := tensor.Collect(d.Blocks(t.Context(), task.Train, []string{"nothing"}, 0)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an array that is not there: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tensor.Collect(d.Blocks(ended, task.Train, nil, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tensor.Collect(d.Blocks(t.Context(), task.Train, nil, 0)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the folder has %v", left)
	}
}

// Large arrays in several chunks, handed over in blocks of different sizes, give the same bytes; and no object of a file has a time.
func TestDatasetBytes(t *testing.T) {
	dir := t.TempDir()
	o := small
	o.Trials = 7001
	var first []byte
	for i, sizes := range [][]int{{7001}, {1, 3000, 2600, 1400}, slices.Repeat([]int{7001 / 7}, 7), {7000, 1}} {
		if i == 2 {
			sizes = append(slices.Clone(sizes[:6]), 7001-6*(7001/7))
		}
		path := filepath.Join(dir, fmt.Sprint(i, ".h5"))
		write(t, path, o, sizes...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(b, first) {
			t.Errorf("blocks of %v give other bytes", sizes)
		}
		if hasTimes(b) {
			t.Error("the file has a modification time")
		}
	}
	// What the library does unasked shows that hasTimes sees them.
	path := filepath.Join(dir, "times.h5")
	library.Lock()
	f, err := hdf5.CreateFile(path, hdf5.F_ACC_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	space, err := hdf5.CreateSimpleDataspace([]uint{3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	set, err := f.CreateDataset("x", hdf5.T_IEEE_F64LE, space)
	if err != nil {
		t.Fatal(err)
	}
	set.Close()
	space.Close()
	f.Close()
	library.Unlock()
	if b, err := os.ReadFile(path); err != nil || !hasTimes(b) {
		t.Errorf("a file with times: not seen (%v)", err)
	}
}

// hasTimes looks for the header message "object modification time" (HDF5 file format specification, IV.A.2.s: type 0x0012, 8 bytes, version 1).
func hasTimes(file []byte) bool {
	return regexp.MustCompile(`(?s)\x12\x00\x08\x00.\x00\x00\x00\x01\x00\x00\x00`).Match(file)
}

// The digest in the file does not depend on HDF5, so it is the same however the file is stored, and differs where one element does.
func TestDatasetContent(t *testing.T) {
	dir := t.TempDir()
	digest := func(name string, change func(*tensor.Block)) string {
		path := filepath.Join(dir, name)
		w, err := CreateDataset(path, small)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		b := trials(0, 10)
		change(&b)
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		d, err := OpenDataset(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		return d.Attributes().Text("content_sha256")
	}
	same := digest("a", func(*tensor.Block) {})
	if len(same) != 64 || same != digest("b", func(b *tensor.Block) { slices.Reverse(b.Arrays) }) {
		t.Error("the digest depends on the order of the arrays")
	}
	if same == digest("c", func(b *tensor.Block) { b.Arrays.Get("latents").F64[99] += 1 }) {
		t.Error("the digest does not depend on the data")
	}
}

func TestDatasetWriterRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]DatasetOptions{
		"no trials":            {Trials: 0, Neurons: 2, HeldIn: 1, Bins: 1},
		"one trial":            {Trials: 1, Neurons: 2, HeldIn: 1, Bins: 1},
		"no validation trials": {Trials: 5, TrainTrials: 5, Neurons: 2, HeldIn: 1, Bins: 1},
		"negative split":       {Trials: 5, TrainTrials: -1, Neurons: 2, HeldIn: 1, Bins: 1},
		"no held-in neurons":   {Trials: 5, Neurons: 2, Bins: 1},
		"more held in":         {Trials: 5, Neurons: 2, HeldIn: 3, Bins: 1},
		"no bins":              {Trials: 5, Neurons: 2, HeldIn: 1},
		"bin width":            {Trials: 5, Neurons: 2, HeldIn: 1, Bins: 1, BinWidth: math.NaN()},
		"attribute":            {Trials: 5, Neurons: 2, HeldIn: 1, Bins: 1, Attributes: Attributes{"a": make(chan int)}},
		"long attribute":       {Trials: 5, Neurons: 2, HeldIn: 1, Bins: 1, Attributes: Attributes{"a": strings.Repeat("x", 66_000)}},
	} {
		if w, err := CreateDataset(filepath.Join(dir, "x.h5"), o); err == nil {
			w.Abort()
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := CreateDataset(filepath.Join(dir, "absent", "x.h5"), small); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	for name, change := range map[string]func(b *tensor.Block){
		"NaN":              func(b *tensor.Block) { b.Arrays.Get("latents").F64[3] = math.NaN() },
		"overflow":         func(b *tensor.Block) { b.Arrays.Get("latents").F64[3] = 1e300 },
		"negative count":   func(b *tensor.Block) { b.Arrays.Get("recon_data").F32[3] = -1 },
		"fraction":         func(b *tensor.Block) { b.Arrays.Get("encod_data").F32[3] = 0.5 },
		"no spikes":        func(b *tensor.Block) { b.Arrays = b.Arrays[1:] },
		"bins":             func(b *tensor.Block) { b.Arrays.Get("inputs").Shape = []int{5, 10, 1} },
		"neurons":          func(b *tensor.Block) { b.Arrays.Get("recon_data").Shape = []int{5, 10, 2} },
		"rows":             func(b *tensor.Block) { b.Trials = b.Trials[1:] },
		"length 0":         func(b *tensor.Block) { b.Arrays.Get("lengths").I64[0] = 0 },
		"length beyond":    func(b *tensor.Block) { b.Arrays.Get("lengths").I64[0] = 6 },
		"inds":             func(b *tensor.Block) { b.Arrays.Get("lengths").Name = "inds" },
		"name with slash":  func(b *tensor.Block) { b.Arrays.Get("joint_angle").Name = "a/b" },
		"name twice":       func(b *tensor.Block) { b.Arrays.Get("joint_angle").Name = "inputs" },
		"too many trials":  func(b *tensor.Block) { *b = trials(0, 11) },
		"too few trials":   func(b *tensor.Block) { *b = trials(0, 9) },
		"no trials at all": func(b *tensor.Block) { *b = trials(0, 0) },
	} {
		path := filepath.Join(dir, "y.h5")
		w, err := CreateDataset(path, small)
		if err != nil {
			t.Fatal(err)
		}
		b := trials(0, 10)
		change(&b)
		err = w.WriteAll(t.Context(), tensor.Of(b))
		if err == nil {
			err = w.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		w.Abort()
		if err := w.Write(trials(0, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: writing after the end: %v", name, err)
		}
	}
	w, err := CreateDataset(filepath.Join(dir, "z.h5"), small)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(trials(0, 4)); err != nil {
		t.Fatal(err)
	}
	other := trials(4, 6)
	other.Arrays = other.Arrays[:5]
	if err := w.Write(other); err == nil {
		t.Error("a block without an array that the first one had: no error")
	}
	w.Abort()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the folder has %v", left)
	}
}

// Several goroutines read and write different files at once.
func TestDatasetConcurrent(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			path := filepath.Join(dir, fmt.Sprint(i))
			w, err := CreateDataset(path, small)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Abort()
			for k := range 10 {
				if err := w.Write(trials(k, 1)); err != nil {
					t.Error(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			d, err := OpenDataset(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			if err := d.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i := range 3 {
		a, _ := HashFile(filepath.Join(dir, "0"))
		b, err := HashFile(filepath.Join(dir, fmt.Sprint(i+1)))
		if err != nil || a != b {
			t.Errorf("file %d differs (%v)", i+1, err)
		}
	}
}

// Canonical sizes: 1000 trials, 500 bins, 60 neurons, 64 latents.
func BenchmarkDatasetWrite(b *testing.B) {
	const n, bins, block = 1000, 500, 50
	at := tensor.Block{Trials: make([]int64, block)}
	recon, encod := tensor.New32("recon_data", block, bins, 60), tensor.New32("encod_data", block, bins, 50)
	latents, activity := tensor.New32("latents", block, bins, 64), tensor.New32("activity", block, bins, 60)
	state := uint64(1)
	next := func() float64 {
		state = state*6364136223846793005 + 1442695040888963407
		return float64(state>>11) / (1 << 53)
	}
	for i := range latents.F32 {
		latents.F32[i] = float32(math.Sin(float64(i)/7) + 0.01*next())
	}
	for i := range recon.F32 {
		activity.F32[i] = float32(math.Exp(math.Sin(float64(i) / 11)))
		recon.F32[i] = float32(int(2 * next() * next() * float64(activity.F32[i])))
	}
	for i := range encod.F32 {
		encod.F32[i] = recon.F32[i/50*60+i%50]
	}
	at.Arrays = tensor.Set{recon, encod, latents, activity, tensor.New32("inputs", block, bins, 3)}
	dir := b.TempDir()
	b.ResetTimer()
	for range b.N {
		path := filepath.Join(dir, "d.h5")
		w, err := CreateDataset(path, DatasetOptions{Trials: n, Neurons: 60, HeldIn: 50, Bins: bins, Counts: true})
		if err != nil {
			b.Fatal(err)
		}
		for range n / block {
			if err := w.Write(at); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
	b.SetBytes(n * bins * (60*8 + 50*8 + 64*4 + 60*4 + 3*4))
}
