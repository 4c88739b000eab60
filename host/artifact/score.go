package artifact

import (
	"path/filepath"

	"github.com/ctdb-host/ctdb/sdk/task"
)

type scoreJSON struct {
	Trials         []int64    `json:"trials"`
	Success        []Number   `json:"success"`
	Loss           []Number   `json:"loss"`
	Condition      []int64    `json:"condition"`
	ConditionNames []string   `json:"condition_names"`
	Metrics        [][]Number `json:"metrics"`
	MetricNames    []string   `json:"metric_names"`
	MetricUnits    []string   `json:"metric_units"`
}

// WriteScore writes DIR/score.json: how a trained model did on each validation trial.
func WriteScore(dir string, s task.Score) error {
	out := scoreJSON{
		Trials: s.Trials, Success: numbers(s.Success), Loss: numbers(s.Loss), Condition: s.Condition, ConditionNames: s.ConditionNames,
		MetricNames: s.MetricNames, MetricUnits: s.MetricUnits,
	}
	for _, m := range s.Metrics {
		out.Metrics = append(out.Metrics, numbers(m))
	}
	return WriteJSON(filepath.Join(dir, ScoreFile), out)
}

// ReadScore reads DIR/score.json.
func ReadScore(dir string) (task.Score, error) {
	var in scoreJSON
	if err := ReadJSON(filepath.Join(dir, ScoreFile), &in); err != nil {
		return task.Score{}, err
	}
	s := task.Score{
		Trials: in.Trials, Success: float64s(in.Success), Loss: float64s(in.Loss), Condition: in.Condition, ConditionNames: in.ConditionNames,
		MetricNames: in.MetricNames, MetricUnits: in.MetricUnits,
	}
	for _, m := range in.Metrics {
		s.Metrics = append(s.Metrics, float64s(m))
	}
	return s, nil
}
