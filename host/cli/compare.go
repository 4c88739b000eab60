package cli

import (
	"cmp"
	"fmt"
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
		Description: "Each argument is a run's folder, for all its models, a stage's within it (RUN/train, RUN/fit/NAME, or RUN/simulate for its data set alone), or a copy of a model's folder.\n" +
			"The data set of the first that has one is what is compared on: models that were fitted to it stand side by side, and networks that were trained on the same task are run\n" +
			"over its trials. Where none has one, networks are compared on the trials of their task.",
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

// comparisonOf is the experiment that a command line of compare comes to, and what is left out of it and why.
func comparisonOf(c *cli.Context) (data []byte, notes []string, err error) {
	if c.Args().Len() == 0 {
		return nil, nil, usagef("compare: a run's folder, or that of a model, is needed, got no arguments")
	}
	var all []*compared
	for _, arg := range c.Args().Slice() {
		if all, err = meant(c, all, arg); err != nil {
			return nil, nil, err
		}
	}
	out := &experiment.Experiment{Name: cmp.Or(c.String("name"), "compare")}
	first, err := observed(all)
	if err != nil {
		return nil, nil, err
	}
	if first.exp != nil {
		out.Seed = first.exp.Seed
	}
	if first.dataset != "" {
		out.Simulate = &experiment.Simulate{Dataset: first.dataset}
	}
	if task := first.task(); first.own != nil && task != nil {
		dir, err := filepath.Abs(first.own.Dir)
		if err != nil {
			return nil, nil, err
		}
		out.Task, out.Train = task, &experiment.Train{Load: dir}
	} else if first.dataset == "" {
		return nil, nil, usagef("compare: %s: its record does not say what task it was trained on, and there is no data set to compare it on", first.called(*first.own))
	}
	taken := map[string]bool{experiment.Truth: true}
	for _, r := range all {
		if r.lost != nil {
			notes = append(notes, fmt.Sprintf("the network of %s, which is gone: %s", r.arg, bareError(r.lost)))
		}
		if r.gone != nil {
			notes = append(notes, fmt.Sprintf("the data set of %s, which is gone: %s", r.arg, bareError(r.gone)))
		}
		more, left, err := r.subjects(first, out.Train != nil, taken, len(all) > 1)
		if err != nil {
			return nil, nil, err
		}
		out.Fit, notes = append(out.Fit, more...), append(notes, left...)
	}
	if len(out.Fit) == 0 && out.Train == nil {
		return nil, nil, usagef("compare: there is nothing to compare on the data set of %s: %s", first.arg, strings.Join(append(notes, "no other models are named"), "; "))
	}
	if out.Compare, err = comparators(c.StringSlice("use"), all, out.Seed); err != nil {
		return nil, nil, err
	}
	return out.YAML(), notes, nil
}

// observed is the argument whose data set all are compared on, the first that has one, or, where none has, the first with a network, on whose task's trials networks are compared.
func observed(all []*compared) (*compared, error) {
	i := slices.IndexFunc(all, func(r *compared) bool { return r.dataset != "" })
	if i < 0 {
		i = slices.IndexFunc(all, func(r *compared) bool { return r.network })
	}
	if i >= 0 {
		return all[i], nil
	}
	var fits []string
	for _, r := range all {
		if r.gone != nil {
			return nil, usagef("compare: %s: its data set is gone: %s", r.arg, bareError(r.gone))
		}
		for _, st := range r.fits {
			fits = append(fits, r.called(st))
		}
	}
	if len(fits) == 0 {
		return nil, usagef("compare: %s has no models that are trained, and no data set", all[0].arg)
	}
	return nil, usagef("compare: none of the arguments has a data set, and %s can be compared only on the one that it was fitted to: name the run with that data set too, RUN or RUN/simulate", few(fits))
}

// subjects are the models of a run that can be compared where the first one's are, and why others cannot. trials is true where it is known which trials networks are run over.
func (r *compared) subjects(first *compared, trials bool, taken map[string]bool, several bool) (fits []experiment.Fit, left []string, err error) {
	add := func(label string, st artifact.Stage) error {
		dir, err := filepath.Abs(st.Dir)
		fits = append(fits, experiment.Fit{Name: unique(label, taken), Load: dir})
		return err
	}
	leave := func(st artifact.Stage, format string, args ...any) {
		left = append(left, fmt.Sprintf("%s: %s", r.called(st), fmt.Sprintf(format, args...)))
	}
	if r.network && r != first {
		switch {
		case first.own != nil && r.own.Record.Key != "" && r.own.Record.Key == first.own.Record.Key:
			leave(*r.own, "it is the network of %s, which is the truth", first.arg)
		case !trials:
			leave(*r.own, "it was trained on a task, and the data set of %s is not one that a network was run for, over whose trials this one could be run", first.arg)
		case otherTask(r.own.Record, first.own.Record, first.arg) != "":
			leave(*r.own, "%s", otherTask(r.own.Record, first.own.Record, first.arg))
		default:
			if err := add(r.label, *r.own); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, st := range r.fits {
		switch {
		case first.dataset == "":
			leave(st, "it was fitted to a data set that none of the arguments has: name its run too")
			continue
		case st.Record.Inputs["dataset"] != first.hash:
			leave(st, "it was fitted to another data set than that of %s", first.arg)
			continue
		}
		label := st.Label
		if several && r != first && r.dir != st.Dir {
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
func comparators(asked []string, runs []*compared, seed uint64) ([]experiment.Compare, error) {
	taken := map[string]bool{}
	var out []experiment.Compare
	add := func(u *experiment.Use, name string) {
		out = append(out, experiment.Compare{Name: unique(name, taken), Use: u})
	}
	if len(asked) == 0 {
		seen := map[string]bool{}
		for _, r := range runs {
			if r.exp == nil {
				continue
			}
			for _, c := range r.exp.Compare {
				// Runs of one experiment with other seeds have the same comparators but for the seed.
				same := *c.Use
				same.Seed = seed
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
		add(&experiment.Use{Ref: ref, Params: param.Values{}, Seed: seed}, ref.Name.Short)
	}
	return out, nil
}
