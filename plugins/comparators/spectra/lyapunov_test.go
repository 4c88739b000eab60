package spectra

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// system is a step written by hand, with its derivative along a direction, for one state at a time.
type system struct {
	model.Dynamics
	size, inputs int
	dt           float64
	step         func(x, u, next []float64)
	jvp          func(x, u, v, out []float64)
	// productsAlone is true where whole Jacobians are refused.
	productsAlone bool
}

func (d system) Layout(context.Context) (model.Layout, error) {
	return model.Layout{Size: d.size, Inputs: d.inputs, Observable: map[string]int{model.State: d.size, model.Latents: d.size}, Float64: true, BinWidth: d.dt}, nil
}

func (d system) InitialState(context.Context, tensor.Block) (*tensor.Tensor, error) {
	x := tensor.New64(model.State, 1, d.size)
	for i := range x.F64 {
		x.F64[i] = 0.1
	}
	return x, nil
}

func (d system) Step(_ context.Context, x, u *tensor.Tensor) (*tensor.Tensor, error) {
	out := tensor.New64(model.State, x.Shape...)
	for i := range x.Shape[0] {
		d.step(row(x, i), row(u, i), row(out, i))
	}
	return out, nil
}

func (d system) JVP(_ context.Context, x, u, v, _ *tensor.Tensor) (*tensor.Tensor, error) {
	out := tensor.New64(model.State, x.Shape...)
	for i := range x.Shape[0] {
		d.jvp(row(x, i), row(u, i), row(v, i), row(out, i))
	}
	return out, nil
}

func (d system) Jacobians(_ context.Context, x, u *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor, error) {
	if d.productsAlone {
		return nil, nil, context.DeadlineExceeded
	}
	out := tensor.New64(model.State, x.Shape[0], d.size, d.size)
	v, column := make([]float64, d.size), make([]float64, d.size)
	for i := range x.Shape[0] {
		for j := range d.size {
			clear(v)
			v[j] = 1
			d.jvp(row(x, i), row(u, i), v, column)
			for k, c := range column {
				out.F64[(i*d.size+k)*d.size+j] = c
			}
		}
	}
	return out, tensor.New64("d_input", x.Shape[0], d.size, d.inputs), nil
}

func row(t *tensor.Tensor, i int) []float64 { return t.F64[i*t.Shape[1] : (i+1)*t.Shape[1]] }

// lorenz is the system of Lorenz 1963 (sigma 10, rho 28, beta 8/3) by one classical Runge-Kutta step of dt, with the exact derivative of that step.
func lorenz(dt float64) system {
	rate := func(x []float64) [3]float64 {
		return [3]float64{10 * (x[1] - x[0]), x[0]*(28-x[2]) - x[1], x[0]*x[1] - 8.0/3*x[2]}
	}
	along := func(x, v []float64) [3]float64 {
		return [3]float64{10 * (v[1] - v[0]), v[0]*(28-x[2]) - x[0]*v[2] - v[1], v[0]*x[1] + x[0]*v[1] - 8.0/3*v[2]}
	}
	// Both, since the stages of the derivative are those of the step.
	both := func(x, v, next, nextV []float64) {
		at, atV := [3]float64(x), [3]float64(v)
		var sum, sumV [3]float64
		for stage, f := range [4]float64{0.5, 0.5, 1, 0} {
			k, kv := rate(at[:]), along(at[:], atV[:])
			weight := [4]float64{1, 2, 2, 1}[stage] / 6
			for i := range 3 {
				sum[i], sumV[i] = sum[i]+weight*k[i], sumV[i]+weight*kv[i]
				at[i], atV[i] = x[i]+f*dt*k[i], v[i]+f*dt*kv[i]
			}
		}
		for i := range 3 {
			next[i], nextV[i] = x[i]+dt*sum[i], v[i]+dt*sumV[i]
		}
	}
	var scratch [3]float64
	return system{size: 3, dt: dt, step: func(x, _, next []float64) {
		own := scratch
		both(x, make([]float64, 3), next, own[:])
	}, jvp: func(x, _, v, out []float64) {
		own := scratch
		both(x, v, own[:], out)
	}}
}

func linear(a [][]float64) system {
	times := func(x, out []float64) {
		for i, r := range a {
			out[i] = 0
			for k, v := range r {
				out[i] += v * x[k]
			}
		}
	}
	return system{size: len(a), step: func(x, _, next []float64) { times(x, next) }, jvp: func(_, _, v, out []float64) { times(v, out) }}
}

