package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

// Run is one execution of an experiment: what goes into a run's folder beside the stages.
type Run struct {
	Experiment *experiment.Experiment
	Host       Host
	// Out is the run's folder. It is made; if it is there already it must be empty or a run of an experiment of the same name, which is then gone on with.
	Out string
	// Version is the program's.
	Version string
	// Command is the command line, for the provenance.
	Command []string
	// LogLevel of the run's log file.
	LogLevel slog.Level
}

// Execute runs the experiment into the folder: it writes the resolved experiment, runs the graph, gathers the results of all comparisons into
// results.json and says in provenance.json how it went. The folder is complete but for the report even where stages failed.
func (x Run) Execute(ctx context.Context) ([]Outcome, error) {
	if err := x.prepare(); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(x.Out, artifact.LogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	defer logFile.Close()
	x.Host.Log = slog.New(slog.NewJSONHandler(logFile, &slog.HandlerOptions{Level: x.LogLevel}))

	g, err := New(x.Experiment, x.Host)
	if err != nil {
		return nil, err
	}
	p := x.provenance(g)
	if err := p.Write(x.Out); err != nil {
		return nil, err
	}
	outcomes, runErr := g.Run(ctx, x.Out)
	p.Finished = time.Now().UTC()
	p.Status = "done"
	switch {
	case ctx.Err() != nil:
		p.Status = "interrupted"
	case runErr != nil:
		p.Status = "failed"
	}
	p.Stages = nil
	for _, o := range outcomes {
		s := artifact.StageUse{Stage: o.Stage, Key: o.Key, Stored: o.Status == Stored, Status: "done", Seconds: artifact.Number(o.Elapsed.Seconds()), Threads: o.Threads}
		if o.Err != nil {
			s.Status, s.Error = string(o.Status), o.Err.Error()
		}
		p.Stages = append(p.Stages, s)
	}
	return outcomes, errors.Join(runErr, x.gather(), p.Write(x.Out))
}

// ErrFolder is wrapped by the error of a run into a folder that holds something else.
var ErrFolder = errors.New("pipeline: run folder")

// clear removes what an earlier run linked into its folder, since its stages may not be those of this one; the store has them still. Other files
// are let be.
func (x Run) clear() error {
	stages := []string{artifact.TrainStage, artifact.SimulateStage}
	for _, kind := range []string{artifact.FitStage, artifact.CompareStage} {
		labels, err := os.ReadDir(filepath.Join(x.Out, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pipeline: run folder: %w", err)
		}
		for _, l := range labels {
			stages = append(stages, filepath.Join(kind, l.Name()))
		}
	}
	gone := []string{artifact.ResultsFile, artifact.ReportFile}
	for _, stage := range stages {
		sums, err := artifact.ReadSums(filepath.Join(x.Out, stage))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		gone = append(gone, filepath.Join(stage, artifact.SumsFile))
		for name := range sums {
			gone = append(gone, filepath.Join(stage, filepath.FromSlash(name)))
		}
	}
	for _, name := range gone {
		if err := os.Remove(filepath.Join(x.Out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pipeline: run folder: %w", err)
		}
	}
	return nil
}

// loads lists the paths that the experiment loads from, absolute.
func (x Run) loads() []string {
	var out []string
	if t := x.Experiment.Train; t != nil && t.Load != "" {
		out = append(out, t.Load)
	}
	if s := x.Experiment.Simulate; s != nil && s.Dataset != "" {
		out = append(out, s.Dataset)
	}
	for _, f := range x.Experiment.Fit {
		if f.Load != "" {
			out = append(out, f.Load)
		}
	}
	return out
}

// prepare makes the run's folder, or takes over that of an earlier run.
func (x Run) prepare() error {
	entries, err := os.ReadDir(x.Out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(x.Out, 0o777); err != nil {
			return fmt.Errorf("pipeline: run folder: %w", err)
		}
	case err != nil:
		return fmt.Errorf("pipeline: run folder: %w", err)
	case len(entries) > 0:
		p, err := artifact.ReadProvenance(x.Out)
		if err != nil {
			return fmt.Errorf("%w: %s is not empty and holds no run: choose another", ErrFolder, x.Out)
		}
		if p.Name != x.Experiment.Name {
			return fmt.Errorf("%w: %s holds a run of %q, not of %q: choose another", ErrFolder, x.Out, p.Name, x.Experiment.Name)
		}
		folder, err := filepath.Abs(x.Out)
		if err != nil {
			return fmt.Errorf("pipeline: run folder: %w", err)
		}
		for _, path := range x.loads() {
			if rel, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(rel) {
				return fmt.Errorf("%w: %s holds %s, which the experiment loads: choose another", ErrFolder, x.Out, rel)
			}
		}
		if err := x.clear(); err != nil {
			return err
		}
	}
	return artifact.WriteFile(filepath.Join(x.Out, artifact.ExperimentFile), x.Experiment.YAML())
}

// gather joins the results of the comparisons that are in the run's folder.
func (x Run) gather() error {
	var all artifact.Results
	for _, c := range x.Experiment.Compare {
		r, err := artifact.ReadResults(filepath.Join(x.Out, "compare", c.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it failed or was skipped, as the provenance says
		}
		if err != nil {
			return err
		}
		all.Metrics = append(all.Metrics, r.Metrics...)
	}
	return all.Write(x.Out)
}

func (x Run) provenance(g *Graph) artifact.Provenance {
	p := artifact.Provenance{
		Name: x.Experiment.Name, Status: "running", Host: x.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPU: processor(), Threads: x.Host.Threads, Started: time.Now().UTC(), Command: x.Command,
		Environment: environment(), Libraries: artifact.Libraries(),
	}
	var seen []string
	for _, s := range g.stages {
		for _, u := range s.uses {
			c, m := u.found.Plugin.Candidate, u.found.Plugin.Manifest
			if slices.Contains(seen, c.SHA256) {
				continue
			}
			seen = append(seen, c.SHA256)
			p.Plugins = append(p.Plugins, artifact.PluginUse{
				Name: m.Name, Version: m.Version, Path: c.Path, SHA256: c.SHA256, Language: m.Language, Build: m.Build, Numerics: m.Numerics,
			})
		}
	}
	slices.SortFunc(p.Plugins, func(a, b artifact.PluginUse) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return p
}

// environment is the variables that may change results or speed.
func environment() map[string]string {
	out := map[string]string{}
	for _, name := range []string{"CTDB_KERNEL_VARIANT", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOMAXPROCS"} {
		if v, ok := os.LookupEnv(name); ok {
			out[name] = v
		}
	}
	return out
}

// processor names the features that numerical code chooses by.
func processor() string {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ:
		return runtime.GOARCH + " with AVX-512"
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return runtime.GOARCH + " with AVX2 and FMA"
	}
	return runtime.GOARCH
}
