package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// spool holds blocks in files of a folder, to be read again.
type spool struct {
	dir    string
	blocks []spooled
	// release tells the janitor that the folder is gone.
	release func()
}

// spooled is what a file of arrays does not hold of a block.
type spooled struct {
	trials []int64
	axes   map[string][]string
	units  map[string]string
}

// newSpool makes a spool in a folder of its own, in place of the one that a host left there which was killed. The context's janitor removes it if this host is.
func newSpool(ctx context.Context, under string) (*spool, error) {
	dir, err := filepath.Abs(filepath.Join(under, "spool"))
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	release, err := launch.JanitorOf(ctx).Guard(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &spool{dir: dir, release: release}, nil
}

func (s *spool) file(i int) string { return filepath.Join(s.dir, fmt.Sprintf("%06d.safetensors", i)) }

func (s *spool) write(b tensor.Block) (err error) {
	f, err := os.Create(s.file(len(s.blocks)))
	if err != nil {
		return fmt.Errorf("pipeline: spooling trials: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("pipeline: spooling trials: %w", closeErr)
		}
	}()
	if err := tensor.WriteSafetensors(f, b.Arrays, nil); err != nil {
		return fmt.Errorf("pipeline: spooling trials: %w", err)
	}
	about := spooled{trials: slices.Clone(b.Trials), axes: map[string][]string{}, units: map[string]string{}}
	for _, t := range b.Arrays {
		about.axes[t.Name], about.units[t.Name] = t.Axes, t.Unit
	}
	s.blocks = append(s.blocks, about)
	return nil
}

// read gives the blocks in order, as often as wanted.
func (s *spool) read() tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for i, about := range s.blocks {
			arrays, _, err := artifact.ReadWeights(s.file(i))
			if err != nil {
				yield(tensor.Block{}, fmt.Errorf("pipeline: spooled trials: %w", err))
				return
			}
			for _, t := range arrays {
				t.Axes, t.Unit = about.axes[t.Name], about.units[t.Name]
			}
			if !yield(tensor.Block{Trials: about.trials, Arrays: arrays}, nil) {
				return
			}
		}
	}
}

// remove removes the files. What cannot be removed goes with the folder that the spool is in.
func (s *spool) remove() {
	_ = os.RemoveAll(s.dir)
	s.release()
}