// beginning are states of so many trials, of which the first bin matters.
func beginning(seed uint64, trials, bins, width int, scale float64) *tensor.Tensor {
	rng := random.New(seed, "spectra/test")
	x := tensor.New64(comparator.Latents, trials, bins, width)
	for i := range x.F64 {
		x.F64[i] = scale * rng.NormFloat64()
	}
	return x
}

func dynamic(label string, role comparator.Role, d model.Dynamics, latents *tensor.Tensor) comparator.Subject {
	return comparator.Subject{Label: label, Role: role, Dynamics: d, Valid: tensor.Set{latents}}
}

// TestLorenz finds the published exponents, 0.906, 0 and -14.57 (Sprott 2003, "Chaos and time-series analysis"), and the dimension 2.062.
func TestLorenz(t *testing.T) {
	o := compare(t, param.Values{"inputs": "zero", "steps": 10000, "trials": 32, "bootstrap": 200}, dynamic("truth", comparator.Truth, lorenz(0.01), beginning(1, 32, 20, 3, 10)))
	for name, want := range map[string]struct{ value, within float64 }{
		"lyapunov/1": {0.906, 0.018}, "lyapunov/2": {0, 0.018}, "lyapunov/3": {-14.57, 0.29}, "lyapunov_per_bin/1": {0.00906, 0.00018},
		// The divergence of the flow is -10 - 1 - 8/3 everywhere.
		"lyapunov_sum": {-41.0 / 3, 1e-3}, "kaplan_yorke_dimension": {2.062, 0.005},
	} {
		r := opened.Find(t, o, name, "truth")
		if math.Abs(r.Value-want.value) > want.within {
			t.Errorf("%s is %v, want %v", name, r.Value, want.value)
		}
		// Half the interval is a standard error or two of what is left to chance, and as much again that differs between the halves of the trials.
		if !(r.Low <= want.value && want.value <= r.High || math.Abs(r.Value-want.value) < 1e-3) || !(r.High-r.Low < 5*want.within) || (r.Reason != "") != (name == "lyapunov/2") {
			t.Errorf("%+v", r)
		}
		t.Logf("%s %.4f (%.4f to %.4f) %s", name, r.Value, r.Low, r.High, r.Unit)
	}
	if r := opened.Find(t, o, "lyapunov_drift", "truth"); !(r.Value < 0.05) || r.Unit != "1/s" {
		t.Errorf("%+v", r)
	}
}

// sheared is diag(1, by) R diag(1, by)^-1 of a matrix R that turns by an angle, after a turn of the axes: no direction grows or shrinks for long, and each does for a while.
func sheared(angle, by, axes float64) [][]float64 {
	times := func(a, b [2][2]float64) (out [2][2]float64) {
		for i := range 2 {
			for j := range 2 {
				out[i][j] = a[i][0]*b[0][j] + a[i][1]*b[1][j]
			}
		}
		return out
	}
	turn := func(w float64) [2][2]float64 {
		return [2][2]float64{{math.Cos(w), -math.Sin(w)}, {math.Sin(w), math.Cos(w)}}
	}
	m := times(times(turn(axes), [2][2]float64{{1, 0}, {0, by}}), turn(angle))
	m = times(times(m, [2][2]float64{{1, 0}, {0, 1 / by}}), turn(-axes))
	return [][]float64{m[0][:], m[1][:]}
}

