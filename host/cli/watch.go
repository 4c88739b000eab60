package cli

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/runlog"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	// plainEvery is the least time between two lines about the same stage where there is no terminal, and tallyEvery between two lines about all.
	plainEvery = 10 * time.Second
	tallyEvery = 30 * time.Second
	paceOver   = 5 * time.Minute
	// tallyFrom is from how many stages on there is a line about all of them, and briefFrom from how many on those that are stored or skipped are only counted.
	tallyFrom = 7
	briefFrom = 30
	// shortName and longName bound the width of the names at the beginning of lines.
	shortName = 20
	longName  = 48
)

// watch shows a run's progress: bars on a terminal, lines elsewhere, nothing if quiet.
type watch struct {
	screen
	quiet bool
	// level is the least level of the log's lines that are shown.
	level slog.Level
	// bars are nil where there is no terminal that they can move on.
	bars *bars
	mu   sync.Mutex
	// past is true while what is told has long happened: only what it led to is shown.
	past  bool
	stage map[string]*watched
	tally tally
	told  time.Time
	// pad is the width of the names at the beginning of lines: that of the longest so far.
	pad int
}

// watched is a running stage.
type watched struct {
	name string
	last component.Progress
	bar  *bar
	// begun and from are when the phase was first heard of, and how far it was then; later, between one and two paceOver ago, so that an hour in which the machine slept is not in what is left for ever.
	begun time.Time
	from  int64
	// since and then are what they will be next.
	since time.Time
	then  int64
	told  time.Time
}

var _ pipeline.Observer = (*watch)(nil)

func (p Program) newWatch(quiet bool) *watch {
	w := &watch{screen: newScreen(p.Err), quiet: quiet, level: slog.LevelWarn, stage: map[string]*watched{}}
	if !quiet && w.moves() {
		w.drawOn(w.screen)
	}
	return w
}

// drawOn shows bars from now on.
func (w *watch) drawOn(s screen) {
	w.bars = newBars(s)
}

// expect tells how many stages there are, so that it can be said how many are left.
func (w *watch) expect(stages int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.total = stages
	if w.bars != nil && stages >= tallyFrom {
		w.bars.summary(w.tally.line(time.Now()))
	}
}

// expectMore adds stages, those of another shard.
func (w *watch) expectMore(stages int) {
	w.mu.Lock()
	total := w.tally.total + stages
	w.mu.Unlock()
	w.expect(total)
}

// restart forgets what was told so far: the run has been begun again.
func (w *watch) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.stage {
		w.drop(s)
	}
	clear(w.stage)
	w.tally = tally{}
}

// close draws the bars for the last time, with the lines that were said since the time before.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.stage {
		if s.bar != nil {
			s.bar.bar.Abort(true) // without waiting, since nobody may be drawing any more
			s.bar = nil
		}
	}
	if w.bars != nil {
		w.bars.close()
	}
	if !w.quiet && w.tally.total >= tallyFrom {
		fmt.Fprintln(w.out, w.tally.line(time.Now()))
	}
}

// StageChanged says what became of a stage.
func (w *watch) StageChanged(stage string, status pipeline.Status, elapsed time.Duration, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	w.changed(time.Now(), stage, status, elapsed, why)
}

func (w *watch) changed(now time.Time, stage string, status pipeline.Status, elapsed time.Duration, why string) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.count(now, status, elapsed)
	if s := w.stage[stage]; s != nil {
		w.drop(s)
		delete(w.stage, stage)
	}
	if status == pipeline.Running {
		w.stage[stage] = &watched{name: stage, begun: now, last: component.Progress{Loss: math.NaN()}}
	}
	if w.bars != nil && w.tally.total >= tallyFrom {
		w.bars.summary(w.tally.line(now))
	}
	what := string(status)
	switch status {
	case pipeline.Running:
		if w.bars != nil {
			return
		}
	case pipeline.Done:
		what += " in " + human(elapsed)
	case pipeline.Failed, pipeline.Interrupted:
		what += " after " + human(elapsed)
		if first, _, _ := strings.Cut(why, "\n"); first != "" {
			what += ": " + first
		}
	case pipeline.Skipped, pipeline.Waiting:
		what += ": " + why
	}
	if brief := status == pipeline.Stored || status == pipeline.Skipped; !brief || w.tally.total < briefFrom {
		w.say(w.named(stage) + w.status(what))
	}
	if w.told.IsZero() {
		w.told = now
	}
	if w.bars == nil && !w.past && w.tally.total >= tallyFrom && now.Sub(w.told) >= tallyEvery && status != pipeline.Running {
		w.told = now
		w.say(w.tally.line(now))
	}
}

// drop takes a stage's bar away.
func (w *watch) drop(s *watched) {
	if s.bar != nil {
		s.bar.remove()
		s.bar = nil
	}
}

