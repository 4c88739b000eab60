package reach

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// near reports the first number that is further from what it should be than tolerance times the largest there.
func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", name, len(got), len(want))
		return
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance*largest) {
			t.Errorf("%s: number %d is %v, want %v, to %v", name, i, got[i], w, tolerance*largest)
			return
		}
	}
}

// given are the plans of a golden case, as the reference drew them.
func given(t *testing.T, c golden.Case) []Plan {
	t.Helper()
	q0, from, to := c.Floats(t, "q0"), c.Floats(t, "start_xy"), c.Floats(t, "target_xy")
	on, goes, start, end, force := c.Ints(t, "target_on"), c.Ints(t, "go"), c.Ints(t, "bump_start"), c.Ints(t, "bump_end"), c.Floats(t, "bump_force")
	plans := make([]Plan, len(on))
	for i := range plans {
		two := func(a []float64) [2]float64 { return [2]float64(a[2*i : 2*i+2]) }
		plans[i] = Plan{
			Start: two(q0), From: two(from), To: two(to), TargetOn: int(on[i]), Go: int(goes[i]),
			BumpOn: int(start[i]), BumpEnd: int(end[i]), Bump: two(force),
		}
		if plans[i].Catch() != (c.Ints(t, "catch")[i] == 1) {
			t.Errorf("trial %d: catch is %v", i, plans[i].Catch())
		}
	}
	return plans
}

// TestGoldenTrials makes the arrays of trials that the published reference drew, under compat as it does.
func TestGoldenTrials(t *testing.T) {
	for _, c := range golden.Select(t, "random_target.json", func(c golden.Case) bool { return c.Tensors["input_row_sums"] != nil }) {
		t.Run(c.Name, func(t *testing.T) {
			var p struct {
				T       int
				Aligned bool
			}
			c.Decode(t, &p)
			k := open(t, 0, 1, mode(p.Aligned))
			if k.bins() != p.T {
				t.Fatalf("%d bins, want %d", k.bins(), p.T)
			}
			var inputs, goals []float64
			for i, plan := range given(t, c) {
				hand := k.body.Hand(plan.Start)
				near(t, "hand", hand[:], plan.From[:], 1e-6)
				for bin := range p.T {
					x, g := plan.Context(bin, p.T, k.GoCue, true), plan.Goal(bin)
					inputs, goals = append(inputs, x[0]+x[1]+x[2]), append(goals, g[0]+g[1])
				}
				if late, early := plan.Context(p.T-1, p.T, k.GoCue, false), plan.Context(p.T-2, p.T, k.GoCue, false); plan.Catch() && late != early {
					t.Errorf("trial %d: of %v nothing is left in the last bin: %v", i, early, late)
				}
			}
			near(t, "inputs", inputs, c.Floats(t, "input_row_sums"), 1e-6)
			near(t, "goals", goals, c.Floats(t, "goal_row_sums"), 1e-6)
		})
	}
}

func mode(simulation bool) param.Values {
	if simulation {
		return param.Values{"mode": "simulation"}
	}
	return param.Values{}
}

