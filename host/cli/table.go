package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// table returns an empty table with a header, that fits the terminal; elsewhere plain enough to be read by awk as well.
func (p Program) table(header ...any) table.Writer {
	t := &fittedTable{Writer: table.NewWriter(), width: newScreen(p.Out).columns()}
	t.SetOutputMirror(p.Out)
	t.SuppressTrailingSpaces()
	style := table.StyleDefault
	style.Format.Header = text.FormatDefault
	style.Options = table.Options{SeparateColumns: false, SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Box.MiddleHorizontal = "-"
	t.SetStyle(style)
	t.AppendHeader(table.Row(header))
	return t
}

// printResults prints a run's results as a table, then what could not be had and why; of a study, how they spread.
func (p Program) printResults(run *artifact.Run) error {
	if _, ok := run.Study(); ok {
		return p.printStudy(run)
	}
	r, err := resultsOf(run)
	if err != nil {
		return err
	}
	if len(r.Metrics) == 0 {
		return nil
	}
	t := p.table("subject", "metric", "value", "95% interval", "null", "better", "n")
	var missing []string
	for _, m := range r.Metrics {
		name := m.Metric
		if m.Unit != "" {
			name += " (" + m.Unit + ")"
		}
		if math.IsNaN(float64(m.Value)) {
			missing = append(missing, fmt.Sprintf("%s of %s: %s", m.Metric, m.Subject, m.Reason))
			continue
		}
		t.AppendRow(table.Row{m.Subject, name, number(m.Value), interval(m), number(m.Null), direction(m.Better), m.N})
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "value", Align: text.AlignRight}, {Name: "null", Align: text.AlignRight}, {Name: "n", Align: text.AlignRight}})
	t.Render()
	if len(missing) > 0 {
		fmt.Fprintf(p.Out, "not computed:\n  %s\n", strings.Join(missing, "\n  "))
	}
	return nil
}

func number(v artifact.Number) string {
	if math.IsNaN(float64(v)) {
		return ""
	}
	return fmt.Sprintf("%.4g", float64(v))
}

func interval(m artifact.Result) string {
	if math.IsNaN(float64(m.Low)) || math.IsNaN(float64(m.High)) {
		return ""
	}
	return number(m.Low) + " to " + number(m.High)
}

func direction(b component.Better) string {
	switch b {
	case component.Higher, component.Lower:
		return string(b)
	}
	return ""
}
