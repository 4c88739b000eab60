package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

// folders is where a run writes: its folder, and in a study the folders of its points. It is the graph's recipient.
//
// A point's folder is taken when the first stage begins that no other point has, and given back when its last stage has ended; one that has no such
// stage, or whose stages were all stored, is filled at its end. So a study has few folders open at a time, however many points wait for a stage that they share.
type folders struct {
	run    Run
	graph  *Graph
	about  artifact.Provenance
	log    *slog.Logger
	store  *store.Store
	unlock func() error
	// displaced is what an earlier run had in the folder and this one has not.
	displaced *displaced

	mu       sync.Mutex
	outcomes map[*stage]Outcome
	broken   []error
	points   map[*point]*pointFolder
}

// pointFolder is the folder of a point; that of the run where there are no axes.
type pointFolder struct {
	*folders
	point *point
	dir   string

	mu      sync.Mutex
	left    int // stages that have not ended
	begun   time.Time
	opened  bool
	release func() error // the lock, where the folder has one of its own
	// linked are the stages that are in the folder, or why they are not.
	linked map[*stage]error
	// err is why the folder cannot be written.
	err error
}

var _ recipient = (*folders)(nil)

func newFolders(x Run, g *Graph) *folders {
	f := &folders{
		run: x, graph: g, about: x.about(), log: g.host.Log, store: g.host.Store,
		outcomes: map[*stage]Outcome{}, points: make(map[*point]*pointFolder, len(g.points)),
	}
	for _, p := range g.points {
		pf := &pointFolder{folders: f, point: p, dir: x.Out, left: len(p.stages), linked: map[*stage]error{}}
		if x.isStudy() {
			pf.dir = artifact.PointDir(x.Out, p.Name)
		}
		f.points[p] = pf
	}
	return f
}

// failed lists the points whose folders could not be written.
func (f *folders) failed() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

func (f *folders) begins(s *stage) {
	if len(s.points) == 1 {
		p := f.points[s.points[0]]
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open()
	}
}

// live is in the run's folder, not in a point's, which is not taken while a stage of several points runs.
func (f *folders) live(s *stage) string {
	dir := f.liveDir()
	if f.run.isStudy() {
		dir = filepath.Join(dir, s.points[0].Name)
	}
	return filepath.Join(dir, s.folder())
}

func (f *folders) liveDir() string {
	return filepath.Join(f.run.Out, artifact.ShardFile(artifact.LiveDir, f.run.shard()))
}

// ended links what a stage made into the folders that are open, and completes those that it was the last of. The error is that of a single experiment's
// folder; a study's points fail each on its own.
func (f *folders) ended(s *stage, o Outcome) error {
	f.mu.Lock()
	f.outcomes[s] = o
	f.mu.Unlock()
	var err error
	for _, p := range s.points {
		pf := f.points[p]
		pf.mu.Lock()
		pf.left--
		if pf.opened {
			err = pf.link(s)
		}
		if pf.left == 0 && f.run.isStudy() {
			pf.complete()
		}
		pf.mu.Unlock()
	}
	// The curves of a stage that failed or was cut short stay to be looked at until the next run.
	if o.Err == nil {
		if liveErr := artifact.RemoveLive(f.liveDir(), f.live(s)); liveErr != nil {
			f.log.Warn("curves that were followed", "stage", s.name, "error", liveErr)
		}
	}
	if f.run.isStudy() {
		return nil
	}
	return err
}

// open takes the folder and puts into it what every run's has from its start. The point's lock is held.
func (p *pointFolder) open() {
	if p.opened || p.err != nil {
		return
	}
	p.begun = time.Now().UTC()
	p.err = p.take()
	p.opened = p.err == nil
}

func (p *pointFolder) take() error {
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	release, err := artifact.LockRun(p.dir)
	if err != nil {
		return err
	}
	p.release = release
	return p.head(p.begun)
}

// head makes the folder that of a run in progress: what an earlier one linked into it goes, since its stages may not be those of this one.
func (p *pointFolder) head(begun time.Time) error {
	if err := sweep(p.dir); err != nil {
		return err
	}
	if err := p.provenance(p.point.stages, p.point, begun).Write(p.dir); err != nil {
		return err
	}
	if err := clearRun(p.dir); err != nil {
		return err
	}
	return artifact.WriteFile(filepath.Join(p.dir, artifact.ExperimentFile), p.point.Experiment.YAML())
}

