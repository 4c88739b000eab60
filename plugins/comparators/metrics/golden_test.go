package metrics

import (
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, threads int, values param.Values) comparator.Comparator {
	t.Helper()
	return opened.Comparator(t, Factory(), component.Env{Seed: 5, Threads: threads}, values)
}

// goldenRequest lays out a case of metrics.json as a truth and a model.
func goldenRequest(t testing.TB, all map[string]golden.Case, c golden.Case) (comparator.Request, []float64) {
	t.Helper()
	var p struct {
		Train    int       `json:"train_trials"`
		HeldIn   int       `json:"heldin"`
		Channels int       `json:"input_channels"`
		V        []float64 `json:"cycle_con_v"`
	}
	c.Decode(t, &p)
	base := all[strings.TrimSuffix(c.Name, "_ragged")]
	truth := comparator.Subject{Label: "truth", Role: comparator.Truth, HeldIn: p.HeldIn, InputChannels: p.Channels}
	model := comparator.Subject{Label: "model", Role: comparator.Fitted}
	put := func(s *comparator.Subject, name string, a *tensor.Tensor) {
		if a == nil {
			t.Fatalf("%s: %s is missing", c.Name, name)
		}
		s.Train = append(s.Train, a.Slice(0, p.Train).Named(name))
		s.Valid = append(s.Valid, a.Slice(p.Train, a.Rows()).Named(name))
	}
	put(&truth, comparator.Lengths, c.Tensors["lens"])
	put(&truth, comparator.Latents, base.Tensors["true_latents"])
	put(&truth, comparator.Rates, base.Tensors["true_rates"])
	put(&truth, comparator.Spikes, base.Tensors["spikes"])
	put(&truth, comparator.TrueInputs, base.Tensors["true_inputs"])
	put(&model, comparator.Latents, base.Tensors["inferred_latents"])
	put(&model, comparator.Rates, base.Tensors["inferred_rates"])
	put(&model, comparator.Inputs, base.Tensors["inferred_inputs"])
	return comparator.Request{Subjects: []comparator.Subject{truth, model}}, p.V
}

// TestGoldenMetrics checks every metric against the published reference, on whole and on ragged trials.
func TestGoldenMetrics(t *testing.T) {
	cases := golden.Read(t, "metrics.json")
	all := map[string]golden.Case{}
	for _, c := range cases {
		all[c.Name] = c
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			req, vs := goldenRequest(t, all, c)
			check := func(name string, got, want, tolerance float64) {
				if !(math.Abs(got-want) <= tolerance) {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			for i, v := range vs {
				o, err := open(t, 2, param.Values{"cycle_con_v": v, "compat": true, "bootstrap": 10, "null_shuffles": 1}).Compare(t.Context(), req, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"cycle_con", "cycle_con_whitened"} {
					check(name, opened.Find(t, o, name, "model").Value, c.Floats(t, "out."+name)[i], 1e-9)
				}
				if i > 0 {
					continue
				}
				for _, name := range []string{"rate_r2", "state_r2", "state_r2_reverse", "input_r2", "co_bps", "heldin_bps", "co_bps_ctdb"} {
					check(name, opened.Find(t, o, name, "model").Value, c.Floats(t, "out."+name)[0], 1e-9)
				}
				check("co_bps_ctdb against float32", opened.Find(t, o, "co_bps_ctdb", "model").Value, c.Floats(t, "out.co_bps_ctdb_float32")[0], 1e-6)
			}
			m, err := newComparison(&metrics{threads: 1}, req)
			if err != nil {
				t.Fatal(err)
			}
			s, err := m.bits(t.Context(), &req.Subjects[1], asTheyAre, func(n int) (int, int, error) { return 0, n, nil })
			if err != nil {
				t.Fatal(err)
			}
			check("bits per spike of all neurons", s.Value(bootstrap.Ones(s.Trials())), c.Floats(t, "out.bps")[0], 1e-9)
		})
	}
}
