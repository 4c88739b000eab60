// Command versioned is a plugin whose version, and what it computes, are set when it is linked: the tests of installing build several releases of it. Its model is the least that
// can be fitted to spikes, without dynamics.
package main

import (
	"context"
	"math"
	"strconv"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// Set with -ldflags "-X main.version=1.1.0 -X main.gain=2".
var version, gain = "1.0.0", "1"

func main() {
	serve.Main(serve.Plugin{Name: "versioned", Version: version, Doc: "A comparator, whose result each release changes, and a model.", Comparators: []comparator.Factory{scaledMean()}, Models: []model.Factory{constant()}})
}

type scaled struct{ gain float64 }

func scaledMean() comparator.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Comparator, Short: "scaled-mean"}, Version: version, Doc: "mean rate, times what the release says",
		Capabilities: []component.Capability{component.Deterministic},
	}
	return comparator.New(info, nil, func(context.Context, struct{}, component.Env) (comparator.Comparator, error) {
		g, err := strconv.ParseFloat(gain, 64)
		return scaled{g}, err
	})
}

func (s scaled) Compare(_ context.Context, req comparator.Request, _ component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	nan := math.NaN()
	for _, one := range req.Subjects {
		r := component.Result{Metric: "scaled_mean", Subject: one.Label, Value: nan, Low: nan, High: nan, Null: nan, Better: component.Neither, Reason: "it has no rates"}
		if rates := one.Valid.Get(comparator.Rates); rates != nil {
			sum := 0.0
			values := rates.Float64s()
			for _, v := range values {
				sum += v
			}
			r.Value, r.Reason, r.N = s.gain*sum/float64(len(values)), "", int64(rates.Rows())
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}
