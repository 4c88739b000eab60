package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// plainEvery is the least time between two lines about the same stage where there is no terminal.
const plainEvery = 10 * time.Second

// redrawEvery is the time between two drawings of the bars.
const redrawEvery = 150 * time.Millisecond

// watch shows a run's progress: bars on a terminal, lines elsewhere, nothing if quiet.
type watch struct {
	out   io.Writer
	quiet bool
	// bars are nil where there is no terminal. They are drawn when refresh asks for it, until stopped.
	bars    *mpb.Progress
	refresh chan any
	stopped chan struct{}
	mu      sync.Mutex
	stage   map[string]*watched
}

type watched struct {
	bar   *mpb.Bar
	phase string
	// loss is the bits of a float64: bars are drawn by a goroutine of their own.
	loss atomic.Uint64
	// begun and from are when the phase was first heard of, and how far it was then.
	begun time.Time
	from  int64
	told  time.Time
}

var _ pipeline.Observer = (*watch)(nil)

func (p Program) newWatch(quiet bool) *watch {
	w := &watch{out: p.Err, quiet: quiet, stage: map[string]*watched{}}
	if f, ok := p.Err.(*os.File); ok && !quiet && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		w.drawOn(p.Err)
	}
	return w
}

// drawOn shows bars from now on.
func (w *watch) drawOn(out io.Writer) {
	w.refresh, w.stopped = make(chan any), make(chan struct{})
	w.bars = mpb.New(mpb.WithOutput(out), mpb.WithManualRefresh(w.refresh))
	go w.redraw()
}

// redraw asks for the bars to be drawn, several times a second.
func (w *watch) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case now := <-tick.C:
			select {
			case w.refresh <- now:
			case <-w.stopped:
				return
			}
		}
	}
}

// close draws the bars for the last time, with the lines that were said since the time before.
func (w *watch) close() {
	if w.bars == nil {
		return
	}
	w.mu.Lock()
	for _, s := range w.stage {
		if s.bar != nil {
			s.bar.Abort(false)
		}
	}
	w.mu.Unlock()
	close(w.stopped)
	select {
	case w.refresh <- time.Now():
	case <-time.After(redrawEvery): // nobody draws any more: the terminal is gone
	}
	w.bars.Wait()
}

// StageChanged says what became of a stage.
func (w *watch) StageChanged(stage string, status pipeline.Status, elapsed time.Duration, err error) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf("%-20s %s", stage, status)
	switch status {
	case pipeline.Running:
		w.stage[stage] = &watched{begun: time.Now()}
		if w.bars != nil {
			return
		}
	case pipeline.Done:
		line += " in " + human(elapsed)
	case pipeline.Failed, pipeline.Interrupted:
		line += " after " + human(elapsed)
	case pipeline.Skipped:
		line += ": " + err.Error()
	}
	if s := w.stage[stage]; s != nil && s.bar != nil {
		s.bar.Abort(true)
		s.bar.Wait()
		s.bar = nil
	}
	w.say(line)
}

func (w *watch) say(line string) {
	if w.bars != nil {
		fmt.Fprintln(w.bars, line)
		return
	}
	fmt.Fprintln(w.out, line)
}

// StageProgress moves a stage's bar, or says a line now and then.
func (w *watch) StageProgress(stage string, p component.Progress) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stage[stage]
	if s == nil {
		return
	}
	if s.phase != p.Phase {
		s.phase, s.begun, s.from, s.told = p.Phase, time.Now(), p.Done, time.Time{}
		if s.bar != nil {
			s.bar.Abort(true)
			s.bar = nil
		}
	}
	s.loss.Store(math.Float64bits(p.Loss))
	if w.bars != nil {
		w.draw(stage, s, p)
		return
	}
	if time.Since(s.told) < plainEvery && p.Done != p.Total {
		return
	}
	s.told = time.Now()
	w.say(plainLine(stage, s, p))
}

func (w *watch) draw(stage string, s *watched, p component.Progress) {
	if s.bar == nil {
		s.bar = w.bars.AddBar(p.Total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-20s %-9s", stage, p.Phase)), decor.CountersNoUnit("%d/%d", decor.WCSyncWidth)),
			mpb.AppendDecorators(
				decor.AverageSpeed(0, "%.1f/s", decor.WCSyncSpace),
				decor.Any(func(decor.Statistics) string {
					loss := math.Float64frombits(s.loss.Load())
					if math.IsNaN(loss) {
						return ""
					}
					return fmt.Sprintf("loss %.4g", loss)
				}, decor.WCSyncSpace),
				decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), decor.Name(" left"),
			))
	}
	s.bar.SetTotal(p.Total, false)
	s.bar.SetCurrent(p.Done)
}

func plainLine(stage string, s *watched, p component.Progress) string {
	line := fmt.Sprintf("%-20s %s %d", stage, p.Phase, p.Done)
	if p.Total > 0 {
		line += fmt.Sprintf("/%d", p.Total)
	}
	if !math.IsNaN(p.Loss) {
		line += fmt.Sprintf("  loss %.4g", p.Loss)
	}
	if spent := time.Since(s.begun); p.Done > s.from && spent > time.Second {
		rate := float64(p.Done-s.from) / spent.Seconds()
		line += fmt.Sprintf("  %.1f/s", rate)
		if p.Total > p.Done {
			line += "  " + human(time.Duration(float64(p.Total-p.Done)/rate*float64(time.Second))) + " left"
		}
	}
	return line
}
