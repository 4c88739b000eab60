package conformity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// world is where the plugin runs: folders of its own for all that programs write to without being asked.
type world struct {
	root, home, temp, work, instances string
	// own is the folder with the plugin's executable, and had what was there before; nil where it is too large to be watched.
	own string
	had map[string]state
}

func newWorld(root, executable string) (*world, error) {
	real, err := filepath.EvalSymlinks(executable)
	if err != nil {
		return nil, err
	}
	w := &world{root: root, own: filepath.Dir(real)}
	if w.had, err = look(w.own); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		path *string
		name string
	}{{&w.home, "home"}, {&w.temp, "tmp"}, {&w.work, "work"}, {&w.instances, "instances"}} {
		*d.path = filepath.Join(root, d.name)
		if err := os.Mkdir(*d.path, 0o700); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// environment is where the process is told to write. Python finds the user's own packages all the same.
func (w *world) environment() map[string]string {
	set := map[string]string{
		"HOME": w.home, "TMPDIR": w.temp, "XDG_CACHE_HOME": filepath.Join(w.home, ".cache"), "XDG_CONFIG_HOME": filepath.Join(w.home, ".config"),
		"XDG_DATA_HOME": filepath.Join(w.home, ".local", "share"), "XDG_STATE_HOME": filepath.Join(w.home, ".local", "state"), "PYTHONDONTWRITEBYTECODE": "1",
	}
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("PYTHONUSERBASE") == "" {
		set["PYTHONUSERBASE"] = filepath.Join(home, ".local")
	}
	return set
}

// files reports what the plugin has left outside its folders.
func (w *world) files(v *plugintest.Verdict) error {
	var found []string
	for _, dir := range []string{w.home, w.temp, w.work} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := w.ownFolder(v); err != nil {
		return err
	}
	slices.Sort(found)
	names := map[string]string{w.home: "$HOME", w.temp: "$TMPDIR", w.work: "its working folder"}
	for _, path := range found {
		for dir, name := range names {
			if rest, ok := strings.CutPrefix(path, dir+string(filepath.Separator)); ok {
				v.Failf("it has written %q below %s: the folder that an instance is opened with is the only place to write to", rest, name)
			}
		}
	}
	return nil
}

// state is what a change of a file changes.
type state struct {
	size int64
	mode fs.FileMode
	at   time.Time
}

// maxWatched bounds how many files of a plugin's folder are looked at.
const maxWatched = 100_000

// look returns the files below a folder, without what others than the plugin write there at any time: Python's bytecode, of which the plugin is told to write none, and git's own. It is nil where
// there are too many.
func look(dir string) (map[string]state, error) {
	out := map[string]state{}
	errMany := errors.New("too many")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			return nil // it is not ours to read, or is gone
		case d.IsDir() && (d.Name() == "__pycache__" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case len(out) == maxWatched:
			return errMany
		}
		if info, err := d.Info(); err == nil {
			out[path] = state{info.Size(), info.Mode(), info.ModTime()}
		}
		return nil
	})
	if errors.Is(err, errMany) {
		return nil, nil
	}
	return out, err
}

// ownFolder reports what has changed in the plugin's own folder.
func (w *world) ownFolder(v *plugintest.Verdict) error {
	if w.had == nil {
		v.Notef("its own folder, %s, has more than %d files and was not watched", w.own, maxWatched)
		return nil
	}
	now, err := look(w.own)
	if err != nil {
		return err
	}
	var changes []string
	for path, s := range now {
		if was, ok := w.had[path]; !ok {
			changes = append(changes, fmt.Sprintf("written %q", path))
		} else if was != s {
			changes = append(changes, fmt.Sprintf("changed %q", path))
		}
	}
	for path := range w.had {
		if _, ok := now[path]; !ok && now != nil {
			changes = append(changes, fmt.Sprintf("removed %q", path))
		}
	}
	slices.Sort(changes)
	for _, change := range changes {
		v.Failf("it has %s in its own folder, or another program has meanwhile: an installed plugin that is changed is not started any more; the folder that an instance is opened with is the only place to write to", strings.Replace(change, w.own+string(filepath.Separator), "", 1))
	}
	return nil
}
