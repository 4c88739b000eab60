package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

func (p Program) compareCommand() *cli.Command {
	return &cli.Command{
		Name: "compare", Usage: "compare runs, or models of runs, without an experiment file", ArgsUsage: "RUN|MODEL [RUN|MODEL ...]", OnUsageError: onUsage,
		Description: "Each argument is a run's folder, for all its models, or a model's within it (RUN/train, RUN/fit/NAME). The first run's data set is what is compared on: models that were\n" +
			"fitted to it stand side by side, and networks that other runs trained on the same task are run over its trials.",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "use", Usage: "compare by this `COMPARATOR`, e.g. comparator/dsa (may be repeated)", DefaultText: "those of the runs"},
			&cli.StringFlag{Name: "name", Usage: "call the comparison `NAME`", DefaultText: "compare"},
			&cli.BoolFlag{Name: "print", Usage: "print the experiment file that this comes to, and run nothing"},
			rootFlag(),
		}, runFlags()...),
		Action: func(c *cli.Context) error {
			data, notes, err := comparisonOf(c)
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintf(p.Err, "left out: %s\n", n)
			}
			if c.Bool("print") {
				_, err := p.Out.Write(data)
				return err
			}
			return p.runExperiment(c, source{"comparison", data})
		},
	}
}

// compared is an argument of the command: a run, with those of its models that are meant.
type compared struct {
	run *artifact.Run
	// label is what the run is called in the names of its models.
	label string
	// network says whether the trained network is meant, and fits which fits are.
	network bool
	fits    []artifact.Stage
	exp     *experiment.Experiment
	// dataset is the file of the run's data set, empty where there is none, and hash that of its contents.
	dataset, hash string
}

// comparisonOf is the experiment that a command line of compare comes to, and what is left out of it and why.
func comparisonOf(c *cli.Context) (data []byte, notes []string, err error) {
	if c.Args().Len() == 0 {
		return nil, nil, usagef("compare: a run's folder, or that of a model in one, is needed, got no arguments")
	}
	var runs []*compared
	for _, arg := range c.Args().Slice() {
		if runs, err = meant(c, runs, arg); err != nil {
			return nil, nil, err
		}
	}
	first := runs[0]
	if first.dataset == "" {
		return nil, nil, usagef("%s has no data set, neither simulated nor given, that models could be compared on", first.run.Dir())
	}
	name := cmp.Or(c.String("name"), "compare")
	out := &experiment.Experiment{Name: name, Seed: first.exp.Seed, Simulate: &experiment.Simulate{Dataset: first.dataset}}
	network := "" // the key of the first run's
	if st, ok := first.run.Stage(artifact.TrainStage); ok && first.exp.Task != nil {
		network = st.Record.Key
		dir, err := filepath.Abs(st.Dir)
		if err != nil {
			return nil, nil, err
		}
		out.Task, out.Train = first.exp.Task, &experiment.Train{Load: dir}
	}
	taken := map[string]bool{experiment.Truth: true}
	for _, r := range runs {
		more, left, err := r.subjects(first, network, taken, len(runs) > 1)
		if err != nil {
			return nil, nil, err
		}
		out.Fit, notes = append(out.Fit, more...), append(notes, left...)
	}
	if len(out.Fit) == 0 && out.Train == nil {
		return nil, nil, usagef("there is nothing to compare: %s", strings.Join(append(notes, "the runs have no models"), "; "))
	}
	if out.Compare, err = comparators(c.StringSlice("use"), runs); err != nil {
		return nil, nil, err
	}
	return out.YAML(), notes, nil
}

// meant adds what an argument names to the runs so far.
func meant(c *cli.Context, runs []*compared, arg string) ([]*compared, error) {
	dir, model := arg, ""
	if rec, err := artifact.ReadRecord(arg); err == nil {
		// A folder's own name says which of its run's models it is, also where it is called ".".
		abs, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		switch rec.Stage {
		case artifact.TrainStage:
			dir, model = filepath.Join(arg, ".."), artifact.TrainStage
		case artifact.FitStage:
			dir, model = filepath.Join(arg, "..", ".."), artifact.FitStage+"/"+filepath.Base(abs)
		default:
			return nil, usagef("%s holds what the stage %s made: a run's folder, RUN/train or RUN/fit/NAME is needed", arg, rec.Stage)
		}
	}
	run, err := runOf(c, dir)
	if err != nil {
		return nil, err
	}
	if _, ok := run.Study(); ok {
		return nil, usagef("%s is a study: name folders of its points, %s", arg, filepath.Join(arg, artifact.PointsDir, "NAME"))
	}
	i := slices.IndexFunc(runs, func(r *compared) bool { return sameFolder(r.run.Dir(), run.Dir()) })
	if i < 0 {
		r, err := openCompared(run)
		if err != nil {
			return nil, err
		}
		i, runs = len(runs), append(runs, r)
	}
	r := runs[i]
	for _, st := range run.Stages() {
		if model != "" && st.Name != model {
			continue
		}
		switch {
		case st.Kind == artifact.TrainStage:
			r.network = true
		case st.Kind == artifact.FitStage && !slices.ContainsFunc(r.fits, func(have artifact.Stage) bool { return have.Name == st.Name }):
			r.fits = append(r.fits, st)
		}
	}
	return runs, nil
}

