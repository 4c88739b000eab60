package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What is a kind of thing in a store's folder.
type What string

// The kinds of things that GC removes.
const (
	EntryKind    What = "entry"
	Scratch      What = "checkpoints" // of work that a run would go on with
	Unfinished   What = "unfinished"  // half an entry, which is of no use
	DamagedEntry What = "damaged"     // moved aside
	LockFile     What = "lock"        // that nobody holds
	Temporary    What = "temporary"   // a file that was never renamed into place
	UseRecord    What = "use record"  // of an entry that is gone
)

// DefaultScratch is how long checkpoints of unfinished work are kept.
const DefaultScratch = 14 * 24 * time.Hour

// Rules say what GC removes.
type Rules struct {
	// Select picks the entries that may be removed; nil picks none.
	Select func(Info) bool
	// MaxBytes, if above 0, has those of them removed that were not used for the longest time, until what the store's entries take alone ([Info.Alone]) is at most so much, and
	// no more; of entries with links elsewhere nothing is gained, so they stay. If 0, all that are picked are removed.
	MaxBytes int64
	// Scratch is how long the checkpoints of unfinished work are kept after they last changed; 0 for DefaultScratch, negative for none at all.
	Scratch time.Duration
	// DryRun removes nothing, and says what would be.
	DryRun bool
}

// Removal is something that was removed, or would be.
type Removal struct {
	What What
	// Key that it belongs to; empty where it belongs to none.
	Key, Path string
	// Bytes that it holds, and of these the ones that are Freed on the disk: those of files that have no other link.
	Bytes, Freed int64
	// Kept says why it was left though the rules picked it, e.g. because a host uses it; empty where it was removed.
	Kept string
}

// GC removes entries by rules, and what dead hosts left: half entries, checkpoints that are too old, damaged entries, lock files, temporary files. What a running host makes or
// uses stays. It goes on after errors, and returns what was removed until then.
func (s *Store) GC(ctx context.Context, rules Rules) ([]Removal, error) {
	if s.readOnly && !rules.DryRun {
		return nil, &FolderError{Dir: s.dir, What: "it was opened to be read only", Do: "open it for writing"}
	}
	rules.Scratch = cmp.Or(rules.Scratch, DefaultScratch)
	var out []Removal
	var errs []error
	if rules.Select != nil {
		removed, err := s.removeEntries(ctx, rules)
		out, errs = append(out, removed...), append(errs, err)
	}
	for _, step := range []func(Rules) ([]Removal, error){
		s.removeScratch,
		func(r Rules) ([]Removal, error) { return s.sweepWork(r.DryRun) },
		s.removeDamaged,
		func(r Rules) ([]Removal, error) { return s.sweepLocks(locksDir, r.DryRun) },
		func(r Rules) ([]Removal, error) { return s.sweepFiles(r.DryRun) },
		s.removeUses,
	} {
		if err := ctx.Err(); err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		removed, err := step(rules)
		for _, r := range removed {
			// What only would be removed is met again within a folder that would be.
			if !slices.ContainsFunc(out, func(o Removal) bool { return o.Kept == "" && within(o.Path, r.Path) }) {
				out = append(out, r)
			}
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return out, explain(s.dir, "remove it by hand, or as its owner", err)
	}
	return out, nil
}

// within reports whether a path is a folder or in it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

func (s *Store) removeEntries(ctx context.Context, rules Rules) ([]Removal, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Info) int { return a.Used.Compare(b.Used) })
	var total int64
	for _, i := range all {
		total += i.Alone
	}
	in := &readers{store: s}
	var out []Removal
	var errs []error
	for _, i := range all {
		if err := ctx.Err(); err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		if rules.MaxBytes > 0 && (total <= rules.MaxBytes || i.Alone == 0) || !rules.Select(i) {
			continue
		}
		kept, err := s.remove(ctx, i.Key, in, rules.DryRun)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if kept == "" {
			total -= i.Alone
		}
		out = append(out, Removal{What: EntryKind, Key: i.Key, Path: i.Dir, Bytes: i.Bytes, Freed: i.Alone, Kept: kept})
	}
	return out, errors.Join(errs...)
}

