package cli

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/guptarohit/asciigraph"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	curveHeight = 12
	// curveWidth is how wide curves are where there is no terminal, and widestCurve on a wide one.
	curveWidth  = 80
	widestCurve = 120
	// curveMargin is what the axis takes beside a curve.
	curveMargin = 14
	// logFrom is how many times the least value the largest must be for a logarithmic axis.
	logFrom = 10
)

// learning is a training with its curves.
type learning struct {
	stage, component string
	// going is true where it goes on, cut where it did not come to its end.
	going, cut bool
	metrics    []component.Metric
}

// trainings are those of a run that have curves: first those that are complete.
func trainings(run *artifact.Run) ([]learning, error) {
	var out []learning
	for _, st := range run.Stages() {
		if !st.Has(artifact.MetricsFile) {
			continue
		}
		m, err := st.Metrics()
		if err != nil {
			return nil, err
		}
		if len(m) == 0 {
			continue
		}
		out = append(out, learning{stage: st.Name, component: st.Record.Component, metrics: m})
	}
	live, err := run.Live()
	if err != nil {
		return nil, err
	}
	going := run.Status() == runRunning
	for _, l := range live {
		m, err := l.Metrics()
		if err != nil {
			return nil, err
		}
		out = append(out, learning{stage: l.Name, going: going, cut: !going, metrics: m})
	}
	return out, nil
}

// curves shows the learning curves of a run, by default of the newest.
func (p Program) curves(c *cli.Context) error {
	run, err := followed(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.curvesJSON(run)
	}
	fmt.Fprintf(p.Out, "%s: %s\n\n", run.Dir(), newScreen(p.Out).status(cmp.Or(run.Status(), "incomplete")))
	return p.printCurves(run)
}

// printCurves draws the losses of a run's trainings, also of those that go on.
func (p Program) printCurves(run *artifact.Run) error {
	all, err := trainings(run)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		what := "the run has no curves: no training has ended its first epoch"
		if _, study := run.Study(); study {
			what = fmt.Sprintf("no training is going on: name a point's folder for its curves, %s", filepath.Join(run.Dir(), artifact.PointsDir, "POINT"))
		}
		fmt.Fprintln(p.Out, what)
		return nil
	}
	s := newScreen(p.Out)
	for i, t := range all {
		if i > 0 {
			fmt.Fprintln(p.Out)
		}
		fmt.Fprint(p.Out, s.curve(t))
	}
	return nil
}

// curvesJSON prints the curves of a run as data.
func (p Program) curvesJSON(run *artifact.Run) error {
	type point struct {
		Name  string          `json:"name"`
		Epoch int64           `json:"epoch"`
		Step  int64           `json:"step"`
		Value artifact.Number `json:"value"`
	}
	type row struct {
		Stage string `json:"stage"`
		// Ended is false where the training goes on, or did not come to its end.
		Ended   bool    `json:"ended"`
		Metrics []point `json:"metrics"`
	}
	all, err := trainings(run)
	if err != nil {
		return err
	}
	rows := []row{}
	for _, t := range all {
		r := row{Stage: t.stage, Ended: !t.going && !t.cut, Metrics: []point{}}
		for _, m := range t.metrics {
			r.Metrics = append(r.Metrics, point{m.Name, m.Epoch, m.Step, artifact.Number(m.Value)})
		}
		rows = append(rows, r)
	}
	return p.printJSON(map[string]any{"run": run.Dir(), "status": run.Status(), "curves": rows})
}

// curve is a training's losses over epochs, with what is to be said of them.
func (s screen) curve(t learning) string {
	lines := []string{s.curveTitle(t)}
	names := []string{"train/loss", "valid/loss"}
	if !slices.ContainsFunc(t.metrics, func(m component.Metric) bool { return slices.Contains(names, m.Name) }) && len(t.metrics) > 0 {
		names = []string{t.metrics[0].Name}
	}
	var drawn []series
	for _, name := range names {
		if c := seriesOf(t.metrics, name); len(c.y) > 0 {
			drawn = append(drawn, c)
		}
	}
	width := cmp.Or(min(s.columns(), widestCurve), curveWidth)
	if plot := draw(drawn, max(width-curveMargin, narrowest), s.colours); plot != "" {
		lines = append(lines, plot)
	}
	for _, c := range drawn {
		lines = append(lines, c.legend())
	}
	var rest []string
	for _, name := range []string{"score/success", "train/learning_rate", "train/gradient_norm"} {
		if c := seriesOf(t.metrics, name); len(c.y) > 0 {
			_, label, _ := strings.Cut(strings.ReplaceAll(name, "_", " "), "/")
			rest = append(rest, fmt.Sprintf("%s %.4g", label, c.y[len(c.y)-1]))
		}
	}
	if len(rest) > 0 {
		lines = append(lines, "  last: "+strings.Join(rest, ", "))
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s screen) curveTitle(t learning) string {
	title := t.stage
	if t.component != "" {
		title += "  " + t.component
	}
	if n := len(t.metrics); n > 0 {
		last := t.metrics[n-1]
		title += fmt.Sprintf("  epoch %d, step %d", last.Epoch, last.Step)
	}
	switch {
	case t.going:
		title += "  " + s.status("running")
	case t.cut:
		title += "  " + s.status("incomplete")
	}
	return title
}

// series is one curve: a value for each epoch that has one.
type series struct {
	name string
	x, y []float64
}

// seriesOf takes the finite values of a metric; of several in one epoch the last.
func seriesOf(metrics []component.Metric, name string) series {
	out := series{name: name}
	for _, m := range metrics {
		if m.Name != name || math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			continue
		}
		x := float64(m.Epoch)
		if n := len(out.x); n > 0 && out.x[n-1] >= x {
			out.y[n-1] = m.Value
			continue
		}
		out.x, out.y = append(out.x, x), append(out.y, m.Value)
	}
	return out
}

