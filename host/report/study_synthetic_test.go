package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const latentPath = "fit.gru-64.params.latent"

// product makes the points of a study's axes, the last axis fastest.
func product(axes ...artifact.StudyAxis) artifact.Study {
	s := artifact.Study{Name: "latents", Axes: axes}
	points := []artifact.StudyPoint{{Values: map[string]any{}}}
	for _, a := range axes {
		var next []artifact.StudyPoint
		for _, p := range points {
			for _, v := range a.Values {
				q := artifact.StudyPoint{Values: map[string]any{a.Path: v}, Name: p.Name}
				if q.Name != "" {
					q.Name += "_"
				}
				q.Name += fileName(fmt.Sprintf("%s-%v", a.Label, v))
				for k, w := range p.Values {
					q.Values[k] = w
				}
				next = append(next, q)
			}
		}
		points = next
	}
	for i := range points {
		points[i].Index = i
	}
	s.Points = points
	return s
}

func values[T any](v ...T) []any {
	var out []any
	for _, x := range v {
		out = append(out, x)
	}
	return out
}

func seedAxis(n int) artifact.StudyAxis {
	a := artifact.StudyAxis{Path: "seed", Label: "seed"}
	for i := range n {
		a.Values = append(a.Values, int64(i))
	}
	return a
}

// fakeStudy writes a study's folder whose points give the results of measure; where it gives none the point has failed.
func fakeStudy(t *testing.T, study artifact.Study, measure func(p artifact.StudyPoint) []artifact.Result) string {
	t.Helper()
	dir := t.TempDir()
	must(t, study.Write(dir))
	must(t, os.WriteFile(filepath.Join(dir, artifact.ExperimentFile), []byte("version: 1\nname: latents\n"), 0o666))
	began := time.Date(2026, 11, 23, 20, 41, 7, 0, time.UTC)
	status := "done"
	var all artifact.Results
	for _, p := range study.Points {
		folder := artifact.PointDir(dir, p.Name)
		must(t, os.MkdirAll(folder, 0o777))
		prov := artifact.Provenance{Name: study.Name, Study: study.Name, Point: p.Values, Status: "done", Started: began, Finished: began.Add(time.Minute)}
		results := measure(p)
		for i := range results {
			results[i].Point = p.Values
		}
		if results == nil {
			prov.Status, status = "failed", "failed"
			prov.Stages = []artifact.StageUse{{Stage: "fit/gru-64", Status: "failed", Error: "diverged at step 812: the loss is +Inf\n(last lines of its log follow)"}}
		} else {
			must(t, (artifact.Results{Metrics: results}).Write(folder))
			all.Metrics = append(all.Metrics, results...)
		}
		must(t, prov.Write(folder))
	}
	must(t, all.Write(dir))
	must(t, (artifact.Provenance{Name: study.Name, Status: status, Host: "0.1.0", CPU: "an ordinary processor", Threads: 2, Started: began, Finished: began.Add(time.Hour)}).Write(dir))
	return dir
}

// plausible gives what models of some sizes may reach: gru-64 better with its latents, lds-8 the same whatever they are.
func plausible(p artifact.StudyPoint) []artifact.Result {
	seed, _ := p.Values["seed"].(int64)
	latent := 32.0
	if v, ok := p.Values[latentPath].(int64); ok {
		latent = float64(v)
	}
	rate := 1e-3
	if v, ok := p.Values["fit.gru-64.params.learning_rate"].(float64); ok {
		rate = v
	}
	noise := func(series uint64) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), series)) }
	var out []artifact.Result
	add := func(metric, subject, unit string, v, width float64, better component.Better) {
		r := component.Result{Metric: metric, Subject: subject, Reference: "truth", Unit: unit, Value: v, Low: v - width, High: v + width, Null: math.NaN(), Better: better, N: 200}
		out = append(out, artifact.NewResult("metrics", uint64(seed), nil, r))
	}
	good := 1 - 0.9/(1+latent/9) - 0.05*math.Abs(math.Log10(rate/1e-3))
	for k, subject := range []string{"gru-64", "lds-8"} {
		level, r := good, noise(uint64(latent)+uint64(1e6*rate))
		if k == 1 {
			level, r = 0.55, noise(7)
		}
		jitter := func() float64 { return 0.018 * r.NormFloat64() }
		add("rate_r2", subject, "", level+jitter(), 0.012, component.Higher)
		add("state_r2", subject, "", 0.9*level+2*jitter(), 0.02, component.Higher)
		add("state_r2_reverse", subject, "", 1-0.3*(1-level)+jitter()/2, 0.01, component.Higher)
		add("cycle_con", subject, "", 0.8-0.3*level+3*jitter(), 0.03, component.Higher)
		add("co_bps", subject, "bits/spike", 0.14*level+jitter()/8, 0.006, component.Higher)
	}
	add("loss", "truth", "", 0.012+0.002*noise(9).NormFloat64(), 0.0008, component.Lower)
	return out
}
