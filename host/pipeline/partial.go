package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

// A training that a limit of time ended is no result of its stage: the next run of the stage goes on with it. What came of it so far is put into the store all the
// same, for the stages after it, under a key of its own: that of the stage with the setting stopped, which says after how many steps.

// stoppedByTime is what a component says of such a training, and stoppedSetting the setting of its key.
const (
	stoppedByTime  = "time"
	stoppedSetting = "stopped"
)

// stopped reports whether a limit of time ended the training.
func stopped(t *artifact.TrainSummary) bool { return t != nil && t.Stopped == stoppedByTime }

// afterSteps is how a record and a log say it.
func afterSteps(t *artifact.TrainSummary) string {
	return fmt.Sprintf("a limit of time ended the training after %d steps, %d whole epochs", t.Steps, t.Epochs)
}

// partly makes the record that of what came of a training so far.
func (r *running) partly() error {
	t := r.record.Train
	parts := r.parts
	parts.Settings = maps.Clone(parts.Settings)
	if parts.Settings == nil {
		parts.Settings = map[string]any{}
	}
	parts.Settings[stoppedSetting] = map[string]any{"by": stoppedByTime, "steps": t.Steps}
	key, err := parts.Key()
	if err != nil {
		return err
	}
	flat, err := parts.Flat()
	if err != nil {
		return err
	}
	r.record.Key, r.record.KeyParts, r.record.Deterministic = key, flat, false
	r.record.Notes = append(r.record.Notes, afterSteps(t)+": it depends on the machine's speed, and is not what the experiment would give")
	r.log.Warn(afterSteps(t)+"; run it again to go on with it", "limit", r.maxTime.String())
	return nil
}

// keepPart puts what came of a training so far into the store, from the work on the stage, of which the checkpoint stays.
func (g *Graph) keepPart(ctx context.Context, key string, work *store.Work) (store.Entry, error) {
	part, found, err := g.host.Store.Begin(ctx, key)
	if err != nil {
		return store.Entry{}, err
	}
	if part == nil {
		return *found, work.Abort()
	}
	entries, err := os.ReadDir(work.Dir())
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(work.Dir(), e.Name()), filepath.Join(part.Dir(), e.Name())))
	}
	if err != nil {
		return store.Entry{}, errors.Join(fmt.Errorf("pipeline: %w", err), part.Abort())
	}
	entry, err := part.Commit()
	if err != nil {
		return store.Entry{}, errors.Join(err, part.Abort())
	}
	return entry, work.Abort()
}

// whole are the parts of a key without what makes it that of a training that was stopped.
func whole(parts map[string]string) map[string]string {
	out := maps.Clone(parts)
	maps.DeleteFunc(out, func(path, _ string) bool { return strings.HasPrefix(path, "settings."+stoppedSetting+".") })
	return out
}
