package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/summary"
)

// mostRows is the number of runs of a metric that a page lists; more are in results.csv.
const mostRows = 3000

// spreadTable has a row for each subject at each point of the matrix.
type spreadTable struct {
	Unit, Better string
	// Head names the axes that matter to any subject.
	Head []string
	Rows []spreadRow
	// Alike is true where a subject does not change along one of the axes.
	Alike bool
	// Nulls is true where a row has one.
	Nulls bool
}

type spreadRow struct {
	Subject, Reference string
	Colour             template.CSS
	// Span is the number of rows of this subject, 0 where an earlier row has its name.
	Span int
	// At has the value on each axis, empty where that does not matter to the subject.
	At                    []string
	Mean, SD, Min, Max, N string
	// Null is the mean of the runs' values by chance, empty where there are none.
	Null  string
	Short bool
}

// runTable has a row for each run.
type runTable struct {
	Head []string
	Rows []runRow
	// Left is the number of rows that are not shown.
	Left int
	// Remarks is true where there is something to say of values that are there.
	Remarks bool
}

type runRow struct {
	Subject, Reference     string
	Colour                 template.CSS
	At                     []string
	Value, Low, High, Null string
	// Reason is why there is no value, or what there is to say of it.
	N, Reason   string
	Missing     bool
	Point, Link string
}

func (c *studyComposer) spreadTable(g metricGroup, colour func(string) template.CSS) *spreadTable {
	t := &spreadTable{Unit: g.Unit, Better: direction(g.Better)}
	var axes []int
	for _, k := range c.study.Matrix() {
		for _, series := range g.Series {
			if series.Matters(k) {
				axes = append(axes, k)
				t.Head = append(t.Head, c.study.Axes[k].Label)
				break
			}
		}
	}
	for _, series := range g.Series {
		own := series.MatteringMatrix()
		cells := series.Cells(own...)
		for i, cell := range cells {
			r := spreadRow{
				Subject: series.Subject, Reference: series.Reference, Colour: colour(series.Subject),
				Mean: number(cell.Mean), SD: number(cell.SD), Min: number(cell.Min), Max: number(cell.Max),
			}
			if i == 0 {
				r.Span = len(cells)
			}
			for _, k := range axes {
				text := ""
				for j, o := range own {
					if o == k {
						text = artifact.FormatValue(c.study.Axes[k].Values[cell.At[j]])
					}
				}
				t.Alike = t.Alike || text == "" && !slices.Contains(own, k)
				r.At = append(r.At, text)
			}
			if null := cell.Null(); !math.IsNaN(null) {
				r.Null, t.Nulls = number(null), true
			}
			if r.N = fmt.Sprint(cell.N); cell.N < cell.Points {
				r.N, r.Short = fmt.Sprintf("%d of %d", cell.N, cell.Points), true
			}
			t.Rows = append(t.Rows, r)
		}
	}
	return t
}

func (c *studyComposer) runTable(g metricGroup, colour func(string) template.CSS) *runTable {
	t := &runTable{}
	for _, a := range c.study.Axes {
		t.Head = append(t.Head, a.Label)
	}
	for _, series := range g.Series {
		for _, r := range series.Runs {
			if len(t.Rows) == mostRows {
				t.Left++
				continue
			}
			row := c.runRow(series, r, colour)
			t.Rows, t.Remarks = append(t.Rows, row), t.Remarks || !row.Missing && row.Reason != ""
		}
	}
	return t
}

func (c *studyComposer) runRow(series *summary.Series, r summary.Run, colour func(string) template.CSS) runRow {
	row := runRow{
		Subject: series.Subject, Reference: series.Reference, Colour: colour(series.Subject), At: c.values(r.Point),
		Value: number(r.Value), Low: number(r.Low), High: number(r.High), Null: number(r.Null),
		Reason: r.Reason, Missing: math.IsNaN(r.Value), Point: c.study.Points[r.Point].Name,
	}
	if r.N > 0 {
		row.N = fmt.Sprint(r.N)
	}
	if c.study.States[r.Point].Present {
		row.Link = c.link(row.Point)
	}
	return row
}

// pointList is the table of a study's points.
type pointList struct {
	Head []string
	Rows []pointRow
	// Open is true where the list is short enough to stand open.
	Open bool
}

type pointRow struct {
	Name, Link, State, Reason string
	At                        []string
	Done                      bool
}
