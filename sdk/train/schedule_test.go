package train

import (
	"math"
	"slices"
	"testing"
)

// TestGoldenPlateau compares with torch's ReduceLROnPlateau, whose values are those after each epoch.
func TestGoldenPlateau(t *testing.T) {
	type plateauCase struct {
		Name   string
		Params struct {
			Factor             float64
			Patience, Cooldown int
			Threshold          float64
			LRMin              float64 `json:"min_lr"`
		}
		Tensors map[string]struct{ Data []float64 }
	}
	cases := goldenCases[plateauCase](t, "reduce_lr_on_plateau")
	if len(cases) == 0 {
		t.Fatal("no case")
	}
	for _, c := range cases {
		if c.Params.Threshold != 0 || c.Params.Cooldown != 0 {
			t.Fatalf("%s: parameters %+v are not those of a Schedule", c.Name, c.Params)
		}
		values, want := c.Tensors["values"].Data, c.Tensors["lrs"].Data
		s := Schedule{Kind: Plateau, PlateauFactor: c.Params.Factor, PlateauPatience: c.Params.Patience, LRMin: c.Params.LRMin}
		rates := s.Rates(want[0], 0, len(values)+1)
		for i := range values {
			if got := rates(int64(i+1), values[:i+1]).LR; math.Abs(got-want[i]) > 1e-10*want[i] {
				t.Errorf("%s: after epoch %d the learning rate is %v, want %v", c.Name, i, got, want[i])
			}
		}
	}
}

func TestWeightDecayRamp(t *testing.T) {
	rates := Schedule{Kind: Constant, DecayRamp: 4}.Rates(0.3, 0.1, 10)
	for e := range int64(8) {
		if got, want := rates(e, nil), (Rates{0.3, 0.1 * min(1, float64(e+1)/5)}); got != want {
			t.Errorf("epoch %d has %+v, want %+v", e, got, want)
		}
	}
}

func TestScheduleRates(t *testing.T) {
	falling := []float64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	flat := make([]float64, 10)
	for _, c := range []struct {
		name       string
		schedule   Schedule
		validation []float64
		want       []float64 // of epochs 0, 1, ... of as many
	}{
		{"cosine", Schedule{Kind: Cosine, LRMin: 0.2}, flat, []float64{1, 0.2 + 0.8*(1+math.Sqrt2/2)/2, 0.6, 0.2 + 0.8*(1-math.Sqrt2/2)/2}},
		{"warm-up", Schedule{Kind: Constant, Warmup: 3}, flat, []float64{0.25, 0.5, 0.75, 1, 1}},
		{"warm-up, then cosine", Schedule{Kind: Cosine, Warmup: 1}, flat, []float64{0.5, 1, 0.5}},
		{"no plateau", Schedule{Kind: Plateau, PlateauFactor: 0.5}, falling, []float64{1, 1, 1, 1, 1}},
		{"plateau at once", Schedule{Kind: Plateau, PlateauFactor: 0.5}, flat, []float64{1, 1, 0.5, 0.25, 0.125}},
		{"plateau with patience and a floor", Schedule{Kind: Plateau, PlateauFactor: 0.1, PlateauPatience: 1, LRMin: 0.05}, flat, []float64{1, 1, 1, 0.1, 0.1, 0.05, 0.05, 0.05}},
		{"warm-up, then plateau", Schedule{Kind: Plateau, Warmup: 2, PlateauFactor: 0.5}, flat, []float64{1. / 3, 2. / 3, 1, 1, 0.5}},
	} {
		rates := c.schedule.Rates(1, 0.01, len(c.want))
		for e, want := range c.want {
			if got := rates(int64(e), c.validation[:e]); math.Abs(got.LR-want) > 1e-15 || got.WeightDecay != 0.01 {
				t.Errorf("%s: epoch %d has %+v, want a learning rate of %v", c.name, e, got, want)
			}
		}
	}
	if (Schedule{Kind: Constant}).Rates(1, 0, 5) != nil {
		t.Error("a constant rate has a schedule")
	}
}

