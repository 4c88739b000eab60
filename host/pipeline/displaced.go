package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// displaced is what the folder has of an earlier run that this one does not leave there.
type displaced struct {
	// removed are stages that this run has not, replaced those that it makes of other parameters, seeds, components or inputs: each with the number of the folders that have it.
	removed, replaced map[string]int
	// points are those of a study that this one has not.
	points []string
	// kept is whether the store has all of it.
	kept bool
}

// displaces compares what is in the folder of the graph's points with what a run will link there. It is told, not refused: to run a changed file again into the same folder is a way of working.
func (x Run) displaces(ctx context.Context, g *Graph, old *artifact.Study) *displaced {
	d := &displaced{removed: map[string]int{}, replaced: map[string]int{}, kept: true}
	dirs := map[string]bool{}
	for _, p := range g.points {
		dir := x.Out
		if x.isStudy() {
			dir = artifact.PointDir(x.Out, p.Name)
		}
		dirs[dir] = true
		run, err := artifact.OpenRun(dir)
		if err != nil {
			continue // there is none
		}
		other := map[*stage]bool{}
		stages := map[string]*stage{}
		for _, s := range p.stages { // each after those that it needs
			stages[s.local] = s
			other[s] = slices.ContainsFunc(s.needs, func(need *stage) bool { return other[need] })
			if st, ok := run.Stage(s.local); ok && !other[s] {
				other[s] = g.otherwise(s, st.Record)
			}
		}
		for _, st := range run.Stages() {
			switch s, ok := stages[st.Name]; {
			case !ok:
				d.removed[st.Name]++
			case other[s]:
				d.replaced[st.Name]++
			default:
				continue
			}
			d.keep(ctx, g, st)
		}
	}
	if !dirs[x.Out] {
		d.drop(ctx, g, x.Out)
	}
	if old == nil {
		return d
	}
	gone := old.Points
	if x.isStudy() {
		gone = otherPoints(old.Points, studyRecord(x.Study).Points)
	}
	for _, p := range gone {
		dir := artifact.PointDir(x.Out, p.Name)
		if dirs[dir] {
			continue // told above, stage by stage
		}
		if run, err := artifact.OpenRun(dir); err == nil {
			d.points = append(d.points, p.Name)
			for _, st := range run.Stages() {
				d.keep(ctx, g, st)
			}
		}
	}
	return d
}

// drop adds all stages of a folder that no longer has any.
func (d *displaced) drop(ctx context.Context, g *Graph, dir string) {
	run, err := artifact.OpenRun(dir)
	if err != nil {
		return
	}
	for _, st := range run.Stages() {
		d.removed[st.Name]++
		d.keep(ctx, g, st)
	}
}

func (d *displaced) keep(ctx context.Context, g *Graph, st artifact.Stage) {
	_, ok, err := g.host.Store.Lookup(ctx, st.Record.Key)
	d.kept = d.kept && ok && err == nil
}

// otherwise reports whether a stage is made of something else than what a record says, but for what comes of earlier stages.
func (g *Graph) otherwise(s *stage, was artifact.Record) bool {
	now, err := s.parts(nil).Flat()
	if err != nil || len(was.KeyParts) == 0 {
		return false // not known
	}
	const inputs = "inputs"
	own := func(parts map[string]string) map[string]string {
		out := whole(parts)
		maps.DeleteFunc(out, func(path, _ string) bool { return path == inputs || strings.HasPrefix(path, inputs+".") })
		return out
	}
	if !maps.Equal(own(now), own(was.KeyParts)) {
		return true
	}
	for name, f := range s.files {
		if f.from != nil {
			continue
		}
		if sum, err := g.hashes.file(f.file); err == nil && was.Inputs[name] != "" && was.Inputs[name] != sum {
			return true
		}
	}
	return false
}

// tell says it in the log, where there is anything to say.
func (d *displaced) tell(log *slog.Logger, out string) {
	var attrs []any
	add := func(key string, names []string) {
		if len(names) > 0 {
			attrs = append(attrs, key, english.OxfordWordSeries(names, "and"))
		}
	}
	counted := func(stages map[string]int) []string {
		names := slices.Sorted(maps.Keys(stages))
		for i, name := range names {
			if n := stages[name]; n > 1 {
				names[i] = fmt.Sprintf("%s of %d points", name, n)
			}
		}
		return names
	}
	points := d.points
	if more := len(points) - listed; more > 1 {
		points = append(slices.Clone(points[:listed]), fmt.Sprintf("%d more", more))
	}
	add("removed", counted(d.removed))
	add("removed_points", points)
	add("replaced", counted(d.replaced))
	if len(attrs) == 0 {
		return
	}
	message := filepath.Clean(out) + " held other results, which make way for this run's"
	if d.kept {
		message += "; the store keeps them, and the experiment that made them brings them back"
	}
	log.Warn(message, attrs...)
}