// TestShortTrials, with default parameters on trials of 200 bins of 20 ms: exponents of a rotation are 0 and those of a ring that is led by another 0, 0, -4 and -4, whatever the coordinates, and where the
// trials are too short to tell, intervals are as wide as that and there is a word of it.
func TestShortTrials(t *testing.T) {
	const dt, by, pull = 0.02, 3, 4
	of := func(a [][]float64) system {
		s := linear(a)
		s.dt = dt
		return s
	}
	for i := range 40 {
		// From a twentieth of a turn a second to 2.
		angle := 2 * math.Pi * 0.05 * float64(i+1) * dt
		ring, stretched := of(sheared(angle, 1, 0)), of(sheared(angle, by, float64(i)))
		o := compare(t, param.Values{"bootstrap": 100, "operator_rank": 0}, dynamic("truth", comparator.Truth, ring, beginning(1, 32, 200, 2, 1)), dynamic("sheared", comparator.Fitted, stretched, beginning(2, 32, 200, 2, 1)))
		for _, name := range []string{"lyapunov/1", "lyapunov/2"} {
			if r := opened.Find(t, o, name, "truth"); math.Abs(r.Value) > 1e-12 || r.Reason != "" {
				t.Errorf("angle %v: %+v", angle, r)
			}
			if r := opened.Find(t, o, name, "sheared"); !(r.Low < 0 && 0 < r.High) || !strings.Contains(r.Reason, "not settled") {
				t.Errorf("angle %v: %+v", angle, r)
			}
		}
		for _, subject := range []string{"truth", "sheared"} {
			if r := opened.Find(t, o, "kaplan_yorke_dimension", subject); !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "the first exponent is between") {
				t.Errorf("angle %v: %+v", angle, r)
			}
		}
		if r := opened.Find(t, o, "lyapunov_distance", "sheared"); r.Low != 0 || !(r.High > r.Value) || !strings.Contains(r.Reason, "not settled") {
			t.Errorf("angle %v: %+v", angle, r)
		}
	}
	// A ring x that turns, and another that is drawn to it, exactly over a bin: y' = R y e^-4dt + R x (1 - e^-4dt).
	angle, fades := 2*math.Pi*0.5*dt, math.Exp(-pull*dt)
	led := make([][]float64, 4)
	turn := sheared(angle, 1, 0)
	for i := range 2 {
		led[i] = []float64{fades * turn[i][0], fades * turn[i][1], (1 - fades) * turn[i][0], (1 - fades) * turn[i][1]}
		led[2+i] = []float64{0, 0, turn[i][0], turn[i][1]}
	}
	for seed := range uint64(10) {
		o, err := opened.Comparator(t, Factory(), component.Env{Seed: seed, Threads: 2}, param.Values{"reported": 4}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{
			dynamic("truth", comparator.Truth, of(led), beginning(1, 32, 200, 4, 1))}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for j, want := range []float64{0, 0, -pull, -pull} {
			r := opened.Find(t, o, "lyapunov/"+string(rune('1'+j)), "truth")
			if !(r.Low <= want && want <= r.High) || (want == 0) != strings.Contains(r.Reason, "not settled") {
				t.Errorf("seed %d: %+v, want %v", seed, r, want)
			}
		}
		if r := opened.Find(t, o, "kaplan_yorke_dimension", "truth"); !math.IsNaN(r.Value) || !strings.Contains(r.Reason, "not settled") {
			t.Errorf("seed %d: %+v", seed, r)
		}
	}
}

// TestOneOrder: directions that have not settled may come in another order than that of the exponents, which is that of results, drift, matrices and the figure.
func TestOneOrder(t *testing.T) {
	// The first direction found loses 1 a bin and the second gains 2, over 10 bins; only the second changes.
	e := &examined{Subject: &comparator.Subject{Label: "model"}, exponents: []float64{2, -1}, drive: drive{steps: []int{10}},
		sums: &exponents{count: 2, finite: 2, bins: []float64{10}, logs: []float64{-10, 20}, at: []int{5, 10}, running: []float64{-5, 4, -10, 20}}}
	if early, late, ok := e.halves(0, 1); !ok || early[0] != 4.0/5 || late[0] != 16.0/5 {
		t.Errorf("halves of exponent 1: %v and %v", early, late)
	}
	if left := e.left(1, 2); left != 0 {
		t.Errorf("exponent 2 changes by %v", left)
	}
	if got := e.sums.statistic(0).Value(bootstrap.Ones(1)); got != 2 {
		t.Errorf("exponent 1 is %v", got)
	}
	c := &comparison{spectra: &spectra{}, found: []*examined{e}, dt: 1, rate: perBin}
	f, ok := c.exponentFigure(t.Context())
	if line := f.Panels[1].Marks[0]; !ok || line.Y[len(line.Y)-1] != 2 {
		t.Errorf("the first line of the figure ends at %v", line.Y)
	}
	if m := c.matrices(e); m[0].F64[0] != 2 || m[1].F64[0] != 2 || m[1].F64[1] != -1 {
		t.Errorf("%v and %v", m[0].F64, m[1].F64)
	}
}