// TestGoldenStatistics compares 3000 trials with as many of the reference's: fractions to 5 standard errors, ranges to what the extremes of so many draws leave open.
func TestGoldenStatistics(t *testing.T) {
	for _, c := range golden.Select(t, "random_target.json", func(c golden.Case) bool { return c.Tensors["catch_fraction"] != nil }) {
		t.Run(c.Name, func(t *testing.T) {
			var p struct{ Trials int }
			c.Decode(t, &p)
			values := mode(c.Name == "statistics_sim")
			values["n_trials"] = p.Trials
			k := open(t, 5, 1, values)
			n := float64(p.Trials)
			var catch, bumps float64
			wide := func() [2]float64 { return [2]float64{math.Inf(1), math.Inf(-1)} }
			on, goes, gap, starts, forces, shoulder, elbow := wide(), wide(), wide(), wide(), wide(), wide(), wide()
			take := func(r *[2]float64, x float64) { r[0], r[1] = min(r[0], x), max(r[1], x) }
			for i := range p.Trials {
				plan := k.plan(int64(i))
				take(&on, float64(plan.TargetOn))
				if plan.Catch() {
					catch++
				} else {
					take(&goes, float64(plan.Go))
					take(&gap, float64(plan.Go-plan.TargetOn))
				}
				if plan.BumpOn >= 0 {
					bumps++
					take(&starts, float64(plan.BumpOn))
					take(&forces, math.Hypot(plan.Bump[0], plan.Bump[1]))
					if d := plan.BumpEnd - plan.BumpOn; plan.BumpEnd > k.bins() || d > 29 || d < 1 || d < 15 && plan.BumpEnd < k.bins() {
						t.Errorf("trial %d: a push in bins %d to %d of %d", i, plan.BumpOn, plan.BumpEnd, k.bins())
					}
				}
				take(&shoulder, plan.Start[0]*180/math.Pi)
				take(&elbow, plan.Start[1]*180/math.Pi)
			}
			fraction := func(name string, got float64) {
				want := c.Floats(t, name)[0]
				if se := math.Sqrt(2 * max(want*(1-want), 0.1/n) / n); math.Abs(got/n-want) > 5*se {
					t.Errorf("%s is %v, want %v, to %v", name, got/n, want, 5*se)
				}
			}
			within := func(name string, got [2]float64, want []float64, tolerance float64) {
				if math.Abs(got[0]-want[0]) > tolerance || math.Abs(got[1]-want[1]) > tolerance {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
			}
			fraction("catch_fraction", catch)
			fraction("bump_fraction", bumps)
			within("target_on_range", on, c.Floats(t, "target_on_range"), 0)
			within("go_range", goes, c.Floats(t, "go_range"), 3)
			if want := c.Floats(t, "go_minus_on_min")[0]; gap[0] != want {
				t.Errorf("the go cue comes at least %v bins after the target, want %v", gap[0], want)
			}
			within("bump_start_range", starts, c.Floats(t, "bump_start_range"), 3)
			within("bump_force_range", forces, c.Floats(t, "bump_force_range"), 0.03)
			q := c.Floats(t, "q_start_range_deg")
			within("shoulder", shoulder, []float64{q[0], q[2]}, 0.5)
			within("elbow", elbow, []float64{q[1], q[3]}, 0.5)
		})
	}
}

// TestGoldenClosedLoop runs the arm and a GRU in closed loop, and back: everything that the reference gave, whole trials and two stages of the curriculum, both behaviours.
func TestGoldenClosedLoop(t *testing.T) {
	cases := map[string]golden.Case{}
	all := golden.Read(t, "random_target.json")
	for _, c := range all {
		cases[c.Name] = c
	}
	for _, c := range all {
		if c.Tensors["loss_task"] == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var p loopCase
			c.Decode(t, &p)
			// The trials of both stages are stored with the first.
			newLoop(t, p, cases["closed_loop_"+p.Behaviour+"_epoch1000"]).check(t, c)
		})
	}
}

type loopCase struct {
	Behaviour string
	T, B, H   int
	L2        float64 `json:"l2_wt"`
	Position  float64 `json:"pos_weight"`
	Action    float64 `json:"act_weight"`
	Epoch     int
	LossBins  int `json:"loss_bins"`
	Weights   string
}

// loop is a GRU in front of an episode, in double precision.
type loop struct {
	loopCase
	trials golden.Case
	task   *reach
	plans  []Plan
	net    *kernel.Sequence[float64]
	weight map[string][]float64
}

