package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// CheckpointFile is the name of the checkpoint in the instance's folder. It is a safetensors file with the weights, the optimiser's means and the best weights
// (weights.NAME, mean.NAME, square.NAME, best.NAME), the network's buffers (buffer.NAME) and the state of the training.
const CheckpointFile = "checkpoint.safetensors"

// DamagedFile is the name of what was a checkpoint and is none any more.
const DamagedFile = "checkpoint.damaged.safetensors"

const checkpointFormat = "ctdb checkpoint 5"

// ErrCheckpoint is returned, wrapped, for a checkpoint of another training. One that is damaged is logged and set aside as [DamagedFile], and the training begins anew; one that cannot
// be read is an error and stays, since it may be whole.
var ErrCheckpoint = errors.New("train: unusable checkpoint")

// maxCheckpoint bounds what is read, in bytes.
const maxCheckpoint = 1 << 40

// checkpoint writes the state so that a crash at any moment leaves the old file or the new one, whole. A state with numbers that are not finite is not worth it: the old file stays.
func (t *trainer[F]) checkpoint() error {
	if t.config.Env.Dir == "" {
		return nil
	}
	if what, value := t.spoilt(); what != "" {
		t.saved = time.Now()
		t.config.Env.Log.Warn("no checkpoint is written over the last one: the training is diverging", "what", what, "value", value, "step", t.Steps)
		return nil
	}
	set, err := t.encode()
	if err != nil {
		return err
	}
	scored, err := json.Marshal(t.state.scored)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	metadata := map[string]string{"format": checkpointFormat, "identity": t.config.identity(), "columns": strings.Join(t.state.columns, "\n"), "scored": string(scored)}
	if metadata[contentKey], err = content(set, metadata); err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	sum, err := t.write(CheckpointFile, set, metadata)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	t.saved = time.Now()
	s := &t.state
	t.report.Checkpoint(component.Checkpoint{File: CheckpointFile, SHA256: sum, Step: t.Steps, Best: s.batch == 0 && s.epoch > 0 && s.bestEpoch == s.epoch-1})
	return nil
}

// write writes a file into the folder, whole or not at all, and returns its checksum.
func (t *trainer[F]) write(name string, set tensor.Set, metadata map[string]string) (sum string, err error) {
	dir := t.config.Env.Dir
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithTempDir(dir), renameio.WithPermissions(0o666))
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, hash), 1<<20)
	if err = tensor.WriteSafetensors(w, set, metadata); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.CloseAtomicallyReplace()
	} else {
		err = errors.Join(err, f.Cleanup())
	}
	if err == nil {
		err = syncDir(dir)
	}
	return hex.EncodeToString(hash.Sum(nil)), err
}

// sweep removes what a process that was killed while it wrote has left in the folder.
func (t *trainer[F]) sweep() error {
	entries, err := os.ReadDir(t.config.Env.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // writing says so
	}
	for _, e := range entries {
		for _, name := range []string{CheckpointFile, BestFile, divergedFile} {
			if rest, ok := strings.CutPrefix(e.Name(), "."+name); ok && strings.Trim(rest, "0123456789") == "" && e.Type().IsRegular() {
				err = errors.Join(err, os.Remove(filepath.Join(t.config.Env.Dir, e.Name())))
			}
		}
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (t *trainer[F]) arrays() map[string][]F {
	return map[string][]F{"weights.": t.weights, "mean.": t.mean, "square.": t.square, "best.": t.best}
}

func (t *trainer[F]) encode() (tensor.Set, error) {
	var set tensor.Set
	for prefix, flat := range t.arrays() {
		for _, p := range t.net.Params().SaveFlat(flat) {
			set = append(set, p.Named(prefix+p.Name))
		}
	}
	for _, b := range t.net.Params().SaveBuffers() {
		set = append(set, b.Named(bufferPrefix+b.Name))
	}
	s := &t.state
	set = append(set, tensor.FromInt("state.counts", []int64{t.Steps, s.epoch, s.batch, s.bestEpoch, s.sinceBest, s.finished, s.trials}, 7),
		tensor.From64("state.sums", append([]float64{s.best, s.last, s.lossSum, s.normSum, s.first}, s.termSums...), 5+len(s.termSums)))
	for _, h := range []struct {
		name string
		rows [][]float64
	}{{historyName, s.history}, {scoresName, s.scores}} {
		if len(h.rows) > 0 {
			set = append(set, tensor.From64(h.name, slices.Concat(h.rows...), len(h.rows), len(h.rows[0])))
		}
	}
	return set, set.Check()
}

const bufferPrefix = "buffer."

// The tables in a checkpoint.
const (
	historyName = "state.history"
	scoresName  = "state.scores"
)

// table reads one of them, whose rows have so many values; none where it is not there.
func table(set tensor.Set, name string, width int) (rows [][]float64, err error) {
	h := set.Get(name)
	if h == nil {
		return nil, nil
	}
	if h.F64 == nil || len(h.Shape) != 2 || h.Shape[1] != width {
		return nil, fmt.Errorf("the table %s has the wrong shape", name)
	}
	for row := range slices.Chunk(h.F64, width) {
		rows = append(rows, row)
	}
	return rows, nil
}

// restore reads the checkpoint; false where there is none.
func (t *trainer[F]) restore() (bool, error) {
	if t.config.Env.Dir == "" {
		return false, nil
	}
	if err := t.sweep(); err != nil {
		return false, fmt.Errorf("train: checkpoint: %w", err)
	}
	path := filepath.Join(t.config.Env.Dir, CheckpointFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("train: checkpoint: %w", err)
	}
	set, metadata, err := tensor.ReadSafetensors(bufio.NewReaderSize(f, 1<<20), maxCheckpoint)
	switch closeErr := f.Close(); {
	case err == nil && closeErr == nil:
		err = checkContent(set, metadata)
	case !errors.Is(err, tensor.ErrSafetensors):
		return false, fmt.Errorf("train: checkpoint %s: %w: try again, or remove it to begin anew", path, errors.Join(err, closeErr))
	}
	if err != nil {
		// The disk lost it: beginning anew costs time, going on from it would cost the result.
		aside := filepath.Join(t.config.Env.Dir, DamagedFile)
		t.config.Env.Log.Warn("the checkpoint is damaged: it is set aside and the training begins anew", "file", path, "aside", aside, "error", err)
		if err := os.Rename(path, aside); err != nil {
			return false, fmt.Errorf("train: checkpoint: %w", err)
		}
		return false, nil
	}
	if err := t.decode(set, metadata); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrCheckpoint, path, err)
	}
	t.saved = time.Now()
	return true, nil
}

