package plugintest

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type foilComparatorParams struct{}

// measuring reports how large latents are, and how large the Jacobian of dynamics is at the origin.
type measuring struct{}

func foilComparator() comparator.Factory {
	return comparator.New(component.Info{
		Name: component.Name{Kind: component.Comparator, Short: "foil"}, Version: "1.0.0", Doc: "size of latents and of Jacobians", Capabilities: []component.Capability{component.Deterministic},
	}, nil, func(context.Context, foilComparatorParams, component.Env) (comparator.Comparator, error) {
		return measuring{}, nil
	})
}

// Compare implements [comparator.Comparator].
func (measuring) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	nan := math.NaN()
	for i, s := range req.Subjects {
		size := component.Result{Metric: "latent_size", Subject: s.Label, Value: nan, Low: nan, High: nan, Null: nan, Better: component.Neither, Reason: "it has no latents"}
		if z := s.Valid.Get(comparator.Latents); z != nil {
			if err := z.CheckFinite(); err != nil {
				return comparator.Outcome{}, component.Invalid("subjects."+s.Label, "%v", err)
			}
			size.Value, size.N, size.Reason = rms(z.Float64s()), int64(z.Rows()), ""
		}
		jacobian := component.Result{Metric: "jacobian_size", Subject: s.Label, Value: nan, Low: nan, High: nan, Null: nan, Better: component.Neither, Reason: s.Why}
		if jacobian.Reason == "" {
			jacobian.Reason = "it has no dynamics"
		}
		if s.Dynamics != nil {
			l, err := s.Dynamics.Layout(ctx)
			if err != nil {
				return comparator.Outcome{}, err
			}
			j, _, err := s.Dynamics.Jacobians(ctx, tensor.New64("state", 1, l.Size), tensor.New64("input", 1, l.Inputs))
			if err != nil {
				return comparator.Outcome{}, err
			}
			jacobian.Value, jacobian.N, jacobian.Reason = rms(j.Float64s()), 1, ""
		}
		out.Results = append(out.Results, size, jacobian)
		report.Progress(component.Progress{Phase: "subject", Done: int64(i + 1), Total: int64(len(req.Subjects)), Loss: nan})
	}
	return out, nil
}

func rms(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(1, len(x))))
}