func newLoop(t *testing.T, p loopCase, trials golden.Case) *loop {
	t.Helper()
	l := &loop{loopCase: p, trials: trials, weight: map[string][]float64{}}
	l.task = open(t, 0, 1, param.Values{"n_timesteps": p.T, "compat": p.Behaviour == "compat"})
	q0, load := trials.Floats(t, "q0"), trials.Floats(t, "endpoint_load")
	for row := range p.B {
		plan := Plan{Start: [2]float64(q0[2*row : 2*row+2]), Go: -1, BumpOn: -1, BumpEnd: -1}
		for bin := range p.T {
			f := [2]float64(load[(row*p.T+bin)*2:][:2])
			if f == [2]float64{} {
				continue
			}
			if plan.BumpOn < 0 {
				plan.BumpOn, plan.Bump = bin, f
			}
			plan.BumpEnd = bin + 1
		}
		for bin := range p.T {
			if plan.Force(bin) != [2]float64(load[(row*p.T+bin)*2:][:2]) {
				t.Fatalf("trial %d: the load is no push", row)
			}
		}
		l.plans = append(l.plans, plan)
	}
	for _, w := range golden.Weights(t, p.Weights, "") {
		l.weight[w.Name] = w.F64
	}
	var err error
	l.net, err = kernel.NewSequence[float64](kernel.SequenceConfig{Cell: kernel.CellGRU, B: p.B, T: p.T, I: observed(6) + contexts, H: p.H, O: 6})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.net.Close() })
	return l
}

func (l *loop) weights(of map[string][]float64) kernel.SequenceWeights[float64] {
	return kernel.SequenceWeights[float64]{
		Wih: of["cell.weight_ih"], Whh: of["cell.weight_hh"], Bih: of["cell.bias_ih"], Bhh: of["cell.bias_hh"], Wout: of["readout.weight"], Bout: of["readout.bias"],
	}
}

// begin starts an episode with what the reference showed.
func (l *loop) begin(t *testing.T, tape bool) (*episode[float64], []float64) {
	t.Helper()
	req := task.EpisodeRequest{Split: task.All, Trials: make([]int64, l.B), Float64: true, Tape: tape, NoiseOff: true}
	e, err := newEpisode[float64](l.task, req, l.plans)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.End(t.Context()) })
	e.context, e.shown = l.trials.Floats(t, "context_inputs"), l.T
	o, err := e.reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e, o.Inputs.F64
}

// bin copies a bin of an array (B, T, n) to or from one (B, n).
func (l *loop) put(all []float64, bin int, a []float64) {
	n := len(a) / l.B
	for row := range l.B {
		copy(all[(row*l.T+bin)*n:], a[row*n:(row+1)*n])
	}
}

func (l *loop) get(a []float64, all []float64, bin int) []float64 {
	n := len(a) / l.B
	for row := range l.B {
		copy(a[row*n:(row+1)*n], all[(row*l.T+bin)*n:])
	}
	return a
}

func (l *loop) check(t *testing.T, c golden.Case) {
	b, bins, h := l.B, l.T, l.H
	want := func(name string) []float64 { return l.trials.Floats(t, name) }
	actions, latents, tips := make([]float64, b*bins*6), make([]float64, b*bins*h), make([]float64, b*bins*2)
	observations, joints := make([]float64, b*bins*14), make([]float64, b*bins*4)
	y, z := make([]float64, b*6), make([]float64, b*h)

	e, x := l.begin(t, true)
	free, _ := l.begin(t, false)
	if err := l.net.Begin(l.weights(l.weight), kernel.SequenceInput[float64]{H0: l.weight["latent_ics"]}); err != nil {
		t.Fatal(err)
	}
	for bin := range bins {
		if err := l.net.StepForward(bin, x, kernel.SequenceBin[float64]{Y: y, State: z}); err != nil {
			t.Fatal(err)
		}
		l.put(actions, bin, y)
		l.put(latents, bin, z)
		o, err := e.Step(t.Context(), bin, tensor.From64("actions", y, b, 6))
		if err != nil {
			t.Fatal(err)
		}
		l.put(tips, bin, o.State.F64)
		seen := make([]float64, 0, b*14)
		for row := range b {
			seen = append(seen, o.Inputs.F64[row*17:][:14]...)
		}
		l.put(observations, bin, seen)
		r, err := free.Step(t.Context(), bin, tensor.From64("actions", y, b, 6))
		if err != nil {
			t.Fatal(err)
		}
		both := make([]float64, 0, b*4)
		for row := range b {
			both = append(append(both, r.Recorded.Get(JointAngle).F64[row*2:][:2]...), r.Recorded.Get(JointVelocity).F64[row*2:][:2]...)
		}
		l.put(joints, bin, both)
	}
	near(t, "actions", actions, want("actions"), 1e-8)
	near(t, "latents", latents, want("latents"), 1e-8)
	near(t, "fingertip", tips, want("fingertip"), 1e-8)
	near(t, "observations", observations, want("observation_after"), 1e-8)
	near(t, "joints", joints, want("joint"), 1e-8)
	l.back(t, c, e, actions, latents, tips)
}