// legend says by what a curve is known, its last value and its least.
func (c series) legend() string {
	mark, label := "─", c.name
	switch c.name {
	case "train/loss":
		mark, label = trainingMark, "training"
	case "valid/loss":
		label = "validation"
	}
	least := 0
	for i, y := range c.y {
		if y < c.y[least] {
			least = i
		}
	}
	last := len(c.y) - 1
	return fmt.Sprintf("  %s %-10s %.4g, lowest %.4g in epoch %.0f", strings.Repeat(mark, 3), label, c.y[last], c.y[least], c.x[least])
}

// trainingMark is what the curve of the training loss is made of.
const trainingMark = "·"

// draw draws curves into one picture; empty where there is nothing to draw.
func draw(curves []series, width int, colours bool) string {
	from, to, low, high := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		from, to = min(from, c.x[0]), max(to, c.x[len(c.x)-1])
		low, high = min(low, slices.Min(c.y)), max(high, slices.Max(c.y))
	}
	if len(curves) == 0 {
		return ""
	}
	value := func(v float64) float64 { return v }
	back := value
	if low > 0 && high >= logFrom*low {
		value, back = math.Log10, func(v float64) float64 { return math.Pow(10, v) }
	}
	low, high = value(low), value(high)
	// What is drawn lies between 0 and 1, so that no value is too large for the drawing. Halves keep differences finite.
	span := high/2 - low/2
	place := func(v float64) float64 {
		if span == 0 {
			return 0.5
		}
		return min(max((v/2-low/2)/span, 0), 1)
	}
	options := []asciigraph.Option{
		asciigraph.Height(curveHeight), asciigraph.LowerBound(0), asciigraph.UpperBound(1),
		asciigraph.YAxisValueFormatter(func(v float64) string {
			if span == 0 {
				return fmt.Sprintf("%9.3g", back(low))
			}
			return fmt.Sprintf("%9.3g", back(2*(low/2+v*span)))
		}),
		asciigraph.XAxisRange(from, to), asciigraph.XAxisValueFormatter(func(v float64) string { return strconv.FormatFloat(math.Round(v), 'f', -1, 64) }),
	}
	if epochs := to - from + 1; epochs < 5 {
		options = append(options, asciigraph.XAxisTickCount(max(int(epochs), 2)))
	}
	var data [][]float64
	var marks []asciigraph.CharSet
	var shades []asciigraph.AnsiColor
	for _, c := range curves {
		line := c.over(from, to, width)
		for i, v := range line {
			line[i] = place(value(v))
		}
		data = append(data, line)
		set, shade := asciigraph.DefaultCharSet, asciigraph.Green
		if c.name == "train/loss" {
			set, shade = asciigraph.CreateCharSet(trainingMark), asciigraph.Blue
		}
		marks, shades = append(marks, set), append(shades, shade)
	}
	options = append(options, asciigraph.SeriesChars(marks...))
	if colours {
		options = append(options, asciigraph.SeriesColors(shades...))
	}
	return asciigraph.PlotMany(data, options...)
}

// over is the curve at n places from one x to another: the mean of the values that fall to a place, and between values what lies on the line from one to the other. Before
// the first and after the last there is nothing.
func (c series) over(from, to float64, n int) []float64 {
	out := make([]float64, n)
	step := (to - from) / float64(max(n-1, 1))
	k := 0
	for i := range out {
		at := from + step*float64(i)
		sum, count := 0.0, 0
		for ; k < len(c.x) && (c.x[k] <= at+step/2 || i == n-1); k++ {
			sum += c.y[k]
			count++
		}
		switch {
		case count > 0:
			out[i] = sum / float64(count)
		case k == 0, k == len(c.x):
			out[i] = math.NaN()
		default:
			share := (at - c.x[k-1]) / (c.x[k] - c.x[k-1])
			out[i] = (1-share)*c.y[k-1] + share*c.y[k]
		}
	}
	return out
}
