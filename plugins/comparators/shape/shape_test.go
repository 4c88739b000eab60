package shape

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, threads int, values param.Values) comparator.Comparator {
	t.Helper()
	return opened.Comparator(t, Factory(), component.Env{Seed: 5, Threads: threads}, values)
}

func compare(t testing.TB, values param.Values, subjects ...comparator.Subject) comparator.Outcome {
	t.Helper()
	o, err := open(t, 2, values).Compare(t.Context(), comparator.Request{Subjects: subjects}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	return o
}

// smooth are latents (trials, bins, width) that drift back to 0.
func smooth(seed uint64, trials, bins, width int) *tensor.Tensor {
	rng := random.New(seed, "shape/test")
	x := tensor.New64(comparator.Latents, trials, bins, width)
	for k := range trials {
		z := make([]float64, width)
		for b := range bins {
			for i := range z {
				z[i] = 0.8*z[i] + rng.NormFloat64()*float64(width-i)/float64(width)
				x.F64[(k*bins+b)*width+i] = z[i] + 3
			}
		}
	}
	return x
}

// mapped multiplies each row of x by m.
func mapped(x *tensor.Tensor, m mat.Matrix) *tensor.Tensor {
	d, w := m.Dims()
	n := x.Len() / d
	var y mat.Dense
	y.Mul(mat.NewDense(n, d, x.F64), m)
	return tensor.From64(comparator.Latents, y.RawMatrix().Data, x.Shape[0], x.Shape[1], w)
}

// random matrix (rows, cols); orthogonal: with orthonormal rows.
func matrix(seed uint64, rows, cols int, orthogonal bool) *mat.Dense {
	rng := random.New(seed, "shape/matrix")
	m := mat.NewDense(cols, rows, nil)
	for i := range cols {
		for j := range rows {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	if orthogonal {
		var qr mat.QR
		qr.Factorize(m)
		var q mat.Dense
		qr.QTo(&q)
		m = mat.DenseCopyOf(q.Slice(0, cols, 0, rows))
	}
	return mat.DenseCopyOf(m.T())
}

func as(label string, role comparator.Role, x *tensor.Tensor, train int) comparator.Subject {
	return comparator.Subject{Label: label, Role: role, Train: tensor.Set{x.Slice(0, train)}, Valid: tensor.Set{x.Slice(train, x.Rows())}}
}

// TestInvariance holds each metric to what it must not see: rotations into more dimensions, scale, and invertible linear maps.
func TestInvariance(t *testing.T) {
	x := smooth(1, 30, 40, 4)
	truth := as("truth", comparator.Truth, x, 20)
	rotated := mapped(x, matrix(2, 4, 7, true))
	for i := range rotated.F64 {
		rotated.F64[i] = 2.5*rotated.F64[i] - 1
	}
	skewed := mapped(x, matrix(3, 4, 5, false))
	other := smooth(9, 30, 40, 4)
	values := param.Values{"alpha": []float64{1, 0.5, 0}, "bootstrap": 50}
	o := compare(t, values, truth, as("rotated", comparator.Fitted, rotated, 20), as("skewed", comparator.Fitted, skewed, 20), as("other", comparator.Fitted, other, 20))
	distances := []string{"procrustes_angular", "procrustes_euclidean", "shape_angular/alpha=0.5", "shape_euclidean/alpha=0.5", "shape_angular/alpha=0", "shape_euclidean/alpha=0"}
	for _, name := range distances {
		for _, name := range []string{name, inSample(name)} {
			r := opened.Find(t, o, name, "rotated")
			if !(r.Value < 2e-7) || r.Better != component.Lower || r.Reference != "truth" {
				t.Errorf("rotated and scaled: %+v", r)
			}
			if !(r.Null > 0.3) {
				t.Errorf("shuffled: %+v", r)
			}
			if !(opened.Find(t, o, name, "other").Value > 0.3) {
				t.Errorf("unrelated: %s is %v", name, opened.Find(t, o, name, "other").Value)
			}
		}
		zero := strings.HasSuffix(name, "alpha=0")
		if v := opened.Find(t, o, name, "skewed").Value; zero != (v < 1e-6) {
			t.Errorf("an invertible map: %s is %v", name, v)
		}
	}
	for _, name := range []string{"cca", "svcca", "cka", "cka_debiased", "rsa"} {
		if r := opened.Find(t, o, name, "rotated"); math.Abs(r.Value-1) > 1e-9 || math.Abs(r.Low-1) > 1e-9 || !(r.Null < 0.4) || r.N != 10 {
			t.Errorf("rotated and scaled: %+v", r)
		}
	}
	if r := opened.Find(t, o, "cca", "skewed"); math.Abs(r.Value-1) > 1e-9 {
		t.Errorf("an invertible map: %+v", r)
	}
	if r := opened.Find(t, o, "cka", "skewed"); r.Value > 0.99 {
		t.Errorf("an invertible map: %+v", r)
	}
	// Matrices are symmetric, with each subject itself on the diagonal.
	for _, m := range o.Matrices {
		for i := range 4 {
			for j := range 4 {
				if m.F64[i*4+j] != m.F64[j*4+i] {
					t.Errorf("%s is not symmetric", m.Name)
				}
			}
		}
	}
	if m := o.Matrices.Get("procrustes_angular_insample").F64; m[1] != opened.Find(t, o, "procrustes_angular_insample", "rotated").Value || m[0] != 0 {
		t.Errorf("matrix %v", m)
	}
	for _, r := range o.Results {
		if _, ok := component.FindReading(Factory().Info.Readings, r.Metric); !ok {
			t.Errorf("nothing says how to read %s", r.Metric)
		}
	}
	if len(o.Figures) != 3 || len(o.Figures[0].Panels) != 7 || len(o.Figures[1].Panels) != 7 || len(o.Figures[2].Panels) != 6 {
		t.Errorf("%d figures", len(o.Figures))
	}
	// The angular form is a metric on shapes: it holds the triangle inequality (Williams et al. 2021).
	m := o.Matrices.Get("shape_angular_insample.alpha=0.5").F64
	for i := range 4 {
		for j := range 4 {
			for k := range 4 {
				if m[i*4+k] > m[i*4+j]+m[j*4+k]+1e-7 {
					t.Errorf("%d to %d by %d: %v > %v + %v", i, k, j, m[i*4+k], m[i*4+j], m[j*4+k])
				}
			}
		}
	}
}

// TestClosedForm: latents with covariance I and the same with one axis stretched by s, for which the definitions can be worked out by hand.
func TestClosedForm(t *testing.T) {
	const s = 3.0
	x := tensor.New64(comparator.Latents, 4, 4, 2)
	copy(x.F64, []float64{1, 1, 1, -1, -1, 1, -1, -1, -1, -1, -1, 1, 1, -1, 1, 1, 1, 1, 1, -1, -1, 1, -1, -1, 1, -1, 1, 1, -1, -1, -1, 1})
	y := mapped(x, mat.NewDense(2, 2, []float64{1, 0, 0, s}))
	o := compare(t, param.Values{"alpha": []float64{1, 0.5}, "scale": false, "bootstrap": 10}, as("truth", comparator.Truth, x, 2), as("y", comparator.Fitted, y, 2))
	half := (s + 1) / 2
	for name, want := range map[string]float64{
		"procrustes_angular":        math.Acos((1 + s) / (math.Sqrt2 * math.Hypot(1, s))),
		"procrustes_euclidean":      s - 1,
		"shape_angular/alpha=0.5":   math.Acos((1 + half) / (math.Sqrt2 * math.Hypot(1, half))),
		"shape_euclidean/alpha=0.5": half - 1,
		"cca":                       1,
		"cka":                       (1 + s*s) / (math.Sqrt2 * math.Hypot(1, s*s)),
	} {
		if v := opened.Find(t, o, name, "y").Value; math.Abs(v-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	// Scaled, y's size is the root of tr(C^2)/tr(C) = (1 + s^4)/(1 + s^2).
	o = compare(t, nil, as("truth", comparator.Truth, x, 2), as("y", comparator.Fitted, y, 2))
	size := math.Sqrt((1 + s*s*s*s) / (1 + s*s))
	if v, want := opened.Find(t, o, "procrustes_euclidean", "y").Value, math.Hypot(1-1/size, 1-s/size); math.Abs(v-want) > 1e-9 {
		t.Errorf("scaled: %v, want %v", v, want)
	}
}

// TestOverfit: two recordings of noise with as many latents as there are trials look alike in sample, and do not on held-out trials; the null says so.
func TestOverfit(t *testing.T) {
	const d = 30
	noise := func(seed uint64) *tensor.Tensor {
		rng := random.New(seed, "shape/noise")
		x := tensor.New32(comparator.Latents, 40, 2, d)
		for i := range x.F32 {
			x.F32[i] = float32(rng.NormFloat64())
		}
		return x
	}
	o := compare(t, nil, as("truth", comparator.Truth, noise(1), 20), as("noise", comparator.Fitted, noise(2), 20))
	in, held := opened.Find(t, o, "cca_insample", "noise"), opened.Find(t, o, "cca", "noise")
	if in.Value < 0.6 || math.Abs(in.Null-in.Value) > 0.1 {
		t.Errorf("in sample: %+v", in)
	}
	if math.Abs(held.Value) > 0.15 || held.Low > 0 || held.High < 0 {
		t.Errorf("held out: %+v", held)
	}
	if in, held := opened.Find(t, o, "procrustes_angular_insample", "noise").Value, opened.Find(t, o, "procrustes_angular", "noise").Value; in > 1.2 || math.Abs(held-math.Pi/2) > 0.2 {
		t.Errorf("angle %v in sample, %v held out", in, held)
	}
	plain, debiased := opened.Find(t, o, "cka", "noise"), opened.Find(t, o, "cka_debiased", "noise")
	if plain.Value < 0.2 || math.Abs(debiased.Value) > 0.1 || debiased.Low > 0 || debiased.High < 0 || plain.Low > plain.Value || plain.High < plain.Value {
		t.Errorf("plain %+v, debiased %+v", plain, debiased)
	}
}

// TestFewTrials: intervals of similarities end at 1, and what whitening makes of directions that one training trial hardly has is told.
func TestFewTrials(t *testing.T) {
	const trials, bins, d = 4, 6, 3
	for seed := range uint64(4) {
		rng := random.New(seed, "shape/few")
		x, y := tensor.New32(comparator.Latents, trials, bins, d), tensor.New32(comparator.Latents, trials, bins, d)
		for i := range x.F32 {
			v := rng.NormFloat64()
			y.F32[i] = float32(v + 0.5*rng.NormFloat64())
			// The last dimension does next to nothing in the first trial, the only one to train on.
			if i%d == d-1 && i < bins*d {
				v *= 1e-5
			}
			x.F32[i] = float32(v)
		}
		o := compare(t, nil, as("truth", comparator.Truth, x, 1), as("y", comparator.Fitted, y, 1))
		if r := opened.Find(t, o, "shape_euclidean/alpha=0.5", "y"); !(r.Value > 100) || !strings.Contains(r.Reason, "as the 1 training trials say") {
			t.Errorf("%+v", r)
		}
		if r := opened.Find(t, o, "procrustes_euclidean", "y"); strings.Contains(r.Reason, "whitened") {
			t.Errorf("%+v", r)
		}
	}
}

// TestFewBinsInterval: the interval of a similarity of a handful of bins keeps to what a similarity can be.
func TestFewBinsInterval(t *testing.T) {
	for seed := range uint64(10) {
		rng := random.New(seed, "shape/few")
		x, y := tensor.New32(comparator.Latents, 16, 1, 3), tensor.New32(comparator.Latents, 16, 1, 40)
		for i := range x.F32 {
			x.F32[i] = float32(rng.NormFloat64())
		}
		for i := range y.F32 {
			y.F32[i] = float32(rng.NormFloat64())
			if i%40 < 3 {
				y.F32[i] = 4 * x.F32[i/40*3+i%40]
			}
		}
		o := compare(t, nil, as("truth", comparator.Truth, x, 8), as("y", comparator.Fitted, y, 8))
		for _, name := range []string{"cka", "cka_debiased"} {
			if r := opened.Find(t, o, name, "y"); !(r.Low >= -1 && r.Low < r.High && r.High <= 1) {
				t.Errorf("%+v", r)
			}
		}
	}
}

// TestSameWhateverTheThreads compares results bit by bit.
func TestSameWhateverTheThreads(t *testing.T) {
	x, y := smooth(1, 25, 12, 3), smooth(2, 25, 12, 40)
	for i := range x.Shape[0] * x.Shape[1] {
		for k := range 3 {
			y.F64[i*40+k] += 2 * x.F64[i*3+k]
		}
	}
	for _, interval := range []string{"percentile", "bca"} {
		var first comparator.Outcome
		for i, threads := range []int{1, 2, 5} {
			o, err := open(t, threads, param.Values{"bootstrap": 150, "interval": interval}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{as("truth", comparator.Truth, x, 12), as("y", comparator.Fitted, y, 12)}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k := range o.Results {
				r := &o.Results[k]
				if in := strings.Contains(r.Metric, "_insample"); math.IsNaN(r.Low) != in || (!in && !(r.Low <= r.High && r.High-r.Low < 0.7)) {
					t.Errorf("%+v", r)
				}
				if math.IsNaN(r.Low) {
					r.Low, r.High = 0, 0
				}
			}
			if i == 0 {
				first = o
			} else if !reflect.DeepEqual(o, first) {
				t.Errorf("%s: %d threads give other results", interval, threads)
			}
		}
	}
}

func TestOmissions(t *testing.T) {
	x, y := smooth(1, 12, 10, 3), smooth(2, 12, 10, 4)
	truth, model := as("truth", comparator.Truth, x, 8), as("model", comparator.Fitted, y, 8)
	recording := comparator.Subject{Label: "data", Role: comparator.Recording}
	constant := as("constant", comparator.Fitted, tensor.New64(comparator.Latents, 12, 10, 4), 8)
	broken := as("broken", comparator.Fitted, smooth(2, 12, 10, 4), 8)
	broken.Valid[0].F64[7] = math.NaN()
	huge := as("huge", comparator.Fitted, smooth(2, 12, 10, 4), 8)
	for i := range huge.Train[0].F64 {
		huge.Train[0].F64[i] *= 1e200
	}
	still := as("still", comparator.Fitted, smooth(2, 12, 10, 4), 8)
	clear(still.Valid[0].F64)
	none := comparator.Subject{Label: "none", Role: comparator.Fitted}
	for name, c := range map[string]struct {
		subjects []comparator.Subject
		why      string
	}{
		"alone":         {[]comparator.Subject{truth}, "one subject"},
		"recording":     {[]comparator.Subject{recording, model}, "data is a recording"},
		"constant":      {[]comparator.Subject{truth, constant}, "latents of constant do not vary"},
		"not finite":    {[]comparator.Subject{truth, broken}, "row 0, bin 1, channel 3"},
		"too large":     {[]comparator.Subject{truth, huge}, "too large"},
		"not there":     {[]comparator.Subject{truth, none}, "none has no latents"},
		"still":         {[]comparator.Subject{truth, still}, "does not vary over the validation"},
		"no lengths":    {[]comparator.Subject{withLengths(truth, 0), model}, "holds nothing"},
		"none of truth": {[]comparator.Subject{{Label: "truth", Role: comparator.Truth}, model}, "truth has no latents"},
	} {
		o := compare(t, param.Values{"bootstrap": 5}, c.subjects...)
		said := false
		for _, r := range o.Results {
			if math.IsNaN(r.Value) && r.Reason == "" || math.IsInf(r.Value, 0) {
				t.Errorf("%s: %+v", name, r)
			}
			said = said || strings.Contains(r.Reason, c.why)
		}
		if !said || len(o.Results) == 0 {
			t.Errorf("%s: no result says %q: %+v", name, c.why, o.Results)
		}
	}
	// So are those of a truth whose latents say nothing.
	flat := as("flat", comparator.Truth, tensor.New64(comparator.Latents, 12, 10, 4), 8)
	between := opened.Find(t, compare(t, param.Values{"bootstrap": 5}, flat, model, as("again", comparator.Fitted, y, 8)), "procrustes_angular", "again")
	if between.Reference != "model" || !(math.Abs(between.Value) < 1e-6) {
		t.Errorf("%+v", between)
	}
	// Models of a recording are compared with each other.
	o := compare(t, param.Values{"bootstrap": 5}, recording, model, as("again", comparator.Fitted, y, 8))
	omitted := 0
	for _, r := range o.Results {
		if !math.IsNaN(r.Value) {
			continue
		}
		if omitted++; r.Subject != "data" || r.Reference != "" || !strings.Contains(r.Reason, "a recording") {
			t.Errorf("omitted %+v", r)
		}
	}
	if omitted != 1 {
		t.Errorf("%d omissions of one recording, want 1", omitted)
	}
	got := false
	for _, r := range o.Results {
		got = got || (r.Metric == "cka" && r.Reference == "model" && r.Subject == "again" && math.Abs(r.Value-1) < 1e-9)
	}
	if !got {
		t.Error("two models of a recording are not compared")
	}
	one := compare(t, nil, as("truth", comparator.Truth, x, 11), as("model", comparator.Fitted, y, 11))
	if r := opened.Find(t, one, "cka", "model"); math.IsNaN(r.Value) || !math.IsNaN(r.Low) || !math.IsNaN(r.Null) || r.Reason == "" {
		t.Errorf("one validation trial: %+v", r)
	}
	short := withLengths(truth, 7)
	cut := compare(t, param.Values{"bootstrap": 20}, short, model)
	for _, r := range cut.Results {
		if math.IsNaN(r.Value) || r.Reason != "" {
			t.Errorf("ragged trials: %+v", r)
		}
	}
}

// withLengths cuts trial k to n - k%3 bins, none below 0.
func withLengths(s comparator.Subject, n int) comparator.Subject {
	for _, set := range []*tensor.Set{&s.Train, &s.Valid} {
		l := tensor.NewInt(comparator.Lengths, (*set)[0].Rows())
		for k := range l.I64 {
			l.I64[k] = int64(max(0, n-k%3))
		}
		*set = append(tensor.Set{l}, *set...)
	}
	return s
}

func TestBadRequests(t *testing.T) {
	x := smooth(1, 12, 10, 3)
	truth, model := as("truth", comparator.Truth, x, 8), as("model", comparator.Fitted, x, 8)
	other := as("model", comparator.Fitted, smooth(1, 12, 9, 3), 8)
	for name, subjects := range map[string][]comparator.Subject{"none": nil, "labels": {truth, truth}, "bins": {truth, other}, "truths": {model, truth}} {
		if _, err := open(t, 1, nil).Compare(t.Context(), comparator.Request{Subjects: subjects}, nil); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Params{Alpha: []float64{1, 1}}, component.Env{}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("alpha twice: error %v", err)
	}
}

// TestMany: of many subjects without a truth each two are in the matrices, and those with the first are results.
func TestMany(t *testing.T) {
	var subjects []comparator.Subject
	for i := range 12 {
		subjects = append(subjects, as(string(rune('a'+i)), comparator.Fitted, smooth(uint64(i), 6, 20, 3), 4))
	}
	o := compare(t, param.Values{"bootstrap": 20}, subjects...)
	results, notes := 0, 0
	for _, r := range o.Results {
		if r.Metric == "procrustes_angular" {
			results++
			if strings.Contains(r.Reason, "12 subjects") {
				notes++
			}
			if r.Reference != "a" || math.IsNaN(r.Value) || math.IsNaN(r.Low) {
				t.Errorf("%+v", r)
			}
		}
	}
	if results != 11 || notes != 1 {
		t.Errorf("%d results, %d notes", results, notes)
	}
	for _, v := range o.Matrices.Get("procrustes_angular").F64 {
		if math.IsNaN(v) {
			t.Fatal("a pair is missing in the matrix")
		}
	}
}
