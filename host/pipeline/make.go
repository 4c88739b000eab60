package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/store"
)

// stopTimeout bounds how long a plugin may take to end in good order.
const stopTimeout = 5 * time.Second

// execution is the execution of one stage in a run.
type execution struct {
	graph *Graph
	stage *stage
	// inputs are the entries of the stages that it needs.
	inputs map[*stage]store.Entry
	lease  *lease
	to     recipient
	// waits is called once where another process turns out to be running the stage, after its threads were given back.
	waits func()
}

// execute finds the stage's entry in the store, or makes it.
func (e *execution) execute(ctx context.Context) Outcome {
	began := time.Now()
	o := Outcome{Stage: e.stage.name, Threads: e.lease.threads, From: e.stage.from()}
	settle := func(err error) {
		if o.Err = err; err != nil {
			o.Status = Failed
			if ctx.Err() != nil {
				o.Status = Interrupted
			}
		}
	}
	settle(e.obtain(ctx, &o))
	if o.Err == nil {
		settle(e.graph.remember(e.stage, o.Key))
	}
	o.Elapsed = time.Since(began)
	if err := e.to.ended(e.stage, o); err != nil {
		settle(errors.Join(o.Err, err))
	}
	e.graph.host.Observer.StageChanged(e.stage.name, o.Status, o.Elapsed, o.Err)
	return o
}

// obtain sets the outcome's key, entry and status.
func (e *execution) obtain(ctx context.Context, o *Outcome) error {
	g, s := e.graph, e.stage
	paths, hashes, err := g.locate(s, func(from *stage) store.Entry { return e.inputs[from] })
	if err != nil {
		return err
	}
	parts := s.parts(hashes)
	if o.Key, err = parts.Key(); err != nil {
		return err
	}
	var ok bool
	if o.Entry, ok, err = g.host.Store.Lookup(ctx, o.Key); err != nil || ok {
		o.Status = Stored
		return err
	}
	e.to.begins(s)
	work, found, err := g.host.Store.Begin(ctx, o.Key, store.Waiting(func(h store.Holder) {
		if e.lease.held {
			e.lease.giveBack()
			e.waits()
		}
		g.host.Observer.StageChanged(s.name, Waiting, 0, fmt.Errorf("it is run by %s", h))
	}))
	if err != nil {
		return err
	}
	if work == nil {
		o.Entry, o.Status = *found, Stored
		return nil
	}
	// Whoever had the threads meanwhile does not wait for this entry while it has them.
	err = e.lease.take(ctx)
	if err == nil {
		g.host.Observer.StageChanged(s.name, Running, 0, nil)
		err = g.attempts(ctx, s, parts, paths, work, e.lease.threads, e.to.live(s), o)
	}
	switch {
	case err != nil:
	case o.Stopped:
		o.Entry, err = g.keepPart(ctx, o.Key, work)
	default:
		o.Entry, err = work.Commit()
	}
	if err != nil {
		return errors.Join(err, work.Abort())
	}
	o.Status = Done
	return nil
}

// attempts makes a stage's files in a work folder: a second time where a plugin died or hung in the first, which leaves nothing behind but checkpoints, from
// which a training goes on. So what comes out is the same.
func (g *Graph) attempts(ctx context.Context, s *stage, parts KeyParts, paths map[string]string, work *store.Work, threads int, live string, o *Outcome) error {
	log := g.host.Log.With("stage", s.name)
	for {
		rec, err := s.newRecord(o.Key, parts)
		if err != nil {
			return err
		}
		r := &running{
			stage: s, parts: parts, record: rec, dir: work.Dir(), scratch: work.Scratch(), threads: threads, checkpointEvery: g.host.CheckpointEvery, maxTime: g.host.MaxTime,
			memory: g.host.Memory, inputs: paths, live: live, observer: g.host.Observer, log: log, procs: map[string]*launch.Process{},
		}
		log.Info("start", "key", o.Key, "threads", threads)
		err = r.attempt(ctx, g.host.Stall)
		if err == nil {
			o.Key, o.Stopped = r.record.Key, stopped(r.record.Train)
			log.Info("done")
			return nil
		}
		if o.Retried != nil || ctx.Err() != nil || !repeatable(err) {
			if o.Retried != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w\n(it was the second attempt: in the first, %s)", err, firstLine(o.Retried))
			}
			log.Error("failed", "error", err)
			return err
		}
		o.Retried = err
		log.Warn("the plugin died or hung: one more attempt", "error", err)
		if err := empty(work.Dir()); err != nil {
			return err
		}
	}
}

// attempt calls the stage's components once, and ends their plugins.
func (r *running) attempt(ctx context.Context, stall time.Duration) error {
	watched, done := r.watch(ctx, stall)
	err := r.body(r, watched)
	if cause := done(); cause != nil {
		err = cause
	}
	// A cancelled stage still ends its plugins in good order, so that a training writes its checkpoint.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := r.stop(stopping); stopErr != nil {
		r.log.Warn("stopping plugins", "error", stopErr)
	}
	if err == nil && stopped(r.record.Train) {
		err = r.partly()
	}
	if err != nil {
		return err
	}
	return r.record.Write(r.dir)
}

// empty removes what is in a folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("pipeline: %w", err)
		}
	}
	return nil
}

// lastFile names the file that remembers the key that a stage of this study last had, for Plan to say what changed.
func (g *Graph) lastFile(s *stage) string {
	file := s.folder()
	if s.name != s.local {
		sum := sha256.Sum256([]byte(s.name))
		file += "@" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(g.host.Store.Dir(), "last", g.study.Name, file+".json")
}

type lastKey struct {
	Key string `json:"key"`
}

// remember notes the key of a stage.
func (g *Graph) remember(s *stage, key string) error {
	file := g.lastFile(s)
	var last lastKey
	if artifact.ReadJSON(file, &last) == nil && last.Key == key {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	return artifact.WriteJSON(file, lastKey{key})
}
