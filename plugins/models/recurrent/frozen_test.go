package recurrent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestFreezeAndNoDecay: frozen parameters stay as they are, parameters without decay go another way than with it, and names that match nothing are refused before anything starts.
func TestFreezeAndNoDecay(t *testing.T) {
	k, spec := flipflop(t, 125, 40)
	weights := func(change func(p *gru.Params), train bool) tensor.Set {
		p := small()
		p.WeightDecay = 0.1
		change(&p)
		m, err := openGRU(p, 0.01, 0, component.Env{Threads: 2, Seed: 7}, model.Target{Task: &spec})
		if err != nil {
			t.Fatal(err)
		}
		if train {
			if _, err := m.Train(t.Context(), model.TrainRequest{Task: k}, component.Discard{}); err != nil {
				t.Fatal(err)
			}
		}
		return save(t, m)
	}
	fresh := weights(func(*gru.Params) {}, false)
	plain := weights(func(*gru.Params) {}, true)
	frozen := weights(func(p *gru.Params) { p.Freeze = []string{"readout.*", "cell.weight_ih"} }, true)
	bare := weights(func(p *gru.Params) { p.NoDecay = []string{"*bias*"} }, true)
	for i, q := range fresh {
		still := q.Name == "readout.weight" || q.Name == "readout.bias" || q.Name == "cell.weight_ih"
		if got := slices.Equal(q.F32, frozen[i].F32); got != still {
			t.Errorf("%s: stayed as it was: %v, want %v", q.Name, got, still)
		}
		if slices.Equal(q.F32, plain[i].F32) || slices.Equal(plain[i].F32, bare[i].F32) {
			t.Errorf("%s: did not move, or as without decay of biases", q.Name)
		}
	}

	for _, f := range all() {
		if problems := f.Check(resolved(t, f, map[string]any{"freeze": []any{"readout.bias"}, "no_decay": []any{"*"}}), model.Target{Task: &spec}); len(problems) > 0 {
			t.Errorf("%s: %v", f.Info.Name, problems)
		}
		problems := f.Check(resolved(t, f, map[string]any{"freeze": []any{"*"}, "no_decay": []any{"encoder.*", "[", "readout.bias"}}), model.Target{Task: &spec})
		if len(problems) != 3 || problems[0].Path != "freeze" || problems[1].Path != "no_decay" || !strings.Contains(problems[1].Hint, "readout.weight") || problems[2].Path != "no_decay" {
			t.Errorf("%s: %v", f.Info.Name, problems)
		}
	}
}

func resolved(t *testing.T, f model.Factory, given map[string]any) param.Values {
	t.Helper()
	v, problems := f.Info.Params.Resolve(given)
	if len(problems) > 0 {
		t.Fatal(f.Info.Name, problems)
	}
	return v
}
