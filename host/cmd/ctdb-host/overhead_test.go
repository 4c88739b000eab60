package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// publishedStudy is that of the example nbff up to the data set, its epochs and trials aside, and publishedFit what follows.
const (
	publishedStudy = `version: 1
name: published
task: {use: task/nbff, params: {n_bits: 3, n_timesteps: 500}}
train: {use: model/noisy-gru, params: {hidden: 64, epochs: 1}}
simulate: {use: simulator/spikes}
`
	publishedFit = `fit:
  - {name: gru, use: model/sae-gru, params: {latent: 128, epochs: 1}}
`
)

// TestTrialsAndDataSetsCostLittle compares the processor time of all that a study does around its trainings up to the data set (processes, generating trials, moving them, the task's score,
// simulating, writing, a report) with that of the published 500 epochs of either model, of which few are taken. At the published number of trials, in the long form, it is less than 3% of
// the whole; with a tenth of them processes and reports, which do not become less, may have 10%. What is measured on a busy machine is measured again.
func TestTrialsAndDataSetsCostLittle(t *testing.T) {
	const epochs, few, more = 500, 1, 4
	trials, bound := 100, 0.10
	if os.Getenv("CTDB_ENDURANCE") == "1" {
		trials, bound = 1000, 0.03
	}
	w := newWorld(t)
	half, whole := w.write("half.yaml", publishedStudy), w.write("whole.yaml", publishedStudy+publishedFit)
	run := 0
	took := func(study string, set ...string) time.Duration {
		run++
		args := []string{"run", study, "--quiet", "--threads", "2", "--out", w.path(fmt.Sprint("run", run)), "--set", fmt.Sprint("task.params.n_trials=", trials)}
		// Another seed for each: nothing is stored.
		for _, s := range append(set, fmt.Sprint("seed=", run)) {
			args = append(args, "--set", s)
		}
		before := children(t)
		cmd, out := w.command(args...)
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return children(t) - before
	}
	share := 1.0
	for try := 0; try < 3 && share > bound; try++ {
		around, short := took(half), took(whole)
		epoch := (took(whole, fmt.Sprint("train.params.epochs=", more), fmt.Sprint("fit.gru.params.epochs=", more)) - short) / (more - few)
		if epoch <= 0 {
			continue
		}
		share = float64(around) / float64(around+epochs*epoch)
		t.Logf("%d trials: an epoch of both models takes %v of processor time, what is around them %v: %.1f%% of a run of %d epochs",
			trials, epoch.Round(time.Millisecond), around.Round(time.Millisecond), 100*share, epochs)
	}
	if share > bound {
		t.Errorf("what is not training takes %.1f%% of the processor time, want at most %.0f%%", 100*share, 100*bound)
	}
}
