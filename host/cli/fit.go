package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// narrowest is how narrow a column may become, so that a word stays readable.
const narrowest = 8

// columnGap is the number of blanks after each column.
const columnGap = 2

// fittedTable wraps the text in its widest columns so that it fits a terminal. Elsewhere, where width is 0, lines are as long as they are: what is piped is for
// programs.
type fittedTable struct {
	table.Writer
	width   int
	rows    []table.Row
	configs []table.ColumnConfig
}

// AppendHeader adds a header.
func (t *fittedTable) AppendHeader(r table.Row, c ...table.RowConfig) {
	t.rows = append(t.rows, r)
	t.Writer.AppendHeader(r, c...)
}

// AppendRow adds a row.
func (t *fittedTable) AppendRow(r table.Row, c ...table.RowConfig) {
	t.rows = append(t.rows, r)
	t.Writer.AppendRow(r, c...)
}

// SetColumnConfigs sets how columns look; widths are set by Render.
func (t *fittedTable) SetColumnConfigs(c []table.ColumnConfig) { t.configs = c }

// Render prints the table.
func (t *fittedTable) Render() string {
	configs := slices.Clone(t.configs)
	if t.width > 0 {
		for i, w := range fitColumns(t.natural(), t.width) {
			configs = append(configs, table.ColumnConfig{})
			own := &configs[len(configs)-1]
			own.Number = i + 1
			for _, c := range t.configs {
				if c.Number == i+1 || (c.Name != "" && len(t.rows) > 0 && i < len(t.rows[0]) && t.rows[0][i] == c.Name) {
					*own = c
					own.Name, own.Number = "", i+1
				}
			}
			own.WidthMax, own.WidthMaxEnforcer = w, wrapLines
		}
		configs = configs[len(t.configs):]
	}
	t.Writer.SetColumnConfigs(configs)
	return t.Writer.Render()
}

// natural is the width of the longest line in each column.
func (t *fittedTable) natural() []int {
	var out []int
	for _, r := range t.rows {
		for i, cell := range r {
			if i == len(out) {
				out = append(out, 0)
			}
			out[i] = max(out[i], text.LongestLineLen(fmt.Sprint(cell)))
		}
	}
	return out
}

// fitColumns cuts the widest columns to one width so that all fit. Where not even that helps columns stay narrowest wide, and the terminal wraps.
func fitColumns(natural []int, width int) []int {
	left := width - columnGap*len(natural)
	out := slices.Clone(natural)
	order := make([]int, len(natural))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return natural[a] - natural[b] })
	for n, i := range order {
		share := max(left/(len(order)-n), narrowest)
		out[i] = min(natural[i], share)
		left -= out[i]
	}
	return out
}

// wrapLines wraps each line by words and keeps its indentation.
func wrapLines(s string, width int) string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		rest := strings.TrimLeft(l, " ")
		indent := min(len(l)-len(rest), max(width-narrowest, 0))
		for part := range strings.SplitSeq(text.WrapSoft(rest, max(width-indent, 1)), "\n") {
			out = append(out, strings.Repeat(" ", indent)+strings.TrimRight(part, " "))
		}
	}
	return strings.Join(out, "\n")
}
