package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/store"
)

// stopTimeout bounds how long a plugin may take to end in good order.
const stopTimeout = 5 * time.Second

// ErrStages is wrapped by the error of a run in which stages failed.
var ErrStages = errors.New("stages failed")

// Outcome is how one stage of a run ended.
type Outcome struct {
	Stage   string
	Status  Status
	Key     string
	Entry   store.Entry
	Err     error
	Elapsed time.Duration
	Threads int
}

// state of a run: what is known of each stage so far.
type state struct {
	mu      sync.Mutex
	done    map[*stage]Outcome
	waiters map[*stage]chan struct{}
}

// Run runs every stage and links what they make into out, a folder that exists. It returns the outcome of every stage, in order; the error wraps ErrStages
// where stages failed, and is the context's where the run was cut short. The first failure keeps the stages that depend on it
// from running; the others finish.
func (g *Graph) Run(ctx context.Context, out string) ([]Outcome, error) {
	st := &state{done: map[*stage]Outcome{}, waiters: map[*stage]chan struct{}{}}
	for _, s := range g.stages {
		st.waiters[s] = make(chan struct{})
	}
	b := budget{jobs: semaphore.NewWeighted(int64(g.host.Jobs)), threads: semaphore.NewWeighted(int64(g.host.Threads))}
	var wg sync.WaitGroup
	for _, s := range g.stages {
		wg.Go(func() {
			o := g.await(ctx, s, st, b, out)
			st.mu.Lock()
			st.done[s] = o
			st.mu.Unlock()
			close(st.waiters[s])
		})
	}
	wg.Wait()
	outcomes := make([]Outcome, len(g.stages))
	var errs []error
	for i, s := range g.stages {
		outcomes[i] = st.done[s]
		if err := outcomes[i].Err; err != nil && outcomes[i].Status == Failed {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	if err := ctx.Err(); err != nil {
		return outcomes, errors.Join(append([]error{err}, errs...)...)
	}
	if len(errs) > 0 {
		return outcomes, errors.Join(append([]error{ErrStages}, errs...)...)
	}
	return outcomes, nil
}

// budget is what the running stages share.
type budget struct{ jobs, threads *semaphore.Weighted }

// share is the number of threads that a stage may keep busy: all of them, divided among the stages that may run beside it because they are as deep in the
// graph. What a stage computes does not depend on it.
func (g *Graph) share(s *stage) int {
	beside := 0
	for _, o := range g.stages {
		if o.depth() == s.depth() {
			beside++
		}
	}
	return max(1, g.host.Threads/min(g.host.Jobs, beside))
}

// depth is the length of the longest way to a stage.
func (s *stage) depth() int {
	d := 0
	for _, n := range s.needs() {
		d = max(d, n.depth()+1)
	}
	return d
}

// await waits for what a stage needs, then executes it.
func (g *Graph) await(ctx context.Context, s *stage, st *state, b budget, out string) Outcome {
	skipped := func(err error) Outcome {
		g.host.Observer.StageChanged(s.name, Skipped, 0, err)
		return Outcome{Stage: s.name, Status: Skipped, Err: err}
	}
	for _, need := range s.needs() {
		<-st.waiters[need]
		st.mu.Lock()
		o := st.done[need]
		st.mu.Unlock()
		if o.Err != nil {
			return skipped(fmt.Errorf("it needs %s", need.name))
		}
	}
	if err := b.jobs.Acquire(ctx, 1); err != nil {
		return skipped(err)
	}
	defer b.jobs.Release(1)
	threads := g.share(s)
	if err := b.threads.Acquire(ctx, int64(threads)); err != nil {
		return skipped(err)
	}
	defer b.threads.Release(int64(threads))
	began := time.Now()
	o := Outcome{Stage: s.name, Threads: threads}
	o.Key, o.Entry, o.Status, o.Err = g.execute(ctx, s, st, threads)
	if o.Err == nil {
		o.Err = g.host.Store.Link(o.Entry, filepath.Join(out, s.folder()))
	}
	if o.Err == nil {
		o.Err = g.remember(s, o.Key)
	}
	if o.Err != nil {
		o.Status = Failed
		if ctx.Err() != nil {
			o.Status = Interrupted
		}
	}
	o.Elapsed = time.Since(began)
	g.host.Observer.StageChanged(s.name, o.Status, o.Elapsed, o.Err)
	return o
}

// locate returns the paths of a stage's inputs and the hashes of their contents. Stages that it needs must be in entries.
func (s *stage) locate(entries func(*stage) store.Entry) (paths, hashes map[string]string, err error) {
	paths, hashes = map[string]string{}, map[string]string{}
	for name, f := range s.files {
		path := f.file
		if f.from != nil {
			path = entries(f.from).Path(f.file)
		}
		sum, err := artifact.HashFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		paths[name], hashes[name] = path, sum
	}
	return paths, hashes, nil
}

// execute finds a stage's entry in the store, or makes it.
func (g *Graph) execute(ctx context.Context, s *stage, st *state, threads int) (string, store.Entry, Status, error) {
	paths, hashes, err := s.locate(func(from *stage) store.Entry {
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.done[from].Entry
	})
	if err != nil {
		return "", store.Entry{}, Failed, err
	}
	parts := s.parts(hashes)
	key, err := parts.Key()
	if err != nil {
		return "", store.Entry{}, Failed, err
	}
	if e, ok, err := g.host.Store.Lookup(ctx, key); err != nil {
		return key, e, Failed, err
	} else if ok {
		return key, e, Stored, nil
	}
	work, found, err := g.host.Store.Begin(ctx, key)
	if err != nil {
		return key, store.Entry{}, Failed, err
	}
	if work == nil {
		return key, *found, Stored, nil
	}
	e, err := g.make(ctx, s, key, parts, paths, work, threads)
	if err != nil {
		return key, store.Entry{}, Failed, errors.Join(err, work.Abort())
	}
	return key, e, Done, nil
}

// make runs a stage in a work folder and commits it.
func (g *Graph) make(ctx context.Context, s *stage, key string, parts KeyParts, paths map[string]string, work *store.Work, threads int) (store.Entry, error) {
	g.host.Observer.StageChanged(s.name, Running, 0, nil)
	rec, err := s.newRecord(key, parts)
	if err != nil {
		return store.Entry{}, err
	}
	r := &running{
		stage: s, parts: parts, record: rec, dir: work.Dir(), scratch: work.Scratch(), threads: threads, checkpointEvery: g.host.CheckpointEvery, inputs: paths,
		observer: g.host.Observer, log: g.host.Log.With("stage", s.name), procs: map[string]*launch.Process{},
	}
	r.log.Info("start", "key", key, "threads", threads)
	err = s.body(r, ctx)
	// A cancelled stage still ends its plugins in good order, so that a training writes its checkpoint.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := r.stop(stopping); stopErr != nil {
		r.log.Warn("stopping plugins", "error", stopErr)
	}
	if err != nil {
		r.log.Error("failed", "error", err)
		return store.Entry{}, err
	}
	if err := r.record.Write(r.dir); err != nil {
		return store.Entry{}, err
	}
	e, err := work.Commit()
	r.log.Info("done")
	return e, err
}

// lastFile names the file that remembers the key that a stage of this experiment last had, for Plan to say what changed.
func (g *Graph) lastFile(s *stage) string {
	return filepath.Join(g.host.Store.Dir(), "last", g.exp.Name, s.folder()+".json")
}

type lastKey struct {
	Key string `json:"key"`
}

func (g *Graph) remember(s *stage, key string) error {
	file := g.lastFile(s)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	return artifact.WriteJSON(file, lastKey{key})
}
