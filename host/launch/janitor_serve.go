package launch

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// ServeJanitor is the whole main of a janitor's process; host is its standard input. It returns when the host is gone and everything that it had registered is done away with.
func ServeJanitor(host io.Reader) {
	// It ends when its host has ended, whatever is sent to everybody.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	setName("ctdb-janitor")
	e := estate{folders: map[string]message{}, groups: map[int]group{}}
	lines := bufio.NewScanner(host)
	lines.Buffer(nil, 2*maxMessage)
	for lines.Scan() {
		var m message
		// A line that cannot be read is one that was not written whole.
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			e.take(m)
		}
	}
	e.settle()
}

// estate is what a host leaves behind.
type estate struct {
	folders map[string]message
	groups  map[int]group
}

func (e *estate) take(m message) {
	switch {
	case m.Guard != nil:
		e.folders[string(m.Guard)] = m
	case m.Release != nil:
		delete(e.folders, string(m.Release))
	case m.Group != nil:
		e.groups[m.Group.PID] = *m.Group
	case m.Ended != 0:
		delete(e.groups, m.Ended)
	}
}

// settle kills and removes.
func (e *estate) settle() {
	const (
		patience = 5 * time.Second
		pause    = 5 * time.Millisecond
	)
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(pause) {
		left := 0
		for _, g := range e.groups {
			if killGroupOf(g) {
				left++
			}
		}
		for folder, m := range e.folders {
			if m.Marks {
				left += killMarked(markOf(folder))
			}
		}
		if left == 0 {
			break
		}
	}
	for folder := range maps.Keys(e.folders) {
		m := e.folders[folder]
		if info, err := os.Lstat(folder); err == nil && info.IsDir() && m.ID != nil && identity(info) == *m.ID {
			// There is nobody left to tell.
			_ = removeFolder(folder)
		}
	}
}

// removeFolder removes a folder with what is in it, also where a plugin has taken rights away from itself.
func removeFolder(folder string) error {
	err := os.RemoveAll(folder)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(folder)
}