// contentKey names the checksum among a checkpoint's metadata.
const contentKey = "sha256"

// content is the checksum of all that a checkpoint holds.
func content(set tensor.Set, metadata map[string]string) (string, error) {
	rest := maps.Clone(metadata)
	delete(rest, contentKey)
	sum := sha256.New()
	if err := tensor.WriteSafetensors(sum, set, rest); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func checkContent(set tensor.Set, metadata map[string]string) error {
	switch sum, err := content(set, metadata); {
	case err != nil:
		return err
	case sum != metadata[contentKey]:
		return fmt.Errorf("its checksum is %s, it says %q", sum, metadata[contentKey])
	}
	return nil
}

func (t *trainer[F]) decode(set tensor.Set, metadata map[string]string) error {
	if metadata["format"] != checkpointFormat {
		return fmt.Errorf("format %q, want %q: it is of another version, remove it to begin anew", metadata["format"], checkpointFormat)
	}
	if own := t.config.identity(); metadata["identity"] != own {
		return fmt.Errorf("it is of another training: %s, this one is %s", metadata["identity"], own)
	}
	counts, sums := set.Get("state.counts"), set.Get("state.sums")
	if counts == nil || counts.I64 == nil || counts.Len() != 7 || sums == nil || sums.F64 == nil || sums.Len() < 5 {
		return errors.New("the state is missing")
	}
	c := counts.I64
	for _, v := range c {
		if v < 0 {
			return fmt.Errorf("the state has a negative count: %v", c)
		}
	}
	if c[5] >= int64(len(stops)) {
		return fmt.Errorf("the state ended for an unknown reason: %d", c[5])
	}
	t.Steps = c[0]
	s := state{epoch: c[1], batch: c[2], bestEpoch: c[3], sinceBest: c[4], finished: c[5], trials: c[6],
		best: sums.F64[0], last: sums.F64[1], lossSum: sums.F64[2], normSum: sums.F64[3], first: sums.F64[4]}
	if sums.Len() > 5 {
		s.termSums = append([]float64(nil), sums.F64[5:]...)
	}
	if metadata["columns"] != "" {
		s.columns = strings.Split(metadata["columns"], "\n")
	}
	if err := json.Unmarshal([]byte(metadata["scored"]), &s.scored); err != nil {
		return fmt.Errorf("the names of what was scored: %w", err)
	}
	var err error
	if s.history, err = table(set, historyName, len(s.columns)+1); err != nil {
		return err
	}
	if s.scores, err = table(set, scoresName, len(s.scored)+1); err != nil {
		return err
	}
	if int64(len(s.history)) != s.epoch {
		return fmt.Errorf("the history has %d epochs of %d", len(s.history), s.epoch)
	}
	part := func(prefix string) (part tensor.Set) {
		for _, w := range set {
			if name, ok := strings.CutPrefix(w.Name, prefix); ok {
				part = append(part, w.Named(name))
			}
		}
		return part
	}
	for prefix, flat := range t.arrays() {
		if err := t.net.Params().LoadFlat(flat, part(prefix)); err != nil {
			return fmt.Errorf("%s: %w", prefix, err)
		}
	}
	if err := t.net.Params().LoadBuffers(part(bufferPrefix)); err != nil {
		return fmt.Errorf("%s: %w", bufferPrefix, err)
	}
	t.state = s
	return nil
}

// InvalidWeights turns an [*nn.MismatchError] into a component.InvalidArgumentError that lists all of it, with the nearest name of those that are missing for each
// that is not known; other errors stay.
func InvalidWeights(err error) error {
	var m *nn.MismatchError
	if !errors.As(err, &m) {
		return err
	}
	var e component.InvalidArgumentError
	add := func(hint, format string, args ...any) {
		e.Problems = append(e.Problems, param.Problem{Path: "weights", Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	var names []string
	for _, n := range m.Missing {
		names = append(names, n.Name)
		add("", "%s of shape %v is missing", n.Name, n.Shape)
	}
	for _, n := range m.Unknown {
		add(param.DidYouMean(n.Name, names), "%s of shape %v is not known to this model", n.Name, n.Shape)
	}
	for _, n := range m.Shapes {
		add("", "%s", n)
	}
	return &e
}
