package launch

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
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

// settle kills and removes, until for a while there was nothing left to do: a plugin that was just being started shows its mark, and makes files, only once it runs.
func (e *estate) settle() {
	const (
		patience = 5 * time.Second
		grace    = 100 * time.Millisecond
		pause    = 5 * time.Millisecond
	)
	quiet := time.Now().Add(grace)
	for limit := time.Now().Add(patience); time.Now().Before(limit) && time.Now().Before(quiet); time.Sleep(pause) {
		if e.kill()+e.remove() > 0 {
			quiet = time.Now().Add(grace)
		}
	}
}

// kill kills what there is, and returns how much that was.
func (e *estate) kill() (found int) {
	for _, g := range e.groups {
		if killGroupOf(g) {
			found++
		}
	}
	for folder, m := range e.folders {
		if m.Marks {
			found += killMarked(markOf(folder))
		}
	}
	return found
}

// remove removes the folders that are there, and returns how many those were. There is nobody to tell of one that cannot be removed: it is tried again.
func (e *estate) remove() (found int) {
	for folder, m := range e.folders {
		if info, err := os.Lstat(folder); err == nil && info.IsDir() && m.ID != nil && identity(info) == *m.ID {
			found++
			_ = removeFolder(folder)
		}
	}
	return found
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
