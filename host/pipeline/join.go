package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// ErrStudies is wrapped where folders do not belong together, or are no studies.
var ErrStudies = errors.New("pipeline: joining studies")

// Join joins the folders of a study's shards in the folder out: each point is linked there, or copied, from where it came farthest, and study.json,
// experiment.yaml, results.json and the provenances are written. out may be one of the folders, or one into which they were joined before; else it must be
// empty or not exist. Without dirs the results of the points that are in out are gathered anew. Points that no folder has are left out: study.json still lists them.
// The error wraps ErrStudies where a folder is no study's or is another study's, and [artifact.ErrRunLocked] where another host writes into out.
func Join(ctx context.Context, out string, dirs []string) error {
	var study artifact.Study
	if len(dirs) == 0 {
		var err error
		if study, err = artifact.ReadStudy(out); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrStudies, out, err)
		}
		unlock, err := artifact.LockStudy(ctx, out)
		if err != nil {
			return err
		}
		return errors.Join(gather(out, study), unlock())
	}
	var runs []*artifact.Run
	first := ""
	for i, dir := range dirs {
		run, err := artifact.OpenRun(dir)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStudies, err)
		}
		s, ok := run.Study()
		if !ok {
			return fmt.Errorf("%w: %s is a single run: only the folders of a study's shards can be joined", ErrStudies, dir)
		}
		// Those of before there were checksums of points do not tell much.
		if i == 0 || study.Points[0].Experiment == "" {
			study, first = s, dir
		}
		runs = append(runs, run)
	}
	for i, run := range runs {
		if s, _ := run.Study(); !sameStudy(study, s) {
			return fmt.Errorf("%w: %s", ErrStudies, differs(first, study, dirs[i], s))
		}
	}
	if err := joinable(out, dirs, study); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return fmt.Errorf("%w: %w", ErrStudies, err)
	}
	unlock, err := artifact.LockRun(out)
	if err != nil {
		return err
	}
	return errors.Join(joinInto(ctx, out, study, runs), unlock())
}

// differs says in what two studies differ.
func differs(dirA string, a artifact.Study, dirB string, b artifact.Study) string {
	if a.Name != b.Name {
		return fmt.Sprintf("%s is of the study %q, %s of %q", dirA, a.Name, dirB, b.Name)
	}
	axes := func(s artifact.Study) string {
		var out []string
		for _, x := range s.Axes {
			out = append(out, fmt.Sprintf("%s (%d values)", x.Path, len(x.Values)))
		}
		return strings.Join(out, ", ")
	}
	if axes(a) != axes(b) {
		return fmt.Sprintf("%s varies %s; %s varies %s", dirA, axes(a), dirB, axes(b))
	}
	if points := otherPoints(a.Points, b.Points); len(points) > 0 && slices.EqualFunc(a.Points, b.Points, func(p, q artifact.StudyPoint) bool { return p.Name == q.Name }) {
		return fmt.Sprintf("%s and %s are studies of %q with the same points, at which they do not do the same: compare their %s", dirA, dirB, a.Name,
			filepath.Join(artifact.PointsDir, points[0].Name, artifact.ExperimentFile))
	}
	return fmt.Sprintf("%s and %s are studies of %q with other values of %s", dirA, dirB, a.Name, axes(a))
}

// joinable reports whether out may take the study.
func joinable(out string, dirs []string, study artifact.Study) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStudies, err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), artifact.LockFile) || litter.MatchString(e.Name())
	})
	if len(entries) == 0 || slices.ContainsFunc(dirs, func(d string) bool { return sameFolder(d, out) }) {
		return nil
	}
	old, err := artifact.ReadStudy(out)
	if err != nil || !sameStudy(old, study) {
		return fmt.Errorf("%w: %s is not empty and is not of this study: choose another", ErrFolder, out)
	}
	return nil
}

