package cli

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/fatih/color"
	"golang.org/x/term"
)

// screen is what is known of a writer: whether it is a terminal, how wide, and whether it may have colours.
type screen struct {
	out      io.Writer
	terminal bool
	colours  bool
}

// newScreen looks at a writer and at the environment.
func newScreen(out io.Writer) screen {
	if s, ok := out.(*sticky); ok {
		out = s.Writer
	}
	f, ok := out.(*os.File)
	tty := ok && term.IsTerminal(int(f.Fd()))
	return screen{out: out, terminal: tty, colours: colours(tty, os.LookupEnv)}
}

// moves reports whether what is written can be written over, as bars are.
func (s screen) moves() bool { return s.terminal && os.Getenv("TERM") != "dumb" }

// columns is the terminal's width now; 0 where there is no terminal, or it does not say.
func (s screen) columns() int {
	f, ok := s.out.(*os.File)
	if !ok || !s.terminal {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// colours decides by https://no-color.org and https://bixense.com/clicolors: NO_COLOR forbids them, CLICOLOR_FORCE asks for them even where there is no
// terminal, CLICOLOR=0 and TERM=dumb do without.
func colours(tty bool, env func(string) (string, bool)) bool {
	if v, _ := env("NO_COLOR"); v != "" {
		return false
	}
	if v, _ := env("CLICOLOR_FORCE"); v != "" && v != "0" {
		return true
	}
	if v, _ := env("CLICOLOR"); v == "0" {
		return false
	}
	v, ok := env("TERM")
	return tty && ok && v != "" && v != "dumb"
}

// shade is a colour by what it means.
type shade int

const (
	plain shade = iota
	good
	doubtful
	bad
	faint
)

// paint colours a text where the screen may have colours.
func (s screen) paint(how shade, text string) string {
	if !s.colours || text == "" {
		return text
	}
	var c *color.Color
	switch how {
	case good:
		c = color.New(color.FgGreen)
	case doubtful:
		c = color.New(color.FgYellow)
	case bad:
		c = color.New(color.FgRed)
	case faint:
		c = color.New(color.Faint)
	default:
		return text
	}
	c.EnableColor()
	return c.Sprint(text)
}

// status colours the word that says how a stage or a run ended, which the text begins with.
func (s screen) status(text string) string {
	word, rest, found := strings.Cut(text, " ")
	word, colon := strings.TrimSuffix(word, ":"), strings.HasSuffix(word, ":")
	how := plain
	switch word {
	case "done", "ok", "valid":
		how = good
	case "failed", "killed", "problem", "damaged", "unreadable":
		how = bad
	case "interrupted", "skipped", "warning", "incomplete", "missing":
		how = doubtful
	case "stored":
		how = faint
	}
	out := s.paint(how, word)
	if colon {
		out += ":"
	}
	if found {
		out += " " + rest
	}
	return out
}

// human shows a duration with as many digits as one wants to read: 12ms, 3.4s, 5m04s, 1h20m, 2d3h.
func human(d time.Duration) string {
	unit := func(big, small time.Duration, bigName, smallName string) string {
		n, rest := d/big, d%big/small
		text := humanize.Comma(int64(n)) + bigName
		if smallName == "s" || smallName == "m" {
			if rest < 10 {
				text += "0"
			}
		}
		return text + humanize.Comma(int64(rest)) + smallName
	}
	switch {
	case d < 0:
		return "-" + human(-d)
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d.Round(100*time.Millisecond) < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d.Round(time.Second) < time.Hour:
		d = d.Round(time.Second)
		return unit(time.Minute, time.Second, "m", "s")
	case d.Round(time.Minute) < 24*time.Hour:
		d = d.Round(time.Minute)
		return unit(time.Hour, time.Minute, "h", "m")
	}
	d = d.Round(time.Hour)
	return unit(24*time.Hour, time.Hour, "d", "h")
}

// size shows a number of bytes, e.g. 1.2 GiB.
func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }
