package builtin

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// variantOutEnv names the folder in which a child process leaves the weights that it has trained.
const variantOutEnv = "CTDB_TEST_VARIANT_OUT"

// TestVariantsRoundAlike says how far the instruction sets are apart: after an epoch of seven steps from the same weights, in float32, they differ in the last digits: measured, by at most 5e-7, and
// by 4e-9 in the root of the mean square, where a weight can have gone 7e-3. AVX-512 and AVX2 may agree to the bit, since both fuse products and sums and take sums in the same order; the generic kernels
// round each. Longer trainings drift further apart, as any two do that differ in a digit. Adam divides a gradient by its own size, so a weight whose gradient is nothing but rounding may go either
// way: the bounds leave room for that.
func TestVariantsRoundAlike(t *testing.T) {
	// A weight goes at most lr in a step or so.
	const lr, steps = 1e-3, 7
	if dir := os.Getenv(variantOutEnv); dir != "" {
		if got := kernel.Variant(); got != os.Getenv(kernel.VariantEnv) {
			t.Fatalf("%s runs", got)
		}
		trainForVariants(t, dir, lr)
		return
	}
	var first map[string]tensor.Set
	for _, v := range kernel.Variants() {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), variantOutEnv+"="+dir, kernel.VariantEnv+"="+v)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", v, err, out)
		}
		got := readAll(t, dir)
		if first == nil {
			first = got
			continue
		}
		for name, weights := range got {
			largest, square, n := 0.0, 0.0, 0
			for _, w := range weights {
				for i, x := range first[name].Get(w.Name).F32 {
					d := math.Abs(float64(w.F32[i]) - float64(x))
					largest, square, n = max(largest, d), square+d*d, n+1
				}
			}
			rms := math.Sqrt(square / float64(n))
			t.Logf("%-20s %s and %s: weights differ by at most %.1e, in the mean by %.1e", name, kernel.Variants()[0], v, largest, rms)
			if !(largest < 0.02*lr*steps && rms < 2e-4*lr*steps) {
				t.Errorf("%s: weights differ by %v, in the mean by %v, from %s to %s", name, largest, rms, kernel.Variants()[0], v)
			}
			if largest == 0 && v == "generic" {
				t.Errorf("%s: %s and %s do not differ at all", name, kernel.Variants()[0], v)
			}
		}
	}
}

// trainForVariants trains every model for an epoch and leaves its weights in files.
func trainForVariants(t *testing.T, dir string, lr float64) {
	tk, spec := flipflop(t, 500, 50)
	data := record(500, 50)
	for _, s := range settings(t, func(s setting) model.Target { return s.target(spec, data.spec) }) {
		if s.varied {
			continue
		}
		for name, v := range map[string]any{"epochs": int64(1), "batch_size": int64(64), "lr": lr, "hidden": int64(64)} {
			if _, ok := s.values[name]; ok {
				s.values[name] = v
			}
		}
		m, err := s.factory.Open(t.Context(), s.values, component.Env{Seed: 1, Threads: 2}, s.target(spec, data.spec))
		if err != nil {
			t.Fatal(err)
		}
		req := model.TrainRequest{Task: tk}
		if s.onData() {
			req = model.TrainRequest{Data: blocksOf{data, 0}}
		}
		if _, err := m.Train(t.Context(), req, component.Discard{}); err != nil {
			t.Fatal(err)
		}
		w, err := m.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, s.name))
		if err == nil {
			err = tensor.WriteSafetensors(f, w, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(t *testing.T, dir string) map[string]tensor.Set {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(Plugin().Models) {
		t.Fatalf("weights of %d models: %v", len(files), err)
	}
	out := map[string]tensor.Set{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		set, _, err := tensor.ReadSafetensors(f, 1<<30)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(path, dir+"/")] = set
	}
	return out
}
