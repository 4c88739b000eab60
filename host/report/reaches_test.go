package report

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// firstBins keeps so many bins of the trials of reaching.
func firstBins(b tensor.Block, bins int) tensor.Block {
	for k, a := range b.Arrays {
		if len(a.Shape) != 3 {
			continue
		}
		was, channels := a.Shape[1], a.Shape[2]
		short := tensor.New32(a.Name, a.Shape[0], bins, channels)
		for i := range a.Shape[0] {
			copy(short.F32[i*bins*channels:(i+1)*bins*channels], a.F32[i*was*channels:])
		}
		b.Arrays[k] = short
	}
	return b
}

// set changes a column of extra in every trial in which it is not -1.
func set(b tensor.Block, column int, value float32) {
	extra := b.Arrays.Get(task.Extra)
	for i := range b.Trials {
		if v := &extra.F32[i*extra.Shape[1]+column]; *v >= 0 {
			*v = value
		}
	}
}

// TestShortReaches: where no trial lasts 0.8 s after the go cue those there are are shown, as far as they go, and the captions say so.
func TestShortReaches(t *testing.T) {
	for name, c := range map[string]struct {
		width       float64
		bins        int
		says, lasts string
		end         float64
	}{
		"fine bins":    {0.005, 150, "that last 0.42 s or more after the go cue (none lasts the 0.8 s", "", 0.415},
		"short trials": {0.01, 100, "that last 0.34 s or more after the go cue (none lasts the 0.8 s", "", 0.33},
		"two bins":     {0.01, 68, "that last 0.02 s or more after the go cue (none lasts the 0.8 s", "", 0.01},
		"enough":       {0.01, 146, "that last 0.8 s or more after the go cue", "none lasts", 0.79},
	} {
		b, labels := reaching(24)
		labels.BinWidth = c.width
		r, err := newReaches(firstBins(b, c.bins), labels, "made-up trials")
		must(t, err)
		paths, err := r.paths()
		must(t, err)
		profiles, err := r.profiles()
		must(t, err)
		muscles, err := r.activations()
		must(t, err)
		kinds := 3
		if c.bins <= 86 { // in which the pushes begin
			kinds = 2
		}
		if len(paths.Panels) != kinds || len(muscles.Panels) != 3 || len(profiles.Panels) != 2 {
			t.Errorf("%s: %d, %d and %d panels", name, len(paths.Panels), len(muscles.Panels), len(profiles.Panels))
		}
		for _, f := range []component.Figure{paths, profiles} {
			must(t, f.Check())
			if !strings.Contains(f.Caption, c.says) || c.lasts != "" && strings.Contains(f.Caption, c.lasts) {
				t.Errorf("%s: caption %q", name, f.Caption)
			}
		}
		x := profiles.Panels[0].X
		before := min(beforeGo, 66*c.width)
		if math.Abs(x.Min+before) > 1e-9 || math.Abs(x.Max-c.end) > 1e-9 {
			t.Errorf("%s: shown from %v to %v s", name, x.Min, x.Max)
		}
		if mean := profiles.Panels[0].Marks[len(profiles.Panels[0].Marks)-1]; math.Abs(mean.X[len(mean.X)-1]-c.end) > 1e-9 {
			t.Errorf("%s: the mean ends at %v s", name, mean.X[len(mean.X)-1])
		}
		if _, _, err := r.animation(figure.Palette{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReachesOfDifferentLengths: where none has its time those are left out that last less than half as long as the longest.
func TestReachesOfDifferentLengths(t *testing.T) {
	b, labels := reaching(6)
	extra := b.Arrays.Get(task.Extra)
	for i, goCue := range []float32{110, 125, 130, -1, 149, 111} {
		extra.F32[4*i+1] = goCue
	}
	r, err := newReaches(b, labels, "made-up trials")
	must(t, err)
	if got := r.choose(9, r.reached); !slices.Equal(got, []int{0, 1, 2, 5}) || r.short != 20 {
		t.Errorf("trials %v, of %d bins or more", got, r.short)
	}
}

// TestReachesThatCannotBeShown says why.
func TestReachesThatCannotBeShown(t *testing.T) {
	for name, c := range map[string]struct {
		spoil                     func(*tensor.Block, *artifact.Labels)
		paths, profiles, animated string
	}{
		"no go cue":        {func(b *tensor.Block, _ *artifact.Labels) { set(*b, 1, -1) }, "", "no trial has a go cue", "no trial has a go cue"},
		"not timed":        {func(b *tensor.Block, l *artifact.Labels) { l.Extra[1] = "start" }, "", "the trials do not say when the go cue comes", "the trials do not say when the go cue comes"},
		"all pushed":       {func(b *tensor.Block, _ *artifact.Labels) { everyPush(b) }, "", "every trial that has a go cue is pushed", ""},
		"no bin width":     {func(_ *tensor.Block, l *artifact.Labels) { l.BinWidth = 0 }, "", "it is not known how long a bin is", "it is not known how long a bin is"},
		"cue in last bin":  {func(b *tensor.Block, _ *artifact.Labels) { set(*b, 1, 149) }, "", "no trial lasts two bins after its go cue", "no trial lasts two bins after its go cue"},
		"trials of a bin":  {func(b *tensor.Block, _ *artifact.Labels) { *b = firstBins(*b, 1) }, "no trial has a go cue", "no trial has a go cue", "no trial has a go cue"},
		"nothing is wrong": {func(*tensor.Block, *artifact.Labels) {}, "", "", ""},
	} {
		b, labels := reaching(12)
		c.spoil(&b, &labels)
		r, err := newReaches(b, labels, "made-up trials")
		must(t, err)
		f, errPaths := r.paths()
		_, errProfiles := r.profiles()
		_, _, errAnimated := r.animation(figure.Palette{})
		for _, got := range []struct {
			err  error
			want string
		}{{errPaths, c.paths}, {errProfiles, c.profiles}, {errAnimated, c.animated}} {
			if (got.err == nil) != (got.want == "") || got.err != nil && got.err.Error() != got.want {
				t.Errorf("%s: %v, want %q", name, got.err, got.want)
			}
		}
		if timed := !strings.Contains(f.Caption, "do not say when"); errPaths == nil && timed != (name != "not timed") {
			t.Errorf("%s: caption %q", name, f.Caption)
		}
	}
}

// everyPush has every trial pushed.
func everyPush(b *tensor.Block) {
	extra := b.Arrays.Get(task.Extra)
	for i := range b.Trials {
		extra.F32[4*i+2], extra.F32[4*i+3] = 70, 80
	}
}

// parted are the trials that have a go cue, or those that have none.
func parted(b tensor.Block, cued bool) tensor.Block {
	extra, rows := b.Arrays.Get(task.Extra), []int(nil)
	for i := range b.Trials {
		if (extra.F32[4*i+1] >= 0) == cued {
			rows = append(rows, i)
		}
	}
	b, _ = pick(b, rows)
	b.Trials = numbered(len(rows))
	return b
}

// TestCatchTrialsBesideSimulatedOnes: trials without a go cue are those of the network where the simulated ones, of which the reaches are, have none.
func TestCatchTrialsBesideSimulatedOnes(t *testing.T) {
	for name, c := range map[string]struct {
		kept bool // the network's examples have trials without a go cue
		want []string
		note string
	}{
		"kept":     {true, []string{"reaches without a push", "reaches with a push", "trials without a go cue"}, "are validation trials: of the simulated trials none is without"},
		"not kept": {false, []string{"reaches without a push", "reaches with a push"}, ""},
	} {
		s := newSynthetic(t)
		train, simulate := s.stage(t, "train", "model/noisy-gru"), s.stage(t, "simulate", "simulator/spikes")
		all, labels := reaching(24)
		simulated := parted(all, true)
		n := len(simulated.Trials)
		counts := tensor.New64("recon_data", n, 150, 3)
		simulated.Arrays = append(simulated.Arrays, counts, counts.Clone().Named("encod_data"))
		d, err := artifact.CreateDataset(filepath.Join(simulate, artifact.DatasetFile), artifact.DatasetOptions{
			Trials: n, TrainTrials: 1, HeldIn: 3, Neurons: 3, Bins: 150, BinWidth: 0.01, Counts: true, Attributes: labels.Attributes()})
		must(t, err)
		must(t, d.Write(simulated))
		must(t, d.Close())
		kept := parted(all, !c.kept)
		w, err := artifact.CreateArrays(filepath.Join(train, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: len(kept.Trials)}, Attributes: labels.Attributes()})
		must(t, err)
		must(t, w.Write(task.Valid, kept))
		must(t, w.Close())
		s.sign(t, "")
		src, err := read(t.Context(), opened(t, s.dir))
		must(t, err)
		st, _ := src.run.Stage(artifact.TrainStage)
		r, err := src.openReaches(t.Context(), st)
		must(t, err)
		if r == nil || r.source != "simulated trials" {
			t.Fatalf("%s: reaches %+v", name, r)
		}
		f, err := r.paths()
		must(t, err)
		var titles []string
		for _, p := range f.Panels {
			titles = append(titles, p.Title)
		}
		if !slices.Equal(titles, c.want) || c.note != "" && !strings.Contains(f.Caption, c.note) || c.note == "" && strings.Contains(f.Caption, "without a go cue") {
			t.Errorf("%s: panels %q, caption %q", name, titles, f.Caption)
		}
		m, err := r.activations()
		must(t, err)
		if last := m.Panels[2].Title; len(m.Panels) != 3 || strings.HasPrefix(last, "no go cue, ") != c.kept {
			t.Errorf("%s: %d panels, the last %q", name, len(m.Panels), last)
		}
	}
}
