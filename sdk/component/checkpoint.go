package component

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// WriteCheckpoint writes the file c.File of the private folder by write, so that whatever happens the file of before is there or the new one, whole, and announces it with its checksum. Where
// the host gives no folder it does nothing.
func (e Env) WriteCheckpoint(c Checkpoint, report Reporter, write func(io.Writer) error) (err error) {
	if e.Dir == "" {
		return nil
	}
	if c.File != filepath.Base(c.File) || c.File == "." || c.File == ".." || c.File == string(filepath.Separator) {
		return fmt.Errorf("component: checkpoint %q: the name of a file in the instance's folder is needed", c.File)
	}
	failed := func(err error) error { return fmt.Errorf("component: checkpoint %s: %w", c.File, err) }
	// With the permissions of other files, so that who shares the host's store can go on from it.
	f, err := os.OpenFile(filepath.Join(e.Dir, fmt.Sprintf("%s.%016x", c.File, rand.Uint64())), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return failed(err)
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	if err = write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(e.Dir, c.File))
	}
	if err != nil {
		return failed(errors.Join(err, os.Remove(f.Name())))
	}
	c.SHA256 = hex.EncodeToString(sum.Sum(nil))
	report.Checkpoint(c)
	return nil
}
