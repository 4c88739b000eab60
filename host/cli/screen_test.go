package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

func TestColours(t *testing.T) {
	for _, c := range []struct {
		env  string
		tty  bool
		want bool
	}{
		{"TERM=xterm", true, true},
		{"TERM=xterm", false, false},
		{"TERM=dumb", true, false},
		{"", true, false},
		{"TERM=xterm NO_COLOR=1", true, false},
		{"TERM=xterm NO_COLOR=", true, true},
		{"NO_COLOR=1 CLICOLOR_FORCE=1", true, false},
		{"CLICOLOR_FORCE=1", false, true},
		{"CLICOLOR_FORCE=1 TERM=dumb", false, true},
		{"CLICOLOR_FORCE=0 TERM=xterm", false, false},
		{"CLICOLOR=0 TERM=xterm", true, false},
		{"CLICOLOR=0 CLICOLOR_FORCE=1", true, true},
	} {
		got := colours(c.tty, func(name string) (string, bool) {
			for entry := range strings.FieldsSeq(c.env) {
				if v, ok := strings.CutPrefix(entry, name+"="); ok {
					return v, true
				}
			}
			return "", false
		})
		if got != c.want {
			t.Errorf("%s, terminal %v: got %v", c.env, c.tty, got)
		}
	}
}

// What is painted where colours are off is as it was, and where they are on it is the same but for escape sequences.
func TestPaint(t *testing.T) {
	t.Setenv("NO_COLOR", "1") // a library's own switch must not count
	for _, line := range []string{"done in 3s", "failed: no", "stored", "skipped", "something else", ""} {
		if got := (screen{}).status(line); got != line {
			t.Errorf("without colours %q becomes %q", line, got)
		}
		got := (screen{colours: true}).status(line)
		if text.StripEscape(got) != line {
			t.Errorf("with colours %q becomes %q", line, got)
		}
		if plain := line == "" || line == "something else"; plain == strings.Contains(got, "\x1b[") {
			t.Errorf("with colours %q becomes %q", line, got)
		}
	}
}

func TestHuman(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{12345 * time.Microsecond, "12ms"},
		{3440 * time.Millisecond, "3.4s"},
		{59949 * time.Millisecond, "59.9s"},
		{59960 * time.Millisecond, "1m00s"},
		{304 * time.Second, "5m04s"},
		{time.Hour - 400*time.Millisecond, "1h00m"},
		{80 * time.Minute, "1h20m"},
		{24*time.Hour - 20*time.Second, "1d0h"},
		{51 * time.Hour, "2d3h"},
		{-2 * time.Second, "-2s"},
	} {
		if got := human(c.d); got != c.want {
			t.Errorf("%v: got %s, want %s", c.d, got, c.want)
		}
	}
}

func TestFitColumns(t *testing.T) {
	for _, c := range []struct {
		natural []int
		width   int
		want    []int
	}{
		{[]int{5, 10}, 80, []int{5, 10}},
		{[]int{5, 100}, 49, []int{5, 40}},
		{[]int{100, 5, 60}, 71, []int{30, 5, 30}},
		{[]int{100, 5, 20}, 61, []int{30, 5, 20}},
		{[]int{30, 30}, 10, []int{8, 8}},
	} {
		if got := fitColumns(c.natural, c.width); !slices.Equal(got, c.want) {
			t.Errorf("%v in %d: got %v, want %v", c.natural, c.width, got, c.want)
		}
	}
}

// No line is wider than the terminal, no word is lost, and what stands in other columns is not touched.
func TestTableFitsTheTerminal(t *testing.T) {
	var out bytes.Buffer
	tab := Program{Out: &out}.table("stage", "what a run would do", "n").(*fittedTable)
	tab.width = 40
	tab.AppendRow(table.Row{"fit/gru-64", "run it: changed since it last ran\n  components.model.params.latent: 5, was 4", 7})
	tab.SetColumnConfigs([]table.ColumnConfig{{Name: "n", Align: text.AlignRight}})
	tab.Render()
	lines := strings.Split(out.String(), "\n")
	for _, l := range lines {
		if len(l) > 40 {
			t.Errorf("%d wide: %q", len(l), l)
		}
	}
	words := strings.Join(strings.Fields(out.String()), "")
	for _, w := range []string{"fit/gru-64", "runit:", "changed", "components.model.params.", "5,", "was4"} {
		if !strings.Contains(words, w) {
			t.Errorf("%q is lost in\n%s", w, out.String())
		}
	}
	if !strings.Contains(out.String(), " 7\n") && !strings.Contains(out.String(), " 7") {
		t.Errorf("the number is lost in\n%s", out.String())
	}
	// Where there is no terminal lines are as long as they are.
	out.Reset()
	tab = Program{Out: &out}.table("a").(*fittedTable)
	tab.AppendRow(table.Row{strings.Repeat("long ", 100) + "end"})
	tab.Render()
	if strings.Count(out.String(), "\n") > 3 || strings.Contains(out.String(), " \n") {
		t.Errorf("wrapped, or with blanks at the end:\n%q", out.String())
	}
}
