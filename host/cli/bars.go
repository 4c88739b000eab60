package cli

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	// redrawEvery is the time between two drawings of the bars.
	redrawEvery = 150 * time.Millisecond
	// narrow is below how many columns bars do without their phase.
	narrow = 60
)

// bars are one for each running stage, and a line below them about all. They are drawn when refresh asks for it, until stopped.
type bars struct {
	screen   screen
	progress *mpb.Progress
	refresh  chan any
	stopped  chan struct{}
	last     *mpb.Bar
	text     atomic.Pointer[string]
}

// bar is a stage's.
type bar struct {
	bar *mpb.Bar
	// pace is what stands behind the bar: it is drawn by a goroutine of its own.
	pace atomic.Pointer[string]
}

func newBars(s screen) *bars {
	b := &bars{screen: s, refresh: make(chan any), stopped: make(chan struct{})}
	b.progress = mpb.New(mpb.WithOutput(s.out), mpb.WithManualRefresh(b.refresh))
	go b.redraw()
	return b
}

// redraw asks for the bars to be drawn, several times a second.
func (b *bars) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stopped:
			return
		case now := <-tick.C:
			select {
			case b.refresh <- now:
			case <-b.stopped:
				return
			}
		}
	}
}

// summary sets the last line.
func (b *bars) summary(line string) {
	b.text.Store(&line)
	if b.last == nil {
		b.last = b.progress.New(1, mpb.NopStyle(), mpb.BarRemoveOnComplete(), mpb.BarPriority(math.MaxInt32), mpb.BarFillerTrim(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *b.text.Load() })))
	}
}

// say writes a line above the bars.
func (b *bars) say(line string) { fmt.Fprintln(b.progress, line) }

// add adds a bar.
func (b *bars) add(stage, phase string) *bar {
	out := &bar{}
	none := ""
	out.pace.Store(&none)
	width := b.screen.columns()
	name := stage
	if width > 0 {
		name = shorten(stage, max(width/3, 2*narrowest))
	}
	before := []decor.Decorator{decor.Name(name, decor.WCSyncSpaceR)}
	if width == 0 || width >= narrow {
		before = append(before, decor.Name(phase, decor.WCSyncSpaceR))
	}
	before = append(before, decor.Any(func(s decor.Statistics) string { return counter(s.Current, s.Total) }, decor.WCSyncWidth))
	out.bar = b.progress.AddBar(0, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(before...),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + *out.pace.Load() }, decor.WCSyncWidthR)))
	return out
}

// move sets how far the stage is, and what stands behind.
func (b *bar) move(p component.Progress, pace string) {
	b.pace.Store(&pace)
	b.bar.SetTotal(p.Total, false)
	b.bar.SetCurrent(p.Done)
}

// remove takes the bar away, and returns when it is.
func (b *bar) remove() {
	b.bar.Abort(true)
	b.bar.Wait()
}

// close draws for the last time, with the lines that were said since the time before, and leaves no bar.
func (b *bars) close() {
	if b.last != nil {
		b.last.Abort(true)
	}
	close(b.stopped)
	select {
	case b.refresh <- time.Now():
	case <-time.After(redrawEvery): // nobody draws any more: the terminal is gone
	}
	b.progress.Wait()
}