// back computes the loss and its gradients by all weights.
func (l *loop) back(t *testing.T, c golden.Case, e *episode[float64], actions, latents, tips []float64) {
	b, bins, h := l.B, l.T, l.H
	goal := l.trials.Floats(t, "goal")
	position := kernel.Shape{B: b, T: l.LossBins, C: 2, Threads: 1}
	head := func(a []float64) []float64 {
		out := make([]float64, 0, b*l.LossBins*2)
		for row := range b {
			out = append(out, a[row*bins*2:][:l.LossBins*2]...)
		}
		return out
	}
	tipGrad := make([]float64, b*l.LossBins*2)
	loss, err := kernel.SquaredError(position, head(tips), head(goal), nil, l.Position/float64(b*l.LossBins*2), tipGrad)
	if err != nil {
		t.Fatal(err)
	}
	actionGrad, latentGrad := make([]float64, len(actions)), make([]float64, len(latents))
	effort, err := kernel.SquaredError(kernel.Shape{B: b, T: bins, C: 6, Threads: 1}, actions, make([]float64, len(actions)), nil, l.Action/float64(len(actions)), actionGrad)
	if err != nil {
		t.Fatal(err)
	}
	penalty, err := kernel.LatentNorm(kernel.Shape{B: b, T: bins, C: h, Threads: 1}, latents, nil, l.L2/float64(b), latentGrad, false)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss_task", []float64{loss + effort}, c.Floats(t, "loss_task"), 1e-8)
	near(t, "loss_latent", []float64{penalty}, c.Floats(t, "loss_latent"), 1e-8)
	near(t, "loss", []float64{loss + effort + penalty}, c.Floats(t, "loss"), 1e-8)

	if err := l.net.BeginBackward(nil); err != nil {
		t.Fatal(err)
	}
	dx, dz, dy, dtip := make([]float64, b*17), make([]float64, b*h), make([]float64, b*6), make([]float64, b*2)
	for bin := bins - 1; bin >= 0; bin-- {
		var inputs, state *tensor.Tensor
		if bin < bins-1 {
			inputs = tensor.From64("inputs", dx, b, 17)
		}
		if bin < l.LossBins {
			for row := range b {
				copy(dtip[row*2:row*2+2], tipGrad[(row*l.LossBins+bin)*2:])
			}
			state = tensor.From64("state", dtip, b, 2)
		}
		back, err := e.VJP(t.Context(), bin, inputs, state)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range l.get(dy, actionGrad, bin) {
			dy[i] = g + back.F64[i]
		}
		if err := l.net.StepBackward(bin, kernel.SequenceBin[float64]{Y: dy, State: l.get(dz, latentGrad, bin)}, dx); err != nil {
			t.Fatal(err)
		}
	}
	grad := map[string][]float64{}
	for name, w := range l.weight {
		grad[name] = make([]float64, len(w))
	}
	if err := l.net.EndBackward(kernel.SequenceGradient[float64]{Weights: l.weights(grad), H0: grad["latent_ics"]}); err != nil {
		t.Fatal(err)
	}
	for name, g := range grad {
		near(t, "gradient of "+name, g, c.Floats(t, "grad_w."+name), 1e-6)
	}
}