// remove takes an entry out of the store, unless it is locked or in use: then it says why not.
func (s *Store) remove(ctx context.Context, key string, in *readers, dry bool) (kept string, err error) {
	if dry {
		if held(s.lockPath(key)) {
			return "locked by " + s.holder(key).String(), nil
		}
		return usedBy(in, key)
	}
	l, err := s.tryLock(key)
	if err != nil {
		return "", err
	}
	if l == nil {
		return "locked by " + s.holder(key).String(), nil
	}
	defer func() { err = errors.Join(err, l.release()) }()
	if kept, err := s.takeOut(ctx, key, in); kept != "" || err != nil {
		return kept, err
	}
	s.forget(key)
	if err := os.Remove(s.usesPath(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("store: %w", err)
	}
	_, err = s.clear(key, []string{filepath.Join(s.workRoot(key), goneName)}, false)
	return "", err
}

// takeOut renames an entry into the work folder, so that it is gone at once, while no host can begin to use it.
func (s *Store) takeOut(ctx context.Context, key string, in *readers) (kept string, err error) {
	turn, err := s.lockGC(ctx, flocker.TryLock)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, turn.Close()) }()
	if kept, err := usedBy(in, key); kept != "" || err != nil {
		return kept, err
	}
	gone := filepath.Join(s.workRoot(key), goneName)
	if err := removeAll(gone); err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.workRoot(key), 0o777); err != nil {
		return "", err
	}
	if err := os.Rename(s.entryDir(key), gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return "", toDisk(filepath.Dir(s.entryDir(key)))
}

func usedBy(in *readers, key string) (string, error) {
	host, err := in.who(key)
	if host == "" || err != nil {
		return "", err
	}
	return "in use by the running host " + host, nil
}

// removeScratch removes the work folders whose checkpoints are too old.
func (s *Store) removeScratch(rules Rules) (out []Removal, err error) {
	keys, err := names(filepath.Join(s.dir, workDir))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, key := range keys {
		root := s.workRoot(key)
		if !keyForm.MatchString(key) || !exists(filepath.Join(root, scratchName)) || time.Since(measure(root).changed) < rules.Scratch {
			continue
		}
		removed, err := s.withKey(key, rules.DryRun, func() ([]Removal, error) {
			// Somebody may have gone on with it before the lock was had.
			if !exists(root) || time.Since(measure(root).changed) < rules.Scratch {
				return nil, nil
			}
			return s.clear(key, []string{root}, rules.DryRun)
		})
		for i := range removed {
			removed[i].What = Scratch
		}
		out, errs = append(out, removed...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

func (s *Store) removeDamaged(rules Rules) (out []Removal, err error) {
	left, err := s.Leftovers(context.Background())
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, l := range left {
		if l.What != DamagedEntry {
			continue
		}
		freed := measure(l.Path).alone
		if !rules.DryRun {
			if err := removeAll(l.Path); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		out = append(out, Removal{What: DamagedEntry, Key: l.Key, Path: l.Path, Bytes: l.Bytes, Freed: freed})
	}
	return out, errors.Join(errs...)
}

// removeUses removes what is remembered of entries that are gone.
func (s *Store) removeUses(rules Rules) (out []Removal, err error) {
	keys, err := names(filepath.Join(s.dir, usesDir))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, key := range keys {
		if !keyForm.MatchString(key) || exists(s.entryDir(key)) {
			continue
		}
		removed, err := s.withKey(key, rules.DryRun, func() ([]Removal, error) {
			if exists(s.entryDir(key)) {
				return nil, nil
			}
			if !rules.DryRun {
				switch err := os.Remove(s.usesPath(key)); {
				case errors.Is(err, os.ErrNotExist):
					return nil, nil // another host was faster
				case err != nil:
					return nil, fmt.Errorf("store: %w", err)
				}
			}
			return []Removal{{What: UseRecord, Key: key, Path: s.usesPath(key)}}, nil
		})
		out, errs = append(out, removed...), append(errs, err)
	}
	return out, errors.Join(errs...)
}
