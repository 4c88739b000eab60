package recurrent_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// puckParams are those of a puck that is pushed to a goal along each of its axes, p' = p + dt v, v' = v + dt (a - v) with a within [-1, 1]. It sees its place of two
// bins ago, its speed and its goal.
type puckParams struct {
	Axes   int     `param:"axes" default:"2" min:"1" doc:"axes"`
	Bins   int     `param:"bins" default:"12" min:"3" doc:"bins"`
	Train  int     `param:"train" default:"100" min:"1" doc:"training trials"`
	Valid  int     `param:"valid" default:"40" min:"0" doc:"validation trials"`
	Noise  float64 `param:"noise" default:"0.05" min:"0" doc:"sensory noise"`
	Fault  string  `param:"fault" default:"none" choices:"none,nan,shape,late,die,error,int,cotangent,nothing" doc:"what goes wrong"`
	Bin    int     `param:"bin" default:"5" min:"0" doc:"where"`
	After  int     `param:"after" default:"0" min:"0" doc:"episodes that go well first"`
	Bounds string  `param:"bounds" default:"both" choices:"both,low,none" doc:"of the actions: [-1, 1], [-1, +Inf) or none"`
	Marker string  `param:"marker" default:"" doc:"a file that stands for the fault having happened: it is made then, and nothing goes wrong where it is"`
}

const (
	puckDT    = 0.2
	puckDelay = 2
)

type puck struct {
	p        puckParams
	seed     uint64
	begun    *atomic.Int64
	episodes *atomic.Int64 // running
}

// bounds are those of the actions; where none is said there are both.
func (p puckParams) bounds() (low, high float64) {
	low, high = -1, 1
	if p.Bounds == "none" {
		low = math.Inf(-1)
	}
	if p.Bounds == "none" || p.Bounds == "low" {
		high = math.Inf(1)
	}
	return low, high
}

func newPuck(p puckParams, seed uint64) puck {
	return puck{p, seed, new(atomic.Int64), new(atomic.Int64)}
}

func puckFactory() task.Factory {
	return task.New(component.Info{Name: component.Name{Kind: component.Task, Short: "puck"}, Version: "1.0.0", Doc: "a puck on ice",
		Capabilities: []component.Capability{component.ClosedLoop, component.Deterministic}}, nil,
		func(_ context.Context, p puckParams, env component.Env) (task.Task, error) {
			return newPuck(p, env.Seed), nil
		})
}

func (k puck) Spec(context.Context) (task.Spec, error) {
	low, high := k.p.bounds()
	return task.Spec{Inputs: 3 * k.p.Axes, Outputs: k.p.Axes, Bins: k.p.Bins, BinWidth: puckDT, TrainTrials: k.p.Train, ValidTrials: k.p.Valid,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll, HorizonEpochs: 3},
			{Kind: task.ActionSquare, Scale: 1e-3, Reduction: task.MeanAll}, {Kind: task.LatentSquare, Scale: 1e-4, Reduction: task.MeanAll}}},
		Loop: &task.Loop{Actions: k.p.Axes, ActionLow: low, ActionHigh: high, StateSize: k.p.Axes, Recorded: []string{"speed"}}}, nil
}

func (k puck) ids(split task.Split) []int64 {
	from, to := 0, k.p.Train+k.p.Valid
	switch split {
	case task.Train:
		to = k.p.Train
	case task.Valid:
		from = k.p.Train
	}
	out := make([]int64, to-from)
	for i := range out {
		out[i] = int64(from + i)
	}
	return out
}

func (k puck) goal(trial int64) []float64 {
	r := random.New(k.seed, "goal", uint64(trial))
	out := make([]float64, k.p.Axes)
	for i := range out {
		out[i] = 2*r.Float64() - 1
	}
	return out
}

func (k puck) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for ids := range slices.Chunk(k.ids(req.Split), 64) {
			targets := tensor.New32(task.Targets, len(ids), k.p.Bins, k.p.Axes)
			for i, id := range ids {
				for t := range k.p.Bins {
					for c, g := range k.goal(id) {
						targets.F32[(i*k.p.Bins+t)*k.p.Axes+c] = float32(g)
					}
				}
			}
			if !yield(tensor.Block{Trials: ids, Arrays: tensor.Set{targets, tensor.NewInt(task.Conditions, len(ids))}}, ctx.Err()) {
				return
			}
		}
	}
}

func (k puck) Score(_ context.Context, _ task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	s := task.Score{MetricNames: []string{"final_distance"}, MetricUnits: []string{"m"}, Metrics: [][]float64{{}}}
	for b, err := range outputs {
		if err != nil {
			return s, err
		}
		place := b.Arrays.Get(task.Controlled)
		if place == nil || b.Arrays.Get("speed") == nil {
			return s, component.Invalid(task.Controlled, "it or the speed is missing: there are %v", b.Arrays.Names())
		}
		for i, id := range b.Trials {
			sum := 0.0
			for c, g := range k.goal(id) {
				d := place.Float64s()[((i+1)*k.p.Bins-1)*k.p.Axes+c] - g
				sum += d * d
			}
			d := math.Sqrt(sum)
			s.Trials, s.Loss, s.Metrics[0] = append(s.Trials, id), append(s.Loss, sum), append(s.Metrics[0], d)
			s.Success = append(s.Success, map[bool]float64{true: 1}[d < 0.3])
		}
	}
	return s, nil
}

// puckEpisode has arrays (trials, axes).
type puckEpisode struct {
	k           puck
	req         task.EpisodeRequest
	goals       []float64
	noise       []*rand.Rand
	places      [][]float64 // by bin
	clipped     [][]bool
	v           []float64
	dp, dv      []float64
	late        [][]float64
	at, back    int
	out         task.Observation
	cot         *tensor.Tensor
	faulty      bool
	finished    bool
	n, trialsNo int
}