// TestLinear: the exponents of a linear system are the logarithms of its eigenvalues' moduli, exactly once the directions have turned, by whole Jacobians as by products.
func TestLinear(t *testing.T) {
	// P diag(1.01, 0.9, -0.6, 0.2) P^-1 with P = I + N, N nilpotent.
	l := []float64{1.01, 0.9, -0.6, 0.2}
	p := [][]float64{{1, 2, 0, 1}, {0, 1, -1, 0}, {0, 0, 1, 3}, {0, 0, 0, 1}}
	inverse := make([][]float64, 4)
	for i := range inverse {
		inverse[i] = make([]float64, 4)
	}
	for j := range 4 {
		for i := 3; i >= 0; i-- {
			if i == j {
				inverse[i][j] = 1
			}
			for k := i + 1; k < 4; k++ {
				inverse[i][j] -= p[i][k] * inverse[k][j]
			}
		}
	}
	a := make([][]float64, 4)
	for i := range a {
		a[i] = make([]float64, 4)
		for j := range 4 {
			for k := range 4 {
				a[i][j] += p[i][k] * l[k] * inverse[k][j]
			}
		}
	}
	values := param.Values{"steps": 1000, "inputs": "zero", "transient": 0.5, "reported": 4}
	o := compare(t, values, dynamic("truth", comparator.Truth, linear(a), beginning(2, 5, 2, 4, 1)))
	for j, v := range l {
		r := opened.Find(t, o, "lyapunov/"+string(rune('1'+j)), "truth")
		if math.Abs(r.Value-math.Log(math.Abs(v))) > 1e-10 || r.Unit != "1/bin" {
			t.Errorf("exponent of %v: %+v", v, r)
		}
	}
	if r := opened.Find(t, o, "kaplan_yorke_dimension", "truth"); math.Abs(r.Value-(1+math.Log(1.01)/-math.Log(0.9))) > 1e-9 {
		t.Errorf("%+v", r)
	}

	// 300 elements, of which two are coupled: products with directions alone.
	wide := system{size: 300, productsAlone: true}
	wide.step = func(x, _, next []float64) {
		for i := range x {
			next[i] = 0.3 * x[i]
		}
		next[0], next[1], next[2] = 0.98*x[0]+x[1], 0.8*x[1]+0.1*x[299], -0.5*x[2]
	}
	wide.jvp = func(_, u, v, out []float64) { wide.step(v, u, out) }
	values["exponents"] = 3
	o = compare(t, values, dynamic("truth", comparator.Truth, wide, beginning(2, 5, 2, 300, 1)))
	for j, v := range []float64{0.98, 0.8, 0.5} {
		if r := opened.Find(t, o, "lyapunov/"+string(rune('1'+j)), "truth"); math.Abs(r.Value-math.Log(v)) > 1e-10 {
			t.Errorf("exponent of %v: %+v", v, r)
		}
	}
	if r := opened.Find(t, o, "kaplan_yorke_dimension", "truth"); r.Value != 0 || r.Reason != "" {
		t.Errorf("all exponents negative: %+v", r)
	}
	if r := opened.Find(t, o, "lyapunov_sum", "truth"); !strings.Contains(r.Reason, "leading 3") {
		t.Errorf("%+v", r)
	}

	// What is mapped to 0 has no finite exponent.
	o = compare(t, values, dynamic("truth", comparator.Truth, linear([][]float64{{0.5, 1}, {0, 0}}), beginning(2, 5, 2, 2, 1)))
	if r := opened.Find(t, o, "lyapunov/1", "truth"); math.Abs(r.Value-math.Log(0.5)) > 1e-10 || !strings.Contains(r.Reason, "number 2 on are -inf") {
		t.Errorf("%+v", r)
	}
}