// A limit by steps that ends the training before its schedule has done what it was asked for is a problem, where the steps of an epoch are known.
func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name           string
		options        Options
		trials, epochs int
		decay          float64
		paths          []string
	}{
		{"warm-up never ends", Options{MaxUpdates: 5, Schedule: Schedule{Kind: Cosine, Warmup: 10}}, 100, 1000, 0, []string{"warmup"}},
		{"to the step", Options{MaxUpdates: 40, Schedule: Schedule{Kind: Constant, Warmup: 10}}, 100, 1000, 0, []string{"warmup"}}, // 4 steps an epoch
		{"a step of lr", Options{MaxUpdates: 41, Schedule: Schedule{Kind: Constant, Warmup: 10}}, 100, 1000, 0, nil},
		{"not yet known", Options{MaxUpdates: 5, Schedule: Schedule{Kind: Cosine, Warmup: 10}}, 0, 1000, 0, nil},
		{"cosine never falls", Options{MaxUpdates: 41, Schedule: Schedule{Kind: Cosine}}, 100, 12, 0, []string{"max_updates"}},
		{"cosine's last epoch is cut", Options{MaxUpdates: 41, Schedule: Schedule{Kind: Cosine}}, 100, 11, 0, nil},
		{"no limit", Options{Schedule: Schedule{Kind: Cosine, Warmup: 3}}, 100, 11, 0, nil},
		{"warm-up beyond the epochs", Options{MaxUpdates: 5, Schedule: Schedule{Kind: Cosine, Warmup: 10}}, 100, 10, 0, []string{"warmup"}},
		{"a ramp of nothing", Options{Schedule: Schedule{Kind: Constant, DecayRamp: 3}}, 0, 10, 0, []string{"weight_decay_ramp"}},
		{"no decay to leave out", Options{NoDecay: []string{"*bias*"}}, 0, 10, 0, []string{"no_decay"}},
		{"some parameters without decay", Options{NoDecay: []string{"*bias*"}}, 0, 10, 1e-3, nil},
		{"a ramp", Options{Schedule: Schedule{Kind: Constant, DecayRamp: 3}}, 0, 10, 1e-3, nil},
	} {
		var paths []string
		for _, p := range c.options.CheckSchedule(c.epochs, 25, c.trials, 1, c.decay) {
			paths = append(paths, p.Path)
			t.Log(c.name, p)
		}
		if !slices.Equal(paths, c.paths) {
			t.Errorf("%s: problems are of %v, want %v", c.name, paths, c.paths)
		}
	}
}

func TestEpochsWithin(t *testing.T) {
	for _, c := range []struct{ epochs, batch, steps, trials, want int }{
		{10, 25, 0, 100, 10},  // no limit
		{10, 25, 40, 100, 10}, // 4 steps an epoch: just all
		{10, 25, 39, 100, 10}, // the last is cut
		{10, 25, 36, 100, 9},
		{10, 25, 9, 101, 2}, // 5 steps an epoch
		{10, 25, 1, 100, 1},
		{10, 25, 1, 0, 10}, // not known
	} {
		if got := (Config{Epochs: c.epochs, BatchSize: c.batch, MaxSteps: c.steps}).EpochsWithin(c.trials); got != c.want {
			t.Errorf("%+v: %d epochs", c, got)
		}
	}
}

func TestScheduleIsChecked(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		paths    []string
	}{
		{Schedule{Kind: Constant}, nil},
		{Schedule{Kind: Cosine, Warmup: 9, LRMin: 1}, nil},
		{Schedule{Kind: Constant, LRMin: 0.5}, []string{"lr_min"}},
		{Schedule{Kind: Plateau, Warmup: 10, LRMin: 2}, []string{"warmup", "lr_min"}},
	} {
		problems := c.schedule.Check(1, 10)
		if len(problems) != len(c.paths) {
			t.Errorf("%+v: problems are %v, want %v", c.schedule, problems, c.paths)
			continue
		}
		for i, p := range problems {
			if p.Path != c.paths[i] || p.Message == "" {
				t.Errorf("%+v: problem %d is %v, want one of %s", c.schedule, i, p, c.paths[i])
			}
		}
	}
}