func (k puck) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	n := len(req.Trials) * k.p.Axes
	e := &puckEpisode{k: k, req: req, n: n, trialsNo: len(req.Trials), v: make([]float64, n), dp: make([]float64, n), dv: make([]float64, n)}
	for _, id := range req.Trials {
		e.goals = append(e.goals, k.goal(id)...)
		e.noise = append(e.noise, random.New(req.Seed, "puck", uint64(id), req.Pass))
	}
	e.places = [][]float64{make([]float64, n)}
	for range k.p.Bins + 1 {
		e.late = append(e.late, make([]float64, n))
	}
	array := func(name string, width int) *tensor.Tensor {
		if req.Float64 {
			return tensor.New64(name, e.trialsNo, width)
		}
		return tensor.New32(name, e.trialsNo, width)
	}
	e.out = task.Observation{Inputs: array(task.Inputs, 3*k.p.Axes), State: array("place", k.p.Axes)}
	if !req.Tape { // beside a tape it need not be there
		e.out.Recorded = tensor.Set{tensor.New32("speed", e.trialsNo, k.p.Axes)}
	}
	e.cot = array("actions", k.p.Axes)
	k.episodes.Add(1)
	e.faulty = k.begun.Add(1) > int64(k.p.After)
	if k.p.Marker != "" && e.faulty {
		_, err := os.Stat(k.p.Marker)
		e.faulty = err != nil
	}
	return e, e.observe(0), nil
}

func set(t *tensor.Tensor, i int, v float64) {
	if t.F64 != nil {
		t.F64[i] = v
		return
	}
	t.F32[i] = float32(v)
}

func (e *puckEpisode) observe(t int) task.Observation {
	axes := e.k.p.Axes
	seen := e.places[max(0, t-puckDelay)]
	for r := range e.trialsNo {
		for c := range axes {
			i := r*axes + c
			z := 0.0
			if e.k.p.Noise > 0 && !e.req.NoiseOff {
				z = e.k.p.Noise * e.noise[r].NormFloat64()
			}
			set(e.out.Inputs, 3*r*axes+c, seen[i]+z)
			set(e.out.Inputs, 3*r*axes+axes+c, e.v[i])
			set(e.out.Inputs, 3*r*axes+2*axes+c, e.goals[i])
			set(e.out.State, i, e.places[t][i])
			if !e.req.Tape {
				set(e.out.Recorded[0], i, e.v[i])
			}
		}
	}
	return e.out
}

func (e *puckEpisode) Step(_ context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	if t != e.at || e.finished {
		return task.Observation{}, component.Invalid("t", "step %d: %d is next", t, e.at)
	}
	a := actions.Float64s()
	low, high := e.k.p.bounds()
	clipped, place := make([]bool, e.n), make([]float64, e.n)
	for i, v := range a {
		clipped[i] = v < low || v > high
		place[i] = e.places[t][i] + puckDT*e.v[i]
		e.v[i] += puckDT * (min(max(v, low), high) - e.v[i])
	}
	e.places, e.clipped = append(e.places, place), append(e.clipped, clipped)
	e.at++
	e.back = e.at
	o := e.observe(t + 1)
	if e.faulty && t == e.k.p.Bin && e.k.p.Fault != "none" && e.k.p.Fault != "cotangent" {
		return e.fault(o)
	}
	return o, nil
}

func (e *puckEpisode) fault(o task.Observation) (task.Observation, error) {
	if m := e.k.p.Marker; m != "" {
		if err := os.WriteFile(m, nil, 0o600); err != nil {
			return o, err
		}
	}
	switch e.k.p.Fault {
	case "nan":
		set(o.Inputs, 1, math.NaN())
	case "shape":
		o.Inputs = tensor.New32(task.Inputs, e.trialsNo, 3*e.k.p.Axes+1)
	case "int":
		o.State = tensor.NewInt("place", e.trialsNo, e.k.p.Axes)
	case "nothing":
		o.State = nil
	case "late":
		time.Sleep(time.Hour)
	case "die":
		os.Exit(3)
	case "error":
		return o, component.Invalid("ice", "is broken")
	}
	return o, nil
}

func (e *puckEpisode) VJP(_ context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	if t != e.back-1 {
		return nil, component.Invalid("t", "vjp of step %d: %d is next", t, e.back-1)
	}
	e.back = t
	axes := e.k.p.Axes
	if e.req.Truncate > 0 && (t+1)%e.req.Truncate == 0 {
		clear(e.dp)
		clear(e.dv)
		for _, l := range e.late {
			clear(l)
		}
	}
	var in, st []float64
	if inputs != nil {
		in = inputs.Float64s()
	}
	if state != nil {
		st = state.Float64s()
	}
	for i := range e.n {
		r, c := i/axes, i%axes
		if in != nil {
			e.late[max(0, t+1-puckDelay)][i] += in[3*r*axes+c]
			e.dv[i] += in[3*r*axes+axes+c]
		}
		e.dp[i] += e.late[t+1][i]
		if st != nil {
			e.dp[i] += st[i]
		}
		da := puckDT * e.dv[i]
		if e.clipped[t][i] {
			da = 0
		}
		set(e.cot, i, da)
		e.dv[i] = puckDT*e.dp[i] + (1-puckDT)*e.dv[i]
	}
	if e.faulty && e.k.p.Fault == "cotangent" && t == e.k.p.Bin {
		set(e.cot, 0, math.Inf(1))
	}
	return e.cot, nil
}

func (e *puckEpisode) DropTape(context.Context, int) error { return nil }

func (e *puckEpisode) End(context.Context) error {
	if !e.finished {
		e.finished = true
		e.k.episodes.Add(-1)
	}
	return nil
}
