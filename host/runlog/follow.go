package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLine bounds a line: a longer one is dropped. maxRead bounds what one Poll reads of a file, so that a log of gigabytes does not stand in memory.
const (
	maxLine = 4 << 20
	maxRead = 16 << 20
)

// Follower reads the logs of a run's folder. It must be closed.
type Follower struct {
	dir, file string
	tails     map[string]*tail
}

// Follow follows the log of the given name, e.g. "log.jsonl", in a folder, and those of shards beside it, e.g. "log-1-of-4.jsonl". Neither need be there yet.
func Follow(dir, file string) *Follower {
	return &Follower{dir: dir, file: file, tails: map[string]*tail{}}
}

// Poll returns the records that were written since it was last called, in the order of their times; more is true where there is more to read at
// once. A log that is replaced or cut short is read again from its start. What is no record is passed over, and so is a last line that is not yet
// complete, until it is.
func (f *Follower) Poll() (records []Record, more bool, err error) {
	ext := filepath.Ext(f.file)
	stem := strings.TrimSuffix(f.file, ext)
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("runlog: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		shard := strings.HasPrefix(name, stem+"-") && strings.HasSuffix(name, ext) && strings.Contains(name, "-of-")
		if (name == f.file || shard) && f.tails[name] == nil {
			f.tails[name] = &tail{path: filepath.Join(f.dir, name)}
		}
	}
	var errs []error
	for _, t := range f.tails {
		got, rest, err := t.poll()
		records, more = append(records, got...), more || rest
		errs = append(errs, err)
	}
	if len(f.tails) > 1 {
		slices.SortStableFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	}
	return records, more, errors.Join(errs...)
}

// Close closes the logs.
func (f *Follower) Close() error {
	var errs []error
	for _, t := range f.tails {
		errs = append(errs, t.close())
	}
	clear(f.tails)
	return errors.Join(errs...)
}

// tail reads one file as it grows.
type tail struct {
	path string
	file *os.File
	at   int64
	// part is the beginning of a line whose end has not been read; long is true while a line is dropped.
	part []byte
	long bool
}

func (t *tail) poll() ([]Record, bool, error) {
	var out []Record
	if t.file != nil {
		info, err := os.Stat(t.path)
		same := false
		if err == nil {
			if own, ownErr := t.file.Stat(); ownErr == nil {
				same = os.SameFile(info, own)
			}
		}
		if !same {
			// It was renamed or removed: what it has is still to be read, and then what is in its place.
			got, more, err := t.read()
			if more || err != nil {
				return got, more, err
			}
			out = got
			if err := t.close(); err != nil {
				return out, false, err
			}
		} else if info.Size() < t.at {
			t.at, t.part, t.long = 0, nil, false
		}
	}
	if t.file == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, fs.ErrNotExist) {
			return out, false, nil
		}
		if err != nil {
			return out, false, fmt.Errorf("runlog: %w", err)
		}
		t.file, t.at, t.part, t.long = f, 0, nil, false
	}
	got, more, err := t.read()
	return append(out, got...), more, err
}

// read reads what there is from where it stopped, up to maxRead.
func (t *tail) read() ([]Record, bool, error) {
	var out []Record
	buffer := make([]byte, 64<<10)
	for total := 0; total < maxRead; {
		n, err := t.file.ReadAt(buffer, t.at)
		t.at += int64(n)
		total += n
		out = append(out, t.lines(buffer[:n])...)
		if errors.Is(err, io.EOF) {
			return out, false, nil
		}
		if err != nil {
			return out, false, fmt.Errorf("runlog: %w", err)
		}
	}
	return out, true, nil
}

func (t *tail) lines(data []byte) []Record {
	var out []Record
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if !t.long {
			t.part = append(t.part, line...)
		}
		if len(t.part) > maxLine {
			t.part, t.long = nil, true
		}
		if !ended {
			return out
		}
		if r, ok := parse(t.part); ok && !t.long {
			out = append(out, r)
		}
		t.part, t.long = t.part[:0], false
	}
	return out
}

func (t *tail) close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	if err != nil {
		return fmt.Errorf("runlog: %w", err)
	}
	return nil
}
