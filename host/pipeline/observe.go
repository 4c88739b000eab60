package pipeline

import (
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Status is how a stage stands.
type Status string

// The states of a stage.
const (
	Running Status = "running"
	Done    Status = "done"
	Stored  Status = "stored"
	Failed  Status = "failed"
	Skipped Status = "skipped"
	// Interrupted is a stage that was cut short; it goes on from its last checkpoint when it is run again.
	Interrupted Status = "interrupted"
	// Waiting is a stage that another process is running already: its result will serve both.
	Waiting Status = "waiting"
)

// Observer is told what happens in a run. Its methods are called from several goroutines and must not block for long.
type Observer interface {
	// StageChanged tells a stage's new status; err is set for Failed and Interrupted, and says for Skipped what it depended on and for Waiting who runs it.
	StageChanged(stage string, status Status, elapsed time.Duration, err error)
	// StageProgress tells how far a running stage is.
	StageProgress(stage string, p component.Progress)
}

// Unobserved is an Observer that ignores everything.
type Unobserved struct{}

var _ Observer = Unobserved{}

// StageChanged does nothing.
func (Unobserved) StageChanged(string, Status, time.Duration, error) {}

// StageProgress does nothing.
func (Unobserved) StageProgress(string, component.Progress) {}

// reporter takes the events of one call: curves go to the stage's metrics files and, as they grow, to the folder for that, figures to its folder, progress to the
// observer.
type reporter struct {
	r       *running
	metrics *artifact.MetricsWriter
	mu      sync.Mutex
	// live is begun with the first metric; alone is true where nobody follows, or no more since it could not be written.
	live  *artifact.LiveMetrics
	alone bool
	err   error
}

var _ component.Reporter = (*reporter)(nil)

func (r *running) reporter() (*reporter, error) {
	w, err := artifact.CreateMetrics(r.dir)
	if err != nil {
		return nil, err
	}
	return &reporter{r: r, metrics: w, alone: r.live == ""}, nil
}

// follow writes a point of a curve for whoever follows. Where it cannot, the training goes on alone.
func (p *reporter) follow(v component.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alone {
		return
	}
	var err error
	if p.live == nil {
		p.live, err = artifact.FollowMetrics(p.r.live)
	}
	if err == nil {
		err = p.live.Write(v)
	}
	if err != nil {
		p.r.log.Warn("the curves cannot be followed", "folder", p.r.live, "error", err)
		p.unfollow()
	}
}

// unfollow ends what is written for whoever follows. The stage's own files have it all.
func (p *reporter) unfollow() {
	if p.live != nil {
		_ = p.live.Close()
	}
	p.live, p.alone = nil, true
}

func (p *reporter) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// Progress passes on to the observer.
func (p *reporter) Progress(v component.Progress) { p.r.showed(v) }

// Metric writes a point of a curve.
func (p *reporter) Metric(v component.Metric) {
	p.r.pulse.beat()
	if err := p.metrics.Write(v); err != nil {
		p.fail(err)
	}
	p.follow(v)
}

// Figure stores a figure; one that cannot be drawn fails the stage.
func (p *reporter) Figure(f component.Figure) {
	p.r.pulse.beat()
	if err := artifact.WriteFigure(p.r.dir, f); err != nil {
		p.fail(err)
	}
}

// Checkpoint is noted in the log.
func (p *reporter) Checkpoint(c component.Checkpoint) {
	p.r.pulse.beat()
	p.r.log.Debug("checkpoint", "file", c.File, "step", c.Step, "sha256", c.SHA256, "best", c.Best)
}

// close completes the metrics file and returns the first error there was.
func (p *reporter) close() error {
	if err := p.metrics.Close(); err != nil {
		p.fail(err)
	}
	return p.err
}

// abort removes an incomplete metrics file.
func (p *reporter) abort() {
	p.metrics.Abort()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unfollow()
}