// TestDriven: a scalar x' = tanh(w x + u) has the mean of ln |w (1 - x'^2)| along its own trajectory, from the recorded first state under the inputs that follow.
func TestDriven(t *testing.T) {
	const w, trials, bins = 1.4, 3, 30
	d := system{size: 1, inputs: 1, step: func(x, u, next []float64) { next[0] = math.Tanh(w*x[0] + u[0]) }}
	d.jvp = func(x, u, v, out []float64) {
		h := math.Tanh(w*x[0] + u[0])
		out[0] = w * (1 - h*h) * v[0]
	}
	u, z := beginning(3, trials, bins, 1, 1).Named(comparator.TrueInputs), beginning(4, trials, bins, 1, 1)
	lengths := []int64{30, 12, 21}
	sum, n := 0.0, 0.0
	for k, l := range lengths {
		x := z.F64[k*bins]
		for b := 1; b < int(l); b++ {
			x = math.Tanh(w*x + u.F64[k*bins+b])
			sum, n = sum+math.Log(w*(1-x*x)), n+1
		}
	}
	subject := func(arrays ...*tensor.Tensor) comparator.Subject {
		s := dynamic("truth", comparator.Truth, d, z)
		s.Valid = append(tensor.Set{tensor.FromInt(comparator.Lengths, lengths, trials)}, arrays...)
		return s
	}
	o := compare(t, param.Values{"transient": 0, "bootstrap": 50}, subject(z, u))
	if r := opened.Find(t, o, "lyapunov/1", "truth"); math.Abs(r.Value-sum/n) > 1e-12 || r.N != trials || r.Reason != "" {
		t.Errorf("%+v, want %v", r, sum/n)
	}
	// Without recorded states trials begin before their first bin, at the model's initial state.
	sum, n = 0, 0
	for k, l := range lengths {
		x := 0.1
		for b := range int(l) {
			x = math.Tanh(w*x + u.F64[k*bins+b])
			sum, n = sum+math.Log(w*(1-x*x)), n+1
		}
	}
	o = compare(t, param.Values{"transient": 0}, subject(u))
	if r := opened.Find(t, o, "lyapunov/1", "truth"); math.Abs(r.Value-sum/n) > 1e-12 || !strings.Contains(r.Reason, "initial state") {
		t.Errorf("%+v, want %v", r, sum/n)
	}
	// Without inputs there is nothing to be driven by.
	for values, why := range map[string]string{"recorded": "no inputs of 1 channels", "mean": "no inputs of 1 channels", "zero": ""} {
		o := compare(t, param.Values{"inputs": values}, subject(z))
		if r := opened.Find(t, o, "lyapunov/1", "truth"); !strings.Contains(r.Reason, why) || math.IsNaN(r.Value) != (why != "") {
			t.Errorf("%s: %+v", values, r)
		}
	}
	// A fitted model is driven by the truth's inputs.
	fitted := dynamic("model", comparator.Fitted, d, z)
	o = compare(t, param.Values{"transient": 0}, subject(z, u), fitted)
	if a, b := opened.Find(t, o, "lyapunov/1", "truth").Value, opened.Find(t, o, "lyapunov/1", "model").Value; a != b {
		t.Errorf("truth %v, the same as a model %v", a, b)
	}
	if r := opened.Find(t, o, "lyapunov_distance", "model"); r.Value != 0 || r.Low != 0 || r.High != 0 || r.Reason != "" || r.Reference != "truth" {
		t.Errorf("%+v", r)
	}
}

func TestKaplanYorke(t *testing.T) {
	for _, c := range []struct {
		exponents []float64
		all       bool
		want      float64
	}{
		{[]float64{-1, -2}, true, 0},
		{[]float64{0, -2}, true, 1},
		{[]float64{0.906, 0, -14.57}, true, 2 + 0.906/14.57},
		{[]float64{1, -0.5, -0.25, -1}, true, 3.25},
		{[]float64{1, -0.5}, true, 2},
		{[]float64{1, -0.5}, false, math.NaN()},
	} {
		if got := kaplanYorke(c.exponents, c.all); math.Abs(got-c.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(c.want) {
			t.Errorf("%v: %v, want %v", c.exponents, got, c.want)
		}
	}
}

// TestResampledExponents: a resample's exponents are those of the trials so repeated.
func TestResampledExponents(t *testing.T) {
	e := exponents{count: 2, finite: 2, bins: []float64{10, 20, 5}, logs: []float64{1, -3, 4, -2, 5, -5}}
	if got, want := e.statistic(1).Value([]float64{1, 2, 0}), (-3.0-2*2)/(10+2*20); math.Abs(got-want) > 1e-15 {
		t.Errorf("%v, want %v", got, want)
	}
	if got := e.statistic(0).Value(bootstrap.Ones(3)); math.Abs(got-10.0/35) > 1e-15 {
		t.Errorf("%v", got)
	}
}

func TestOutOfBounds(t *testing.T) {
	grows := system{size: 1, step: func(x, _, next []float64) { next[0] = x[0] * x[0] }, jvp: func(x, _, v, out []float64) { out[0] = 2 * x[0] * v[0] }}
	o := compare(t, nil, dynamic("truth", comparator.Truth, grows, beginning(1, 4, 40, 1, 10)))
	if r := opened.Find(t, o, "lyapunov/1", "truth"); !strings.Contains(r.Reason, "out of bounds after") {
		t.Errorf("%+v", r)
	}
	short := compare(t, nil, dynamic("truth", comparator.Truth, lorenz(0.01), beginning(1, 4, 1, 3, 1)))
	if r := opened.Find(t, short, "lyapunov/1", "truth"); !strings.Contains(r.Reason, "one bin") {
		t.Errorf("%+v", r)
	}
}
