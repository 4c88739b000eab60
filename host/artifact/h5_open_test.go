package artifact

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestNoProcessInheritsFiles starts processes that stay while files are written and read: none of them may hold on to a file, and so to the library's lock on it.
func TestNoProcessInheritsFiles(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	var starter sync.WaitGroup
	starter.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			cmd := exec.Command("sleep", "100")
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
		}
	})
	defer starter.Wait()
	defer close(done)
	for i := range 60 {
		path := filepath.Join(dir, fmt.Sprintf("%d.h5", i))
		w, err := CreateArrays(path, ArraysOptions{Trials: map[task.Split]int{task.Train: 1}})
		if err != nil {
			t.Fatal(err)
		}
		b := tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.New64("rates", 1, 3, 2)}}
		if err := w.Write(task.Train, b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := OpenArrays(path)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}
