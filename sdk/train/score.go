package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// score has the validation trials of an epoch judged and keeps the means.
func (t *trainer[F]) score(ctx context.Context, judged tensor.Set) error {
	s, b := &t.state, tensor.Block{Arrays: judged}
	for _, n := range t.valid.Trials {
		b.Trials = append(b.Trials, int64(n))
	}
	score, err := t.config.Score(ctx, b)
	if errors.Is(err, component.ErrUnsupported) {
		t.config.Score = nil // the task has no judgement of its own
		return nil
	}
	if err != nil {
		return fmt.Errorf("train: scoring the validation trials after epoch %d: %w", s.epoch, err)
	}
	names, means := means(&score)
	if len(s.scores) == 0 {
		s.scored = names
	}
	row := []float64{float64(s.epoch)}
	for _, name := range s.scored {
		v := math.NaN() // of trials that it says nothing of
		if i := slices.Index(names, name); i >= 0 {
			v = means[i]
		}
		row = append(row, v)
	}
	// A row may be there of an epoch that was scored and then interrupted.
	if n := len(s.scores); n > 0 && s.scores[n-1][0] == row[0] {
		s.scores = s.scores[:n-1]
	}
	s.scores = append(s.scores, row)
	return nil
}

// means are the curves of a score and their values.
func means(score *task.Score) (names []string, values []float64) {
	add := func(name string, p task.Part) {
		if name = "score/" + name; !slices.Contains(names, name) {
			names, values = append(names, name), append(values, p.Mean())
		}
	}
	add("success", task.Part{Values: score.Success})
	for _, p := range score.ByCondition() {
		add("success/"+p.Name, p)
	}
	for _, p := range score.Measured() {
		add(p.Name, p)
	}
	return names, values
}

// reportScore reports the values of an epoch that was scored.
func (t *trainer[F]) reportScore(epoch, step int64) {
	s := &t.state
	i := slices.IndexFunc(s.scores, func(row []float64) bool { return row[0] == float64(epoch) })
	if i < 0 {
		return
	}
	for k, name := range s.scored {
		if v := s.scores[i][k+1]; finite(v) {
			t.report.Metric(component.Metric{Name: name, Step: step, Epoch: epoch, Value: v})
		}
	}
}
