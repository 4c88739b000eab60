package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// smallStudy has every stage and takes about two seconds; with a checkpoint every few milliseconds its trainings have dozens.
const smallStudy = `version: 1
name: small
seed: 11
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 40, n_trials: 30, switch_prob: 0.1}}
train: {use: model/noisy-gru, params: {hidden: 8, epochs: 300, batch_size: 6}}
simulate: {use: simulator/spikes, params: {n_heldin: 8, n_heldout: 2}, task: {params: {n_trials: 25}}}
fit:
  - {name: wide, use: model/sae-gru, params: {latent: 4, encoder_size: 5, epochs: 100, batch_size: 5}}
  - {name: narrow, use: model/sae-gru, params: {latent: 2, encoder_size: 4, epochs: 100, batch_size: 5}}
compare:
  - {use: comparator/metrics}
`

// manyStudy is of six points, which share their trainings.
const manyStudy = `version: 1
name: many
seeds: [3, 4]
matrix: {fit.sae.params.latent: [2, 3, 4]}
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 20, n_trials: 20}}
train: {use: model/noisy-gru, params: {hidden: 4, epochs: 30, batch_size: 8}}
simulate: {use: simulator/spikes, params: {n_heldin: 6, n_heldout: 2}, task: {params: {n_trials: 20}}}
fit:
  - {name: sae, use: model/sae-gru, params: {encoder_size: 3, epochs: 10, batch_size: 8}}
compare:
  - {use: comparator/metrics}
`

// endurance reports whether the long versions of the tests are asked for.
func endurance() bool { return os.Getenv("CTDB_ENDURANCE") == "1" }

// inShort is a number of repetitions: many where the long versions are asked for, else few.
func inShort(few, many int) int {
	if endurance() {
		return many
	}
	return few
}

// victim is who is killed.
type victim int

const (
	theHost victim = iota
	aPlugin
	victims
)

func (v victim) String() string { return [...]string{"the host", "a plugin"}[v] }

// blow is one kill: who, and when after the start of the host.
type blow struct {
	victim victim
	after  time.Duration
	// at once runs the next host while what the last one left may still live.
	atOnce bool
	jobs   int
}

func (b blow) String() string {
	return fmt.Sprintf("kill -9 of %s after %v, --jobs %d, next host at once: %t", b.victim, b.after, b.jobs, b.atOnce)
}

// strike draws a blow within a run that takes so long.
func strike(r *rand.Rand, index int, course time.Duration) blow {
	return blow{victim: victim(index % int(victims)), after: time.Duration(r.Float64() * float64(course)), atOnce: r.IntN(2) == 0, jobs: 1 + r.IntN(2)}
}

// assault starts a host on a study, kills whom it must, and returns what the host printed. It reports whether the blow fell before the end.
func (w *world) assault(b blow, args ...string) (hit bool, status int, out *output) {
	w.t.Helper()
	cmd, out := w.command(append(args, "--jobs", fmt.Sprint(b.jobs))...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	struck := make(chan bool, 1)
	go func() {
		timer := time.NewTimer(b.after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ended:
			struck <- false
			return
		}
		if b.victim == theHost {
			struck <- cmd.Process.Kill() == nil
			return
		}
		// Where no plugin lives just now, the next one dies.
		for {
			if found := w.plugins(); len(found) > 0 {
				found[0].kill()
				struck <- true
				return
			}
			select {
			case <-ended:
				struck <- false
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	status = w.finish(cmd, out)
	close(ended)
	return <-struck, status, out
}

// TestKilledAtAnyMoment kills the host, or one of its plugins, at random moments of a study: the same command goes on and ends with the bytes of a run that was
// never disturbed, and nothing is left.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	args := func(n string) []string {
		return []string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "10ms"}
	}
	w.must(args("warm")...) // the first run fills the cache of manifests
	began := time.Now()
	w.must(args("whole")...)
	course := time.Since(began)
	w.sameRun("run-warm", "run-whole")

	const seed = 4
	resumed, slowest := 0, time.Duration(0)
	for i := range inShort(6, 50) {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		b := strike(r, i, course)
		n := fmt.Sprint(i)
		ok := t.Run(n, func(t *testing.T) {
			w := *w
			w.t = t
			t.Logf("seed %d, point %d of a run of %v: %v", seed, i, course, b)
			hit, status, out := w.assault(b, args(n)...)
			w.judge(b, hit, status, out)
			if !b.atOnce {
				slowest = max(slowest, w.quiet())
			}
			w.must(args(n)...)
			slowest = max(slowest, w.quiet())
			if strings.Contains(w.log("run-"+n), "resuming from a checkpoint") {
				resumed++
			}
			w.sameRun("run-whole", "run-"+n)
			w.tidy("store-" + n)
		})
		if !ok {
			t.Fatalf("seed %d, point %d: %v", seed, i, b)
		}
		os.RemoveAll(w.path("store-" + n))
		os.RemoveAll(w.path("run-" + n))
	}
	t.Logf("%d trainings went on from a checkpoint; the last process was gone %v after its host", resumed, slowest)
}

// judge checks how a host ended that was struck, or whose plugin was. A plugin's death need not fail the run: the stage is attempted once more.
func (w *world) judge(b blow, hit bool, status int, out *output) {
	w.t.Helper()
	switch {
	case hit && b.victim == theHost:
	case status == 0:
	case !hit:
		w.t.Errorf("nothing was killed, and the exit status is %d:\n%s", status, out)
	case status != 1 || !strings.Contains(out.String(), "signal: killed") || !strings.Contains(out.String(), "builtin"):
		w.t.Errorf("exit status %d, and it does not say that plugin builtin was killed:\n%s", status, out)
	}
}

// log is the log of a run; empty where there is none.
func (w *world) log(run string) string {
	b, err := os.ReadFile(w.path(run, "log.jsonl"))
	if err != nil {
		return ""
	}
	return string(b)
}

// TestKilledAgainAndAgain kills the same run several times before it may end.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	args := func(n string) []string {
		return []string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "10ms"}
	}
	w.must(args("whole")...)
	const seed = 8
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range inShort(4, 20) {
		// Not the whole course: what is left of the run gets shorter.
		b := strike(r, i, time.Second)
		t.Logf("seed %d, blow %d: %v", seed, i, b)
		hit, status, out := w.assault(b, args("cut")...)
		w.judge(b, hit, status, out)
	}
	w.must(args("cut")...)
	w.quiet()
	w.sameRun("run-whole", "run-cut")
	w.tidy("store-cut")
}

// TestKilledStudy kills hosts and plugins of a study of many points, in one host and in two that share it: it ends with the bytes of an undisturbed one.
func TestKilledStudy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("many.yaml", manyStudy)
	args := func(n string, more ...string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "10ms"}, more...)
	}
	w.must(args("warm")...)
	began := time.Now()
	w.must(args("whole")...)
	course := time.Since(began)
	w.sameRun("run-warm", "run-whole")
	const seed = 15
	for i := range inShort(2, 12) {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		n := fmt.Sprint(i)
		for k := range 3 {
			b := strike(r, i+k, course/2)
			t.Logf("seed %d, study %d, blow %d: %v", seed, i, k, b)
			hit, status, out := w.assault(b, args(n)...)
			w.judge(b, hit, status, out)
		}
		w.must(args(n)...)
		w.quiet()
		w.sameRun("run-whole", "run-"+n)
		w.tidy("store-" + n)
	}
}
