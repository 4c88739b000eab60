package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ctdb-host/ctdb/host/artifact/tfevents"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// LiveDir is the folder in a run's, or a study's, with the curves of trainings that are in progress or did not come to their end. Of a shard it is named by [ShardFile].
// Within it a training is in the folder that its stage will have, of a study under the name of the first point that has the stage.
const LiveDir = "live"

// LiveMetrics writes the curves of a training while it goes on, for whoever watches: metrics.jsonl and an event file, as they will be in the stage's folder, line
// by line. Its methods may be called from several goroutines.
type LiveMetrics struct {
	mu     sync.Mutex
	files  []*os.File
	events *tfevents.Writer
}

// FollowMetrics begins the files in a folder, which is made if it is missing, anew.
func FollowMetrics(dir string) (*LiveMetrics, error) {
	err := os.MkdirAll(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o777) // RemoveLive took away what it found empty
	}
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	w := &LiveMetrics{}
	for _, name := range []string{MetricsFile, EventsFile} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("artifact: %w", err), w.Close())
		}
		w.files = append(w.files, f)
	}
	if w.events, err = tfevents.NewWriter(w.files[1]); err != nil {
		return nil, errors.Join(fmt.Errorf("artifact: %w", err), w.Close())
	}
	return w, nil
}

// Write adds a metric to both files at once.
func (w *LiveMetrics) Write(m component.Metric) error {
	b, err := line(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.files[0].Write(b); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	if err := w.events.Scalar(scalar(m)); err != nil {
		return fmt.Errorf("artifact: %s: %w", w.files[1].Name(), err)
	}
	return nil
}

// Close closes the files, which stay.
func (w *LiveMetrics) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// RemoveLive removes what is in progress of a stage, dir, from a folder of that, and what is empty then.
func RemoveLive(live, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	for dir != live && strings.HasPrefix(dir, live) {
		dir = filepath.Dir(dir)
		if os.Remove(dir) != nil {
			break // something else is in it
		}
	}
	return nil
}

// Live is a training that is in progress or did not come to its end.
type Live struct {
	// Name is that of its stage, and before it in a study the name of a point that has it, e.g. "fit/gru-64", "latent-8/train".
	Name, Dir string
}

// Live lists the trainings of the run that are in progress, or were when it ended, by name.
func (r *Run) Live() ([]Live, error) {
	roots, err := LiveDirs(r.dir)
	if err != nil {
		return nil, err
	}
	var out []Live
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it has just ended
			}
			if err == nil && d.Name() == MetricsFile && d.Type().IsRegular() {
				dir := filepath.Dir(path)
				rel, relErr := filepath.Rel(root, dir)
				if relErr != nil {
					return relErr
				}
				out = append(out, Live{Name: filepath.ToSlash(rel), Dir: dir})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("artifact: %w", err)
		}
	}
	slices.SortFunc(out, func(a, b Live) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

var liveForm = regexp.MustCompile(`^` + LiveDir + `(-[0-9]+-of-[0-9]+)?$`)

// LiveDirs lists the folders of that kind in a run's: several where shards share it.
func LiveDirs(run string) ([]string, error) {
	entries, err := os.ReadDir(run)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && liveForm.MatchString(e.Name()) {
			out = append(out, filepath.Join(run, e.Name()))
		}
	}
	return out, nil
}

// Metrics reads the curves so far. A line that is only half there is left out.
func (l Live) Metrics() ([]component.Metric, error) {
	path := filepath.Join(l.Dir, MetricsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	var out []component.Metric
	err = scanMetrics(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1]), path, func(m component.Metric) error {
		out = append(out, m)
		return nil
	})
	return out, err
}