// link puts a stage that is done into the folder, once.
func (p *pointFolder) link(s *stage) error {
	o := p.outcome(s)
	if o.Err != nil || o.Entry.Key == "" {
		return nil
	}
	if _, done := p.linked[s]; !done {
		p.linked[s] = p.store.Link(o.Entry, filepath.Join(p.dir, s.folder()))
	}
	return p.linked[s]
}

func (f *folders) outcome(s *stage) Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.outcomes[s]
}

// complete fills the folder of a study's point whose stages have all ended and gives it back. One that was never begun and that the run did not get to stays as
// it is.
func (p *pointFolder) complete() {
	outcomes := make([]Outcome, len(p.point.stages))
	for i, s := range p.point.stages {
		outcomes[i] = p.outcome(s)
	}
	if !p.opened && p.err == nil && statusOf(outcomes) == statusInterrupted {
		return
	}
	p.open()
	err := p.err
	if p.opened {
		for i, s := range p.point.stages {
			if failed := p.link(s); failed != nil {
				outcomes[i].Status, outcomes[i].Err = Failed, failed
				err = errors.Join(err, failed)
			}
		}
		err = errors.Join(err, p.tail(outcomes, statusOf(outcomes)))
	}
	if p.release != nil {
		err = errors.Join(err, p.release())
	}
	if err == nil {
		p.log.Debug("point", "point", p.point.Name, "status", statusOf(outcomes))
		return
	}
	p.log.Error("point", "point", p.point.Name, "error", err)
	p.folders.mu.Lock()
	defer p.folders.mu.Unlock()
	p.broken = append(p.broken, fmt.Errorf("point %s: %w", p.point.Name, err))
}

// tail writes what a run's folder has at its end.
func (p *pointFolder) tail(outcomes []Outcome, status string) error {
	results, err := p.results()
	if err == nil {
		err = writeResults(p.dir, results, nil)
	}
	out := p.provenance(p.point.stages, p.point, p.begun)
	out.Finished, out.Status = time.Now().UTC(), status
	for i, s := range p.point.stages {
		out.Stages = append(out.Stages, stageUse(s.local, outcomes[i]))
	}
	return errors.Join(err, out.Write(p.dir))
}

// results joins those of the comparisons that are in the folder, with the point that they belong to.
func (p *pointFolder) results() (artifact.Results, error) {
	var all artifact.Results
	for _, c := range p.point.Experiment.Compare {
		r, err := artifact.ReadResults(filepath.Join(p.dir, artifact.CompareStage, c.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it failed or was skipped, as the provenance says
		}
		if err != nil {
			return all, err
		}
		for i := range r.Metrics {
			r.Metrics[i].Point = p.point.Values
		}
		all.Add(r)
	}
	return all, nil
}

func writeResults(dir string, r artifact.Results, axes []artifact.StudyAxis) error {
	return errors.Join(r.Write(dir), r.WriteTable(dir, axes))
}

// begin writes what the folder has from the start: after it, the folder is known as that of this run.
func (f *folders) begin() error {
	if f.run.isStudy() {
		return f.provenance(f.graph.stages, nil, f.about.Started).Write(f.run.Out)
	}
	p := f.points[f.graph.points[0]]
	p.begun, p.opened = f.about.Started, true
	return p.head(p.begun)
}

// finish writes what the folder has at its end.
func (f *folders) finish(ctx context.Context, outcomes []Outcome, status string) error {
	if !f.run.isStudy() {
		return f.points[f.graph.points[0]].tail(outcomes, status)
	}
	out := f.provenance(f.graph.stages, nil, f.about.Started)
	out.Finished, out.Status = time.Now().UTC(), status
	for i, s := range f.graph.stages {
		out.Stages = append(out.Stages, stageUse(s.name, outcomes[i]))
	}
	unlock, err := artifact.LockStudy(ctx, f.run.Out)
	if err != nil {
		return errors.Join(err, out.Write(f.run.Out))
	}
	return errors.Join(gather(f.run.Out, studyRecord(f.run.Study)), out.Write(f.run.Out), unlock())
}
