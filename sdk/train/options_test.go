package train

import (
	"math"
	"reflect"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// TestOptionsConfig: every parameter that models share arrives in the trainer's configuration, from the name that it has in an experiment.
func TestOptionsConfig(t *testing.T) {
	schema := param.MustOf(Options{})
	config := func(given param.Values) Config {
		t.Helper()
		values, problems := schema.Resolve(given)
		var o Options
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if err := param.Decode(values, &o); err != nil {
			t.Fatal(err)
		}
		return o.Config(20, 64, 0.1, 0.01, 2)
	}
	plain := config(nil)
	if plain.Epochs != 20 || plain.BatchSize != 64 || plain.Clip != 2 || plain.Optimiser != Adam(0.1, 0.01, false) || plain.Patience != 0 || plain.MaxSteps != 0 || plain.MaxGrowth != 1e6 ||
		plain.KeepLast || plain.Schedule != nil || plain.ScheduleByLoss || plain.ParamGroups != nil {
		t.Errorf("without anything: %+v", plain)
	}
	for name, c := range map[string]struct {
		given param.Values
		got   func(Config) any
		want  any
	}{
		"optimizer":      {param.Values{"optimizer": "adamw"}, func(c Config) any { return c.Optimiser }, Adam(0.1, 0.01, true)},
		"early_stopping": {param.Values{"early_stopping": 7}, func(c Config) any { return c.Patience }, 7},
		"max_updates":    {param.Values{"max_updates": 9}, func(c Config) any { return c.MaxSteps }, 9},
		"max_growth":     {param.Values{"max_growth": 50.0}, func(c Config) any { return c.MaxGrowth }, 50.0},
		"keep":           {param.Values{"keep": "last"}, func(c Config) any { return c.KeepLast }, true},
		"freeze, no_decay": {param.Values{"freeze": []any{"a.*"}, "no_decay": []any{"*.bias"}}, func(c Config) any { return c.ParamGroups },
			[]ParamGroup{{Match: "a.*"}, {Match: "*.bias", LR: 1}}},
		"warmup":            {param.Values{"warmup": 4}, func(c Config) any { return c.Schedule(1, nil) }, Rates{0.1 * 2 / 5, 0.01}},
		"weight_decay_ramp": {param.Values{"weight_decay_ramp": 3}, func(c Config) any { return c.Schedule(0, nil).WeightDecay }, 0.01 / 4},
		"cosine, lr_min":    {param.Values{"schedule": "cosine", "lr_min": 0.02}, func(c Config) any { return math.Round(1e9*c.Schedule(10, nil).LR) / 1e9 }, 0.06},
		"plateau":           {param.Values{"schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.5}, func(c Config) any { return c.Schedule(2, []float64{1, 2}).LR }, 0.05},
		"plateau_patience":  {param.Values{"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5}, func(c Config) any { return c.Schedule(2, []float64{1, 2}).LR }, 0.1},
		"by loss":           {param.Values{"schedule": "plateau"}, func(c Config) any { return c.ScheduleByLoss }, true},
	} {
		if got := c.got(config(c.given)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, name := range schema.Names() {
		switch name {
		case "optimizer", "early_stopping", "max_updates", "max_growth", "keep", "freeze", "no_decay", "warmup", "weight_decay_ramp", "schedule", "lr_min", "plateau_patience", "plateau_factor":
		default:
			t.Errorf("%s is not looked at here", name)
		}
	}
}
