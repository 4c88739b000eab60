package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// conditionScore is how trials of one condition went.
type conditionScore struct {
	name string
	// success is the mean over n trials, low to high its interval; NaN where it has none.
	success, low, high float64
	n                  int
}

// shares says whether every trial is a success or none, so that means are shares of trials.
func shares(success []float64) bool {
	return !slices.ContainsFunc(success, func(v float64) bool { return v != 0 && v != 1 && !math.IsNaN(v) && !math.IsInf(v, 0) })
}

// conditionScores sums a score up by condition, in the order of their numbers; conditions without a trial are left out.
func conditionScores(s task.Score) []conditionScore {
	if len(s.Condition) != len(s.Success) {
		return nil
	}
	of := map[int64][]float64{}
	for i, c := range s.Condition {
		if v := s.Success[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			of[c] = append(of[c], v)
		}
	}
	whole := shares(s.Success)
	var out []conditionScore
	for _, c := range slices.Sorted(maps.Keys(of)) {
		row := conditionScore{name: conditionName(s.ConditionNames, c), success: stat.Mean(of[c], nil), n: len(of[c])}
		if whole {
			row.low, row.high = wilson(row.success, row.n)
		} else {
			row.low, row.high = student(of[c])
		}
		out = append(out, row)
	}
	return out
}

func conditionName(names []string, c int64) string {
	if c >= 0 && c < int64(len(names)) && names[c] != "" {
		return names[c]
	}
	return fmt.Sprintf("condition %d", c)
}

// wilson is the 95% interval of a proportion p of n trials (Wilson 1927), which keeps to [0, 1] and is not empty at its ends.
func wilson(p float64, n int) (low, high float64) {
	const z = 1.959964
	k := float64(n)
	mid := (p + z*z/(2*k)) / (1 + z*z/k)
	half := z / (1 + z*z/k) * math.Sqrt(p*(1-p)/k+z*z/(4*k*k))
	low, high = max(0, mid-half), min(1, mid+half)
	switch p { // exactly, whatever has been rounded
	case 0:
		low = 0
	case 1:
		high = 1
	}
	return low, high
}

// student is the 95% interval of the mean of some values (Student 1908), no wider than [0, 1] where they are not; NaN for fewer than two.
func student(values []float64) (low, high float64) {
	if len(values) < 2 {
		return math.NaN(), math.NaN()
	}
	mean, sd := stat.MeanStdDev(values, nil)
	half := distuv.StudentsT{Sigma: 1, Nu: float64(len(values) - 1)}.Quantile(0.975) * stat.StdErr(sd, float64(len(values)))
	low, high = mean-half, mean+half
	if slices.Min(values) >= 0 && slices.Max(values) <= 1 {
		low, high = max(0, low), min(1, high)
	}
	return low, high
}

// overall is the mean of the conditions' success, each counted alike.
func overall(rows []conditionScore) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += r.success
	}
	return sum / float64(len(rows))
}

// A row of the figure has at most barsMost bars, which leaves room for their names, and the figure at most barRows rows.
const (
	barsMost = 16
	barRows  = 8
)

// success shows how each condition went, a bar for each; ok is false where there is only one.
func success(s task.Score) (f component.Figure, ok bool) {
	rows := conditionScores(s)
	if len(rows) < 2 {
		return component.Figure{}, false
	}
	fewest, most := rows[0].n, rows[0].n
	// As many bars in each row of panels, so that all have the same width.
	panels := min((len(rows)+barsMost-1)/barsMost, barRows)
	each := (min(len(rows), panels*barsMost) + panels - 1) / panels
	for part := range slices.Chunk(rows[:min(len(rows), panels*each)], each) {
		bars := component.Mark{Kind: component.Bars, Group: figure.Truth, Faint: true} // pale, so that the lower half of an interval is seen
		p := component.Panel{X: component.Axis{Min: -0.5, Max: float64(each) - 0.5}, Y: component.Axis{Label: "success", Min: 0, Max: 1}}
		for i, r := range part {
			p.X.Ticks = append(p.X.Ticks, r.name)
			bars.X, bars.Y = append(bars.X, float64(i)), append(bars.Y, r.success)
			bars.Low, bars.High = append(bars.Low, r.low), append(bars.High, r.high)
			fewest, most = min(fewest, r.n), max(most, r.n)
		}
		p.Marks = []component.Mark{bars}
		f.Panels = append(f.Panels, p)
	}
	n := fmt.Sprintf("%d", fewest)
	if most > fewest {
		n += fmt.Sprintf(" to %d", most)
	}
	f.Name, f.Title = "success", "Success by condition"
	what := "The share of validation trials that the task counts as successful, with Wilson's 95% interval"
	if !shares(s.Success) {
		what = "The mean of validation trials' success, which this task gives as a fraction, with Student's 95% interval of a mean, cut to [0, 1],"
	}
	f.Caption = fmt.Sprintf("%s over n = %s trials of each condition. The mean over the conditions is %.3f.", what, n, overall(rows))
	if shown := panels * each; shown < len(rows) {
		f.Caption += fmt.Sprintf(" The first %d of %d conditions.", shown, len(rows))
	}
	return f, true
}

// successList is the same as a table.
func successList(s task.Score) (list, bool) {
	rows := conditionScores(s)
	if len(rows) < 2 {
		return list{}, false
	}
	l := list{Title: "Success by condition", Head: []string{"condition", "success", "95% interval", "", "n"}, Right: []bool{false, true, true, true, true}}
	if !shares(s.Success) {
		l.Head[1] = "mean success"
	}
	for _, r := range rows {
		l.Rows = append(l.Rows, []string{r.name, number(r.success), number(r.low), number(r.high), fmt.Sprint(r.n)})
	}
	return l, true
}
