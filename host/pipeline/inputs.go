package pipeline

import (
	"fmt"
	"os"
	"sync"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

// isFile reports whether there is a regular file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// hashes are the content hashes of files, each computed once: many stages read the same.
type hashes struct {
	mu    sync.Mutex
	files map[string]func() (string, error)
	sums  map[string]func() (artifact.Sums, error)
}

// file is the hash of a file of the user's.
func (h *hashes) file(path string) (string, error) {
	h.mu.Lock()
	if h.files == nil {
		h.files = map[string]func() (string, error){}
	}
	once, ok := h.files[path]
	if !ok {
		once = sync.OnceValues(func() (string, error) { return artifact.HashFile(path) })
		h.files[path] = once
	}
	h.mu.Unlock()
	return once()
}

// entry is the hash of a file of a stored entry, from its list of checksums, which the store has compared with the bytes.
func (h *hashes) entry(e store.Entry, file string) (string, error) {
	h.mu.Lock()
	if h.sums == nil {
		h.sums = map[string]func() (artifact.Sums, error){}
	}
	once, ok := h.sums[e.Dir]
	if !ok {
		once = sync.OnceValues(func() (artifact.Sums, error) { return artifact.ReadSums(e.Dir) })
		h.sums[e.Dir] = once
	}
	h.mu.Unlock()
	sums, err := once()
	if err != nil {
		return "", err
	}
	sum, ok := sums[file]
	if !ok {
		return "", fmt.Errorf("pipeline: %s has no file %s", e.Dir, file)
	}
	return sum, nil
}

// locate returns the paths of a stage's inputs and the hashes of their contents. Stages that it needs must be in entries.
func (g *Graph) locate(s *stage, entries func(*stage) store.Entry) (paths, sums map[string]string, err error) {
	paths, sums = map[string]string{}, map[string]string{}
	for name, f := range s.files {
		path := f.file
		var sum string
		if f.from != nil {
			e := entries(f.from)
			path = e.Path(f.file)
			sum, err = g.hashes.entry(e, f.file)
		} else {
			sum, err = g.hashes.file(path)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		paths[name], sums[name] = path, sum
	}
	return paths, sums, nil
}
