package dsa

import (
	"context"
	"errors"
	"fmt"
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

// spirals are (trials, bins, width) of a noisy linear system with the given rotations a bin, seen through a random readout.
func spirals(seed uint64, trials, bins, width int, turns ...float64) *tensor.Tensor {
	return spiralsOf(seed, seed, trials, bins, width, turns...)
}

// spiralsOf are spirals of which the readout has a seed of its own.
func spiralsOf(readout, seed uint64, trials, bins, width int, turns ...float64) *tensor.Tensor {
	rng := random.New(readout, "dsa/test/readout")
	d := 2 * len(turns)
	read := make([]float64, d*width)
	for i := range read {
		read[i] = rng.NormFloat64()
	}
	rng = random.New(seed, "dsa/test")
	x := tensor.New32(comparator.Latents, trials, bins, width)
	for k := range trials {
		z := make([]float64, d)
		for i := range z {
			z[i] = rng.NormFloat64()
		}
		for b := range bins {
			for i, w := range turns {
				p, q := z[2*i], z[2*i+1]
				z[2*i] = 0.98*(math.Cos(w)*p-math.Sin(w)*q) + 0.1*rng.NormFloat64()
				z[2*i+1] = 0.98*(math.Sin(w)*p+math.Cos(w)*q) + 0.1*rng.NormFloat64()
			}
			for j := range width {
				sum := 0.0
				for i, v := range z {
					sum += v * read[i*width+j]
				}
				x.F32[(k*bins+b)*width+j] = float32(sum)
			}
		}
	}
	return x
}

// turned is x in other coordinates: an orthogonal map.
func turned(x *tensor.Tensor) *tensor.Tensor {
	d := x.Shape[2]
	rng := random.New(9, "dsa/turn")
	m := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(m)
	var q mat.Dense
	qr.QTo(&q)
	out := x.Clone()
	for r := 0; r < len(x.F32); r += d {
		for j := range d {
			sum := 0.0
			for i := range d {
				sum += float64(x.F32[r+i]) * q.At(i, j)
			}
			out.F32[r+j] = float32(sum)
		}
	}
	return out
}

// request has a truth, the same in other coordinates, and another system.
func request() comparator.Request {
	x := spirals(1, 8, 120, 4, 0.1, 0.35)
	return comparator.Request{Subjects: []comparator.Subject{
		{Label: "truth", Role: comparator.Truth, Train: tensor.Set{x}, Valid: tensor.Set{spirals(1, 4, 120, 4, 0.1, 0.35)}},
		{Label: "same", Role: comparator.Fitted, Train: tensor.Set{turned(x)}},
		{Label: "other", Role: comparator.Fitted, Train: tensor.Set{spirals(2, 8, 120, 4, 0.7, 1.2)}},
	}}
}

var small = param.Values{"n_delays": int64(3), "rank": int64(6)}

func with(values ...any) param.Values {
	v := param.Values{}
	for k, x := range small {
		v[k] = x
	}
	for i := 0; i < len(values); i += 2 {
		v[values[i].(string)] = values[i+1]
	}
	return v
}

// TestCompare: the same dynamics in other coordinates are near, others far, shuffled ones far from both; the matrices are symmetric with a zero diagonal, and
// nothing depends on the number of threads.
func TestCompare(t *testing.T) {
	o, err := open(t, 1, with("compat", true)).Compare(t.Context(), request(), nil)
	if err != nil {
		t.Fatal(err)
	}
	same, other := opened.Find(t, o, "dsa", "same"), opened.Find(t, o, "dsa", "other")
	if !(same.Value < 1e-3) || !(other.Value > 0.2) || !(same.Null > 0.2) || same.Reference != "truth" || same.N != 8 {
		t.Errorf("same %+v, other %+v", same, other)
	}
	if b := opened.Find(t, o, "dsa_lower_bound", "other"); !(b.Value <= other.Value && b.Value > 0) {
		t.Errorf("bound %+v of %+v", b, other)
	}
	w, sq := opened.Find(t, o, "dsa_wasserstein", "other").Value, opened.Find(t, o, "dsa_wasserstein_squared", "other").Value
	if math.Abs(w*w-sq) > 1e-12 {
		t.Errorf("%v squared is reported as %v", w, sq)
	}
	for _, m := range o.Matrices {
		for i := range 3 {
			for j := range 3 {
				if v := m.F64[3*i+j]; v != m.F64[3*j+i] || (i == j) != (v == 0) && m.Name != "dsa_gap" {
					t.Errorf("%s: %v", m.Name, m.F64)
				}
			}
		}
	}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	again, err := open(t, 3, with("compat", true)).Compare(t.Context(), request(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(again.Results) != fmt.Sprint(o.Results) || !reflect.DeepEqual(again.Matrices, o.Matrices) {
		t.Error("with other threads the outcome is another")
	}
}

// TestSweepAndInputs: the sweep finds that two rotations need rank 4 and no more than a few delays, and driven systems are compared where inputs are known.
func TestSweepAndInputs(t *testing.T) {
	req := request()
	rng := random.New(4, "dsa/inputs")
	u := tensor.New32(comparator.Inputs, 8, 120, 2)
	for i := range u.F32 {
		u.F32[i] = float32(rng.NormFloat64())
	}
	values := with("sweep", true, "inputs", true, "sweep_delays", []int64{1, 3}, "sweep_ranks", []int64{2, 4, 8, 400})
	o, err := open(t, 2, values).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := opened.Find(t, o, "input_dsa_joint", "same"); !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "truth has no inputs") {
		t.Errorf("%+v", r)
	}
	for _, r := range o.Results {
		if _, ok := component.FindReading(Factory().Info.Readings, r.Metric); !ok {
			t.Errorf("nothing says how to read %s", r.Metric)
		}
	}
	if r := opened.Find(t, o, "dsa_sweep_mase", "truth"); !(r.Value < 0.8) || !strings.Contains(r.Reason, "rank") || r.N != 4 {
		t.Errorf("%+v", r)
	}
	for _, metric := range []string{"dsa_prediction_mase", "dsa_sweep_mase"} {
		if r := opened.Find(t, o, metric, "same"); !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "no latents of validation trials") {
			t.Errorf("%+v", r)
		}
	}
	if m := o.Matrices.Get("dsa_sweep_mase"); m.F64[0] < m.F64[1] || !math.IsNaN(m.F64[3]) {
		t.Errorf("rank 2 predicts better than 4, or rank 400 at all: %v", m.F64)
	}
	req.Subjects[0].Train = append(req.Subjects[0].Train, u)
	if o, err = open(t, 2, values).Compare(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"input_dsa_joint", "input_dsa_state", "input_dsa_input"} {
		same, other := opened.Find(t, o, metric, "same"), opened.Find(t, o, metric, "other")
		if !(same.Value < 1e-3) || !(other.Value > 0.1) {
			t.Errorf("%s: same %v, other %v", metric, same.Value, other.Value)
		}
	}
	for _, f := range o.Figures {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	if len(o.Figures) != 5 {
		t.Errorf("%d figures: the matrix, the distances from the truth, the tree, the map and the sweep are wanted", len(o.Figures))
	}
}

// TestOmissions: what cannot be had is a result with a reason, and the others are there.
func TestOmissions(t *testing.T) {
	latents := func(trials, bins, width int, f func(i int) float32) *tensor.Tensor {
		x := tensor.New32(comparator.Latents, trials, bins, width)
		for i := range x.F32 {
			x.F32[i] = f(i)
		}
		return x
	}
	rng := random.New(3, "dsa/omissions")
	noise := func(int) float32 { return float32(rng.NormFloat64()) }
	for name, c := range map[string]struct {
		x      *tensor.Tensor
		values param.Values
		reason string
	}{
		"none":           {nil, small, "has no latents"},
		"one bin":        {latents(8, 1, 4, noise), small, "the longest trial of same has 1 bins: at least 2"},
		"constant":       {latents(8, 120, 4, func(int) float32 { return 2 }), small, "constant"},
		"NaN":            {latents(8, 120, 4, func(i int) float32 { return float32(math.Log(float64(100 - i))) }), small, "not finite in trial"},
		"empty":          {latents(0, 120, 4, noise), small, "holds nothing"},
		"too few delays": {latents(8, 120, 1, noise), with("common_rank", false), "has rank 3"},
	} {
		req := request()
		req.Subjects[1].Train = nil
		if c.x != nil {
			req.Subjects[1].Train = tensor.Set{c.x}
		}
		o, err := open(t, 2, c.values).Compare(t.Context(), req, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := opened.Find(t, o, "dsa", "same")
		if !math.IsNaN(r.Value) || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %+v", name, r)
		}
		if r := opened.Find(t, o, "dsa", "other"); math.IsNaN(r.Value) {
			t.Errorf("%s: %+v", name, r)
		}
		for _, r := range o.Results {
			if math.IsNaN(r.Value) && r.Reason == "" {
				t.Errorf("%s: %+v has no reason", name, r)
			}
		}
	}
	// A single trial is enough for an operator; ranks are lowered where they may be.
	req := request()
	req.Subjects[1].Train = tensor.Set{latents(1, 60, 1, noise)}
	o, err := open(t, 2, small).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := opened.Find(t, o, "dsa", "same"); math.IsNaN(r.Value) || !strings.Contains(r.Reason, "rank 3 in place of 6") {
		t.Errorf("%+v", r)
	}
}

// TestNoOperators: where no subject has an operator, what was asked for of driven systems says why it is not there, too.
func TestNoOperators(t *testing.T) {
	short := func() *tensor.Tensor { return tensor.New32(comparator.Latents, 8, 1, 4) }
	req := comparator.Request{Subjects: []comparator.Subject{
		{Label: "truth", Role: comparator.Truth, Train: tensor.Set{short(), short().Named(comparator.Inputs)}},
		{Label: "model", Role: comparator.Fitted, Train: tensor.Set{short()}},
	}}
	o, err := open(t, 2, with("inputs", true)).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"dsa", "input_dsa_joint"} {
		if r := opened.Find(t, o, metric, "model"); !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "1 bins") {
			t.Errorf("%+v", r)
		}
	}
}

