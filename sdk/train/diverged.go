package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// BestFile is the name of the file in the instance's folder with the best weights of a training that diverged: safetensors as a model's own weights, to be loaded and begun with. It
// goes when a later attempt comes to its end.
const BestFile = "best.safetensors"

// divergedFile tells the next attempt that this one diverged.
const divergedFile = "diverged.json"

type divergence struct {
	Identity string `json:"identity"`
	How      string `json:"how"`
}

// salvage keeps what was good of a training that diverged: the network has its best weights, they are in a file of their own, and the next attempt will know. What could be kept
// and that it diverged before is said in the error's hint. The checkpoint stays as it is: what has led here since then may be what is wrong.
func (t *trainer[F]) salvage(err error, e *component.DivergedError, before string) error {
	s, log := &t.state, t.config.Env.Log
	text, dir := err.Error(), t.config.Env.Dir
	if before != "" {
		e.Hint += "; it diverged when it was run before, too"
	}
	if s.epoch > 0 {
		copy(t.weights, t.best)
	}
	if dir == "" {
		return err
	}
	if s.epoch > 0 {
		file := filepath.Join(dir, BestFile)
		about := map[string]string{"format": "pt", "epoch": strconv.FormatInt(s.bestEpoch, 10)}
		if _, failed := t.write(BestFile, t.net.Params().Save(), about); failed != nil {
			log.Error("the best weights of the training that diverged are lost", "file", file, "epoch", s.bestEpoch, "error", failed)
		} else {
			log.Warn("the training diverged: its best weights are kept", "file", file, "epoch", s.bestEpoch, "loss", s.best)
			e.Hint += fmt.Sprintf("; the best weights, of epoch %d, are in %s", s.bestEpoch, file)
		}
	}
	b, failed := json.Marshal(divergence{t.config.identity(), text})
	if failed == nil {
		failed = renameio.WriteFile(filepath.Join(dir, divergedFile), b, 0o666, renameio.WithTempDir(dir))
	}
	if failed != nil {
		log.Error("that the training diverged cannot be noted for its next attempt", "error", failed)
	}
	return err
}

// divergedBefore says how the last attempt at this very training diverged, in the words of its error; empty where it did not.
func (t *trainer[F]) divergedBefore() string {
	if t.config.Env.Dir == "" {
		return ""
	}
	b, err := os.ReadFile(filepath.Join(t.config.Env.Dir, divergedFile))
	var d divergence
	if err != nil || json.Unmarshal(b, &d) != nil || d.Identity != t.config.identity() {
		return ""
	}
	return d.How
}

// recovered removes what an attempt that diverged has left, once the training has come to its end.
func (t *trainer[F]) recovered() error {
	if t.state.finished == byTime || t.divergedBefore() == "" {
		return nil
	}
	for _, name := range []string{BestFile, divergedFile} {
		if err := os.Remove(filepath.Join(t.config.Env.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("train: %w", err)
		}
	}
	return nil
}