func (w *watch) say(line string) {
	if w.bars != nil {
		w.bars.say(line)
		return
	}
	fmt.Fprintln(w.out, line)
}

// StageProgress moves a stage's bar, or says a line now and then.
func (w *watch) StageProgress(stage string, p component.Progress) { w.progress(time.Now(), stage, p) }

func (w *watch) progress(now time.Time, stage string, p component.Progress) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stage[stage]
	if s == nil {
		return
	}
	if s.last.Phase != p.Phase || p.Done < s.last.Done {
		s.begun, s.from, s.told = now, p.Done, now
		s.since, s.then = now, p.Done
		w.drop(s)
	}
	if now.Sub(s.since) >= paceOver {
		s.begun, s.from = s.since, s.then
		s.since, s.then = now, p.Done
	}
	s.last = p
	if !w.past {
		w.show(now, s)
	}
}

func (w *watch) show(now time.Time, s *watched) {
	if w.bars != nil {
		if s.bar == nil {
			s.bar = w.bars.add(s.name, s.last.Phase)
		}
		s.bar.move(s.last, s.pace(now))
		return
	}
	if now.Sub(s.told) < plainEvery {
		return
	}
	s.told = now
	w.say(w.named(s.name) + s.line(now))
}

// present shows how things stand after what is past was told.
func (w *watch) present(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.past {
		return
	}
	w.past = false
	for _, s := range w.stage {
		if s.last.Phase != "" {
			s.told = time.Time{}
			w.show(now, s)
		}
	}
	if w.bars == nil && w.tally.total >= tallyFrom {
		w.told = now
		w.say(w.tally.line(now))
	}
}

// log says a line of the log, with whose it is.
func (w *watch) log(r runlog.Record) {
	switch {
	case w.quiet || r.Level < w.level:
		return
	case r.Text("plugin") == "" && (r.Message == "failed" || r.Message == "stage" || r.Message == "progress" || r.Message == "run"):
		return // told already
	}
	level, how := "debug", faint
	switch {
	case r.Level >= slog.LevelError:
		level, how = "error", bad
	case r.Level >= slog.LevelWarn:
		level, how = "warning", doubtful
	case r.Level >= slog.LevelInfo:
		level, how = "info", plain
	}
	who := r.Text("component")
	if who == "" {
		who = r.Text("plugin")
	}
	if who != "" {
		who = " " + who
	}
	line := fmt.Sprintf("%s%s: %s", w.paint(how, level), who, strings.TrimSpace(r.Message))
	if rest := r.Rest("stage", "plugin", "component"); rest != "" {
		line += w.paint(faint, "  "+rest)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say(w.named(r.Text("stage")) + line)
}

// named is the beginning of a line about a stage.
func (w *watch) named(stage string) string {
	w.pad = min(max(w.pad, shortName, text.StringWidth(stage)), longName)
	return text.Pad(stage, w.pad, ' ') + " "
}

// pace is how fast a phase goes, its loss, and how long it will take; empty before anything is known.
func (s *watched) pace(now time.Time) string {
	var parts []string
	p := s.last
	if !math.IsNaN(p.Loss) {
		parts = append(parts, fmt.Sprintf("loss %.4g", p.Loss))
	}
	if spent := now.Sub(s.begun); p.Done > s.from && spent > time.Second {
		rate := float64(p.Done-s.from) / spent.Seconds()
		parts = append(parts, perSecond(rate))
		if p.Total > p.Done {
			parts = append(parts, left(seconds(float64(p.Total-p.Done)/rate)))
		}
	}
	return strings.Join(parts, "  ")
}

// perSecond shows a rate; a slow one as the time that one takes.
func perSecond(rate float64) string {
	if rate < 0.1 {
		return human(seconds(1/rate)) + " each"
	}
	return fmt.Sprintf("%.1f/s", rate)
}

func (s *watched) line(now time.Time) string {
	line := s.last.Phase + " " + counter(s.last.Done, s.last.Total)
	if pace := s.pace(now); pace != "" {
		line += "  " + pace
	}
	return line
}

// left shows how long something will take, which nobody knows to a tenth of a second.
func left(d time.Duration) string {
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	}
	return human(d) + " left"
}

// counter is "3/10", or "3" where there is no end.
func counter(done, total int64) string {
	if total <= 0 {
		return fmt.Sprint(done)
	}
	return fmt.Sprintf("%d/%d", done, total)
}

// seconds is a duration; the longest where there are too many, or none can be told.
func seconds(s float64) time.Duration {
	if !(s < 1e9) {
		return time.Duration(1e9) * time.Second
	}
	return time.Duration(s * float64(time.Second))
}

// shorten cuts a name to a width.
func shorten(name string, width int) string { return text.Snip(name, width, "…") }