func sameFolder(a, b string) bool {
	one, err1 := os.Stat(a)
	other, err2 := os.Stat(b)
	return errors.Join(err1, err2) == nil && os.SameFile(one, other)
}

// openCompared reads a run's experiment and finds its data set.
func openCompared(run *artifact.Run) (*compared, error) {
	r := &compared{run: run}
	data, err := run.Experiment()
	if err != nil {
		return nil, usageError{err}
	}
	study, err := experiment.Parse(filepath.Join(run.Dir(), artifact.ExperimentFile), data, nil)
	if err != nil {
		return nil, err
	}
	r.exp = study.Points[0].Experiment
	dir, err := filepath.Abs(run.Dir())
	if err != nil {
		return nil, err
	}
	r.label = filepath.Base(dir)
	if st, ok := run.Stage(artifact.SimulateStage); ok {
		r.dataset, err = filepath.Abs(st.Path(artifact.DatasetFile))
	} else if r.exp.Simulate != nil {
		r.dataset = r.exp.Simulate.Dataset
	}
	if err != nil || r.dataset == "" {
		return r, err
	}
	r.hash, err = artifact.HashFile(r.dataset)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s: its data set is gone: %w", run.Dir(), err)
	}
	return r, err
}

// subjects are the models of a run that can be compared on the first one's data set, and why others cannot.
func (r *compared) subjects(first *compared, network string, taken map[string]bool, several bool) (fits []experiment.Fit, left []string, err error) {
	add := func(label string, st artifact.Stage) error {
		dir, err := filepath.Abs(st.Dir)
		fits = append(fits, experiment.Fit{Name: unique(label, taken), Load: dir})
		return err
	}
	if r.network && r != first {
		st, _ := r.run.Stage(artifact.TrainStage)
		switch {
		case st.Record.Key == network: // the first one's own, which is the truth
		case network == "" || r.exp.Task == nil || r.exp.Task.Ref.Name != first.exp.Task.Ref.Name:
			left = append(left, fmt.Sprintf("%s: it was trained on another task than the first run's network", st.Dir))
		default:
			if err := add(r.label, st); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, st := range r.fits {
		if st.Record.Inputs["dataset"] != first.hash {
			left = append(left, fmt.Sprintf("%s: it was fitted to another data set than the first run's", st.Dir))
			continue
		}
		label := st.Label
		if several && r != first {
			label = r.label + "-" + st.Label
		}
		if err := add(label, st); err != nil {
			return nil, nil, err
		}
	}
	return fits, left, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// unique makes a name of a label that no other subject has.
func unique(label string, taken map[string]bool) string {
	label = strings.TrimLeft(notInName.ReplaceAllString(label, "-"), "-_")
	label = cmp.Or(label[:min(len(label), 56)], "model")
	name := label
	for n := 2; taken[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s-%d", label, n)
	}
	taken[strings.ToLower(name)] = true
	return name
}

// comparators are those that are asked for, or those of the runs, each once; where they have none, the metrics.
func comparators(asked []string, runs []*compared) ([]experiment.Compare, error) {
	taken := map[string]bool{}
	var out []experiment.Compare
	add := func(u *experiment.Use, name string) {
		out = append(out, experiment.Compare{Name: unique(name, taken), Use: u})
	}
	if len(asked) == 0 {
		seen := map[string]bool{}
		for _, r := range runs {
			for _, c := range r.exp.Compare {
				// Runs of one experiment with other seeds have the same comparators but for the seed.
				same := *c.Use
				same.Seed = runs[0].exp.Seed
				one := (&experiment.Experiment{Seed: same.Seed, Compare: []experiment.Compare{{Name: "c", Use: &same}}}).YAML()
				if !seen[string(one)] {
					seen[string(one)] = true
					add(c.Use, c.Name)
				}
			}
		}
		if len(out) > 0 {
			return out, nil
		}
		asked = []string{"comparator/metrics"}
	}
	for _, a := range asked {
		ref, err := registry.ParseRef(a)
		if err == nil && ref.Name.Kind != component.Comparator {
			err = fmt.Errorf("%q is a %s: a comparator is needed", a, ref.Name.Kind)
		}
		if err != nil {
			return nil, usagef("--use: %w", err)
		}
		add(&experiment.Use{Ref: ref, Params: param.Values{}, Seed: runs[0].exp.Seed}, ref.Name.Short)
	}
	return out, nil
}