// TestRecording: models of a recording, of which no latents are known, are compared with each other, with an interval and a null.
func TestRecording(t *testing.T) {
	req := request()
	one := req.Subjects[0]
	one.Label, one.Role = "one", comparator.Fitted
	req.Subjects = []comparator.Subject{{Label: "data", Role: comparator.Recording}, one, req.Subjects[1], req.Subjects[2]}
	o, err := open(t, 2, with("bootstrap", int64(20))).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[[2]string]component.Result{}
	for _, r := range o.Results {
		if r.Metric == "dsa" {
			found[[2]string{r.Reference, r.Subject}] = r
		}
	}
	if r := found[[2]string{"data", "one"}]; !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "no latents") {
		t.Errorf("%+v", r)
	}
	same, other := found[[2]string{"one", "same"}], found[[2]string{"one", "other"}]
	if !(same.Value < 0.05 && other.Value > 0.3) {
		t.Errorf("%+v, %+v: the same system in other coordinates should be near, another far", same, other)
	}
	if r := found[[2]string{"same", "other"}]; math.IsNaN(r.Value) || math.IsNaN(r.Low) || math.IsNaN(r.Null) {
		t.Errorf("%+v", r)
	}
}

func TestInvalidRequests(t *testing.T) {
	for name, change := range map[string]func(*comparator.Request){
		"no subjects":  func(r *comparator.Request) { r.Subjects = nil },
		"two labels":   func(r *comparator.Request) { r.Subjects[1].Label = "truth" },
		"late truth":   func(r *comparator.Request) { r.Subjects[1].Role = comparator.Truth },
		"unknown role": func(r *comparator.Request) { r.Subjects[1].Role = "friend" },
		"two axes": func(r *comparator.Request) {
			r.Subjects[1].Train = tensor.Set{tensor.New32(comparator.Latents, 8, 120)}
		},
		"lengths too few": func(r *comparator.Request) {
			r.Subjects[0].Train = append(r.Subjects[0].Train, tensor.NewInt(comparator.Lengths, 3))
		},
		"negative length": func(r *comparator.Request) {
			l := tensor.NewInt(comparator.Lengths, 8)
			l.I64[2] = -1
			r.Subjects[0].Train = append(r.Subjects[0].Train, l)
		},
	} {
		req := request()
		change(&req)
		if _, err := open(t, 1, small).Compare(t.Context(), req, nil); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, 2, small).Compare(ctx, request(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}
