package report

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// writtenFile lists the figures that the report wrote, so that a later one can remove those that are no longer part of it, and nothing else.
const writtenFile = ".written.json"

type written struct {
	Files []string `json:"files"`
}

// writeFigures writes the figures of a report, by their names within the run's folder, and returns what removes those of an earlier report that this one
// does not have. The list names a file before it is there and until it is gone, whenever the host ends.
func writeFigures(dir string, files map[string][]byte) (removeOld func() error, err error) {
	folder := filepath.Join(dir, artifact.FiguresDir)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	list := filepath.Join(folder, writtenFile)
	var before written
	if err := artifact.ReadJSON(list, &before); err != nil {
		before.Files = nil // none, or a list that cannot be trusted
	}
	now := written{Files: []string{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		now.Files = append(now.Files, filepath.Base(name))
	}
	old := slices.DeleteFunc(before.Files, func(name string) bool {
		return !isFigure(name) || slices.Contains(now.Files, name)
	})
	if err := artifact.WriteJSON(list, written{slices.Concat(now.Files, old)}); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := artifact.WriteFile(filepath.Join(dir, name), files[name]); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return func() error {
		for _, name := range old {
			if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("report: %w", err)
			}
		}
		if err := artifact.WriteJSON(list, now); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		return nil
	}, nil
}

// isFigure reports whether a name in a list is one that the report gives: nothing outside of the folder is ever removed, whatever the list says.
func isFigure(name string) bool {
	ext := filepath.Ext(name)
	stem := name[:len(name)-len(ext)]
	return (ext == ".svg" || ext == ".png") && stem != "" && fileName(stem) == stem
}