func sameFolder(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func joinInto(ctx context.Context, out string, study artifact.Study, runs []*artifact.Run) error {
	if err := study.Write(out); err != nil {
		return err
	}
	if yaml, err := runs[0].Experiment(); err == nil {
		if err := artifact.WriteFile(filepath.Join(out, artifact.ExperimentFile), yaml); err != nil {
			return err
		}
	}
	for _, p := range study.Points {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := farthest(p.Name, out, runs)
		if from == "" {
			continue
		}
		to := artifact.PointDir(out, p.Name)
		if err := errors.Join(clearRun(to), linkTree(from, to)); err != nil {
			return fmt.Errorf("pipeline: joining point %s: %w", p.Name, err)
		}
	}
	return errors.Join(gather(out, study), writeProvenance(out, study, runs))
}

// farthest is the folder of the run in which a point came farthest, and of several the one that ended last; empty where none has it, or where that is out itself.
func farthest(name, out string, runs []*artifact.Run) string {
	order := []artifact.PointState{artifact.PointDamaged, artifact.PointKilled, artifact.PointInterrupted, artifact.PointRunning, artifact.PointFailed, artifact.PointDone}
	best, where, ended := -1, "", time.Time{}
	consider := func(dir string) {
		run, err := artifact.OpenRun(artifact.PointDir(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		state, _ := artifact.Point{Run: run, Err: err}.State()
		at, finished := slices.Index(order, state), time.Time{}
		if err == nil {
			if p, err := run.Provenance(); err == nil {
				finished = p.Finished
			}
		}
		if at > best || at == best && finished.After(ended) {
			best, where, ended = at, artifact.PointDir(dir, name), finished
		}
	}
	consider(out)
	for _, r := range runs {
		if !sameFolder(r.Dir(), out) {
			consider(r.Dir())
		}
	}
	if where == artifact.PointDir(out, name) {
		return ""
	}
	return where
}

// writeProvenance says in out what the runs did together, in place of what shards said there each for itself.
func writeProvenance(out string, study artifact.Study, runs []*artifact.Run) error {
	var all []artifact.Provenance
	for _, r := range runs {
		p, err := r.Provenance()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.Status = r.Status()
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil
	}
	p := artifact.JoinProvenances(all)
	p.Name, p.Shard = study.Name, ""
	if p.Status == statusDone || p.Status == statusIncomplete {
		p.Status = statusDone
		for _, q := range study.Points {
			if _, err := os.Stat(filepath.Join(artifact.PointDir(out, q.Name), artifact.ProvenanceFile)); err != nil {
				p.Status = statusIncomplete
			}
		}
	}
	if err := p.Write(out); err != nil {
		return err
	}
	return dropShards(out)
}

// dropShards removes the provenances of shards.
func dropShards(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	for _, e := range entries {
		if shard, err := path.Match(artifact.ShardFile(artifact.ProvenanceFile, "*/*"), e.Name()); err != nil || !shard {
			continue
		}
		if err := remove(filepath.Join(out, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// statusIncomplete is that of joined shards that are all done where points are lacking.
const statusIncomplete = "incomplete"

// linkTree makes the files of a folder appear in another, as hard links or, where these cannot be had, as copies. What is there already is replaced; locks are left out.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o777)
		case !d.Type().IsRegular(), strings.HasPrefix(d.Name(), "."):
			return nil
		}
		if err := remove(target); err != nil {
			return err
		}
		if os.Link(file, target) == nil {
			return nil
		}
		return copyFile(file, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := renameio.NewPendingFile(to, renameio.WithTempDir(filepath.Dir(to)), renameio.WithStaticPermissions(info.Mode().Perm()))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// gather joins the results of a study's points that are in its folder, those of other shards included, in the order of the product. Results that cannot be read
// are an error, after the others have been written.
func gather(out string, study artifact.Study) error {
	var all artifact.Results
	var errs []error
	for _, p := range study.Points {
		r, err := artifact.ReadResults(artifact.PointDir(out, p.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, fmt.Errorf("point %s: %w", p.Name, err))
		default:
			all.Add(r)
		}
	}
	return errors.Join(writeResults(out, all, study.Axes), errors.Join(errs...))
}
