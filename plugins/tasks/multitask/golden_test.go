package multitask

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// goldenTrial is a trial as a golden file gives it.
type goldenTrial struct {
	Task       string
	Rule       Rule
	Length     int
	Phases     map[string][2]int
	Conditions struct{ Theta1, Theta2, MA, MB, CA, CB, SA, SB float64 }
	Tie        bool
	Responds   bool
}

func (g goldenTrial) plan(t *testing.T) Plan {
	t.Helper()
	c := g.Conditions
	p := Plan{Rule: g.Rule, Theta1: c.Theta1, Theta2: c.Theta2,
		A: [2]float64{c.MA + c.CA*c.SA, c.MA - c.CA*c.SA}, B: [2]float64{c.MB + c.CB*c.SB, c.MB - c.CB*c.SB}}
	for phase := range Phase(Phases) {
		p.Starts[phase+1] = p.Starts[phase]
		if span, ok := g.Phases[phase.String()]; ok {
			if span[0] != p.Starts[phase] {
				t.Fatalf("%s starts at bin %d, want %d", phase, span[0], p.Starts[phase])
			}
			p.Starts[phase+1] = span[1]
		}
	}
	if g.Rule.String() != g.Task || p.End() != g.Length {
		t.Fatalf("rule %s of %d bins, want %s of %d", g.Rule, p.End(), g.Task, g.Length)
	}
	return p
}

// padded fills up with zeros.
func padded(x []float64, n int) []float64 {
	return append(slices.Clone(x), make([]float64, n-len(x))...)
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if math.Abs(got[i]-w) > tolerance {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], w)
		}
	}
}

// outputsOf are the made-up outputs and latents of trial b that the golden losses are of.
func outputsOf(b int, targets []float64) (y, latents []float64) {
	for i, target := range targets {
		t, c := i/outputs, i%outputs
		y = append(y, 0.8*target+0.3*math.Sin(0.37*float64(t+1)+1.3*float64(c+1)+0.7*float64(b+1)))
	}
	for t := range len(targets) / outputs {
		for d := range 4 {
			latents = append(latents, math.Cos(0.21*float64((t+1)*(d+1))+0.5*float64(b+1)))
		}
	}
	return y, latents
}

// TestGoldenTrials checks inputs, targets, weights and losses of three trials of each task in both behaviours, and the loss and gradients of all of them as a batch.
func TestGoldenTrials(t *testing.T) {
	const latentWeight = 1e-3
	cases := golden.Read(t, "multitask.json")
	var allY, allTargets, allWeights, allLatents, allWithin []float64
	trials, bins := 0, 0
	for _, c := range cases {
		if !strings.HasPrefix(c.Name, "trial_") {
			continue
		}
		var g goldenTrial
		if err := json.Unmarshal(c.Params, &g); err != nil {
			t.Fatal(err)
		}
		p := g.plan(t)
		weights := c.Floats(t, "weights")
		bins = len(weights)
		x, targets, w := make([]float64, bins*inputs), make([]float64, bins*outputs), make([]float64, bins)
		Inputs(x, &p)
		near(t, c.Name+" inputs", x, padded(c.Floats(t, "inputs"), len(x)), 1e-12)
		Weights(w, &p)
		near(t, c.Name+" weights", w, weights, 0)
		if cos, sin := p.Answer(); (cos != 0 || sin != 0) != g.Responds {
			t.Errorf("%s: the answer is %v, %v", c.Name, cos, sin)
		}
		for _, compat := range []bool{false, true} {
			Targets(targets, &p, compat)
			name := map[bool]string{false: "targets_default", true: "targets_compat"}[compat]
			if g.Tie && !compat {
				continue // the default behaviour has no such trial
			}
			near(t, c.Name+" "+name, targets, padded(c.Floats(t, name), len(targets)), 1e-12)
		}
		Targets(targets, &p, true)
		y, latents := outputsOf(trials, targets)
		loss, want := SquaredError(y, targets, w), c.Floats(t, "loss_alone")[0]
		if math.Abs(loss-want) > 1e-10*want {
			t.Errorf("%s: loss %v, want %v", c.Name, loss, want)
		}
		within := make([]float64, bins*4)
		for i := range p.End() * 4 {
			within[i] = 1
			loss += latentWeight * latents[i] * latents[i] / 4
		}
		if want := c.Floats(t, "loss_alone_latent")[0]; math.Abs(loss-want) > 1e-10*want {
			t.Errorf("%s: loss with latents %v, want %v", c.Name, loss, want)
		}
		for _, v := range w {
			allWeights = append(allWeights, v, v, v)
		}
		allY, allTargets, allLatents, allWithin = append(allY, y...), append(allTargets, targets...), append(allLatents, latents...), append(allWithin, within...)
		trials++
	}
	if trials != 45 {
		t.Fatalf("%d trials", trials)
	}

	// The models' own computation of the declared loss.
	batch := cases[slices.IndexFunc(cases, func(c golden.Case) bool { return c.Name == "batch" })]
	s := kernel.Shape{B: trials, T: bins, C: outputs, Threads: 1}
	gradY := make([]float64, len(allY))
	loss, err := kernel.SquaredError(s, allY, allTargets, allWeights, 1/float64(trials*outputs), gradY)
	if want := batch.Floats(t, "loss")[0]; err != nil || math.Abs(loss-want) > 1e-10*want {
		t.Errorf("batch: loss %v (%v), want %v", loss, err, want)
	}
	s.C = 4
	gradLatents := make([]float64, len(allLatents))
	more, err := kernel.SquaredError(s, allLatents, make([]float64, len(allLatents)), allWithin, latentWeight/float64(trials*4), gradLatents)
	if want := batch.Floats(t, "loss_latent_1e_3")[0]; err != nil || math.Abs(loss+more-want) > 1e-10*want {
		t.Errorf("batch: loss with latents %v (%v), want %v", loss+more, err, want)
	}
	near(t, "gradient of outputs", gradY[:bins*outputs], batch.Floats(t, "grad_outputs_trial0"), 1e-12)
	near(t, "gradient of latents", gradLatents[:bins*4], batch.Floats(t, "grad_latents_trial0"), 1e-12)
}

// TestGoldenSuccess checks decisions on crafted outputs.
func TestGoldenSuccess(t *testing.T) {
	for _, c := range golden.Select(t, "multitask.json", func(c golden.Case) bool { return c.Name == "success" }) {
		target, output := c.Floats(t, "target"), c.Floats(t, "output")
		for name, compat := range map[string]bool{"success_default": false, "success_compat": true} {
			for i, want := range c.Ints(t, name) {
				if got := Success(output[2*i], output[2*i+1], target[2*i], target[2*i+1], compat); got != (want == 1) {
					t.Errorf("%s: output (%v, %v) for (%v, %v) is %v", name, output[2*i], output[2*i+1], target[2*i], target[2*i+1], got)
				}
			}
		}
	}
}
