package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TestMain makes the test binary the plugin that the program starts itself as.
func TestMain(m *testing.M) {
	if servesBuiltin(os.Args[1:]) {
		return
	}
	os.Exit(m.Run())
}

// smallRows are one of each kind.
func smallRows(t testing.TB) []row {
	t.Helper()
	c, err := steptime.Parse("rnn/B=40/T=5/I=2/H=4/bidirectional")
	if err != nil {
		t.Fatal(err)
	}
	rows := []row{kernelRow(c, 2)}
	for _, w := range []training{
		{model: "gru", trials: 40, bins: 9, channels: 2, given: map[string]any{"hidden": 5}},
		{model: "sae-node", trials: 40, bins: 9, channels: 2, neurons: 6, heldIn: 4, given: map[string]any{"latent": 3, "encoder_size": 5}},
		{model: "noisy-gru", trials: 80, valid: 20, bins: 9, channels: 2, given: map[string]any{"hidden": 5, "batch_size": 33}},
	} {
		r, err := trainingRow(w, 1)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	many, err := multitaskRow(8, 320, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := armRow(40, 40, 5, 2)
	if err != nil {
		t.Fatal(err)
	}
	loop.goal, loop.apartGoal = 8, 1.5
	return append(rows, many, loop)
}

func TestSteps(t *testing.T) {
	rows := smallRows(t)
	far := rows[len(rows)-1]
	far.name, far.open = "the task in a process of its own: "+far.name, far.apart
	for _, r := range append(rows, far) {
		o, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			budget   time.Duration
			min, max int
		}{{time.Hour, 6, 6}, {time.Nanosecond, 3, 4}} {
			times, err := o.steps(t.Context(), 1, 6, c.budget)
			if err != nil || len(times) < c.min || len(times) > c.max || slices.Min(times) <= 0 {
				t.Errorf("%s in %v: %v, %v", r.name, c.budget, times, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := o.steps(ctx, r.threads, 6, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", r.name, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is validated, the task in another process is known as such, and the time of a step is a batch's share of its epoch's.
func TestTasks(t *testing.T) {
	rows := smallRows(t)
	loop, many := rows[len(rows)-1], rows[len(rows)-2]
	for _, open := range []func() (ours, error){loop.open, loop.apart} {
		o, err := open()
		if err != nil {
			t.Fatal(err)
		}
		w := o.(*training)
		if s := w.target.Task; s.TrainTrials != 40 || s.ValidTrials != 0 || s.Bins != 40 || s.Loop == nil {
			t.Errorf("%+v", s)
		}
		if _, far := w.request.Task.(task.Distant); far != (w.closing != nil) {
			t.Errorf("in another process: %v", far)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	o, err := many.open()
	if err != nil {
		t.Fatal(err)
	}
	w := o.(*training)
	start := time.Now()
	times, err := w.steps(t.Context(), 1, 4, time.Hour)
	if took := time.Since(start).Seconds(); err != nil || len(times) != 4 || 15*(times[0]+times[1]+times[2]+times[3]) > took {
		t.Errorf("%v of %v s, %v", times, took, err)
	}
	w.trials++
	if _, err := w.on("multitask", map[string]any{"n_trials": 10}, 1); err == nil || !strings.Contains(err.Error(), "120 trials to train on") {
		t.Errorf("another number of trials: %v", err)
	}
}

// Goals are of rows that there are.
func TestGoals(t *testing.T) {
	rows, err := publishedRows(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if loop := r.apart != nil; (r.apartGoal > 0) != loop || strings.HasPrefix(r.name, "arm/") != loop {
			t.Errorf("%s: goal of two processes %v", r.name, r.apartGoal)
		}
		if large := strings.HasPrefix(r.name, "gru/B=256/T=200/"); (r.goal > 1) == large {
			t.Errorf("%s: goal %v", r.name, r.goal)
		}
	}
}

// The rows are what the peers are asked for.
func TestRows(t *testing.T) {
	rows, err := publishedRows(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, peer string }{
		{"gru/B=64/T=320/I=20/H=128, 2 threads", "gru -B 64 -T 320 -I 20 -H 128 -O 3 --threads 2"},
		{"gru/B=256/T=500/I=3/H=64, 1 thread", "gru -B 256 -T 500 -I 3 -H 64 -O 3 --threads 1"},
		{"node/B=256/T=500/I=3/H=3, 2 threads", "node -B 256 -T 500 -I 3 -H 3 -O 3 --layers 3 --width 128 --threads 2"},
		{"gru/B=250/T=500/I=50/H=100/O=128/bidirectional, 2 threads", "gru -B 250 -T 500 -I 50 -H 100 -O 128 --bidirectional --threads 2"},
		{"model/gru/B=256/T=500/I=3/H=128, a step of the trainer, 2 threads", "gru -B 256 -T 500 -I 3 -H 128 -O 3 --threads 2"},
		{"model/lstm/B=256/T=500/I=3/H=64, a step of the trainer, 2 threads", "lstm -B 256 -T 500 -I 3 -H 64 -O 3 --threads 2"},
		{"model/rnn/B=256/T=500/I=3/H=64, a step of the trainer, 2 threads", "rnn -B 256 -T 500 -I 3 -H 64 -O 3 --threads 2"},
		{"model/node/B=256/T=500/I=3/H=3, a step of the trainer, 2 threads", "node -B 256 -T 500 -I 3 -H 3 -O 3 --layers 3 --width 128 --threads 2"},
		{"model/sae-gru/B=250/T=500/H=128, a step of the trainer, 2 threads", "sae-gru -B 250 -T 500 -I 3 --threads 2 -H 128 -O 60 --held-in 50 --encoder 100"},
		{"model/sae-node/B=250/T=500/H=10, a step of the trainer, 2 threads", "sae-node -B 250 -T 500 -I 3 --threads 2 -H 10 -O 60 --held-in 50 --encoder 100 --layers 7 --width 128"},
		{"model/noisy-gru, an epoch of 800 trials in batches of 256, 200 to validate, 2 threads", "epoch -B 256 -T 500 -I 3 --threads 2 -H 64 -O 3 --trials 800 --valid 200"},
		{"model/gru/B=64/T=320/I=20/H=128/multitask, a step of the trainer, 2 threads", "gru -B 64 -T 320 -I 20 -H 128 -O 3 --threads 2"},
		{"arm/B=256/T=300/H=128, a step of the trainer in closed loop, 2 threads", "-B 256 -T 300 -H 128 --threads 2"},
		{"arm/B=1000/T=300/H=128, a step of the trainer in closed loop, 2 threads", "-B 1000 -T 300 -H 128 --threads 2"},
	} {
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == c.name })
		if i < 0 || strings.Join(rows[i].peer, " ") != c.peer {
			t.Errorf("%s: row %d of %+v, want %s", c.name, i, rows, c.peer)
		}
	}
	sae := rows[slices.IndexFunc(rows, func(r row) bool { return strings.HasPrefix(r.name, "model/sae-gru") })]
	bins := 250. * 500
	encoder := 2 * bins * (6*300*100 + 4*300*50)
	decoder := bins * (6*384*128 + 4*384*3 + 6*128*60)
	if want := encoder + decoder + 6*250*200*128; sae.flops != want {
		t.Errorf("sae-gru: %v operations, want %v", sae.flops, want)
	}
}

// python writes a program that stands in for Python: libraries are there if they are named, and scripts print what is said of them.
func python(t *testing.T, libraries string, says map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nif [ \"$1\" = -c ]; then case \" " + libraries + " \" in *\" ${2#import } \"*) exit 0;; esac; exit 1; fi\necho \"$@\" >> " + filepath.Join(dir, "calls") + "\ncase \"$1\" in\n"
	// A script in a folder before one of that name anywhere.
	for _, script := range slices.SortedFunc(maps.Keys(says), func(a, b string) int { return len(b) - len(a) }) {
		text += "*" + script + ")\n" + says[script] + "\n;;\n"
	}
	file := filepath.Join(dir, "python")
	if err := os.WriteFile(file, []byte(text+"esac\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func calls(t *testing.T, python string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(python), "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestMeasure(t *testing.T) {
	// Each implementation is measured alone; PyTorch's loop is the slowest.
	py := python(t, "torch jax motornet", map[string]string{
		"peer_torch.py": `echo noise
case "$*" in
*"--impl fused") echo '{"version":"9.1","fused":{"median_ms":4e6,"min_ms":3e6,"n":3},"peak_rss_mb":700}';;
*"--impl mixed") echo '{"version":"9.1","fused":{"median_ms":1,"min_ms":1},"mixed":{"median_ms":7e6,"min_ms":7e6},"peak_rss_mb":800}';;
*) echo '{"version":"9.1","loop":{"median_ms":9e6,"min_ms":8e6},"peak_rss_mb":900}';;
esac`,
		"peer_arm.py": `echo '{"version":"0.3","plant":{"median_ms":1,"min_ms":1},"train":{"median_ms":5e6,"min_ms":4e6,"n":3},"peak_rss_mb":600}'`,
		"peer_jax.py": `echo '{"version":"0.2","scan":{"median_ms":6e6,"min_ms":5e6,"n":3},"variants":[{"median_ms":1}]}'`,
	})
	file := filepath.Join(t.TempDir(), "raw.json")
	var out bytes.Buffer
	o := options{python: py, rounds: 2, repeat: 3, threads: 2, budget: time.Minute, file: file, self: self(t)}
	rows := smallRows(t)
	if err := measure(t.Context(), rows, o, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| " + rows[0].name + " | ", " | 4000000.0 (3000000.0) torch fused | ", " | 7000000.0 (7000000.0) torch mixed | ", " | 123 | 700 |  | ", " | 123 |  | 800 | ",
		" | 5000000.0 (4000000.0) motornet train | ", " | >= 8 | ", " | <= 1.5 | 123 | 600 |  |  |  |", "| 1 to 2 threads |", "torch 9.1.", "jax 0.2.", "motornet 0.3."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var raw []result
	if err := json.Unmarshal(data, &raw); err != nil || len(raw) != len(rows) {
		t.Fatalf("%d rows, %v", len(raw), err)
	}
	for i, r := range raw {
		if len(r.Ours) < 2 || r.Ours[0].N != 3 || r.FLOPs != rows[i].flops || r.Memory != 123 || !(r.Peak.GFLOPs > 0 && r.Peak.FMA > 0) {
			t.Errorf("%+v", r)
		}
		if n := len(r.Single); rows[i].threads == 1 && n != 0 || rows[i].threads == 2 && n != len(r.Ours) {
			t.Errorf("%s: %d measurements with one thread", r.Name, len(r.Single))
		}
		// What is too slow is measured in the first round alone, unless it is like the reference's.
		for name, slow := range map[string]bool{"fused": false, "mixed": false, "loop": true} {
			want := 0
			if slices.Contains(rows[i].implementations, name) {
				if want = len(r.Ours); slow && slices.Contains(rows[i].implementations, "fused") && !slices.Contains(rows[i].reference, name) {
					want = 1
				}
			}
			if got := len(r.Peers["torch "+name]); got != want {
				t.Errorf("%s: %d measurements of %s, want %d", r.Name, got, name, want)
			}
		}
		inLoop := rows[i].apart != nil
		for name, want := range map[string]bool{"jax scan": !inLoop, "motornet train": inLoop, "motornet plant": false} {
			if got := len(r.Peers[name]); got != len(r.Ours) && want || got != 0 && !want {
				t.Errorf("%s: %d measurements of %s", r.Name, got, name)
			}
		}
		if n := len(r.Apart); inLoop && n != len(r.Ours) || !inLoop && n != 0 {
			t.Errorf("%s: %d measurements in two processes", r.Name, n)
		}
	}
	got, want := calls(t, py), strings.Join(rows[0].peer, " ")+" --tuned-malloc --reps 3 --budget 60"
	for i, end := range []string{"peer_torch.py " + want + " --impl fused", "peer_torch.py " + want + " --impl loop", "peer_jax.py " + want, "peer_torch.py " + want + " --impl fused", "peer_jax.py " + want} {
		if !strings.HasSuffix(got[i], end) {
			t.Errorf("call %d is %s, want %s", i, got[i], end)
		}
	}
}

// self writes a program that stands in for this one where its memory is asked for.
func self(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "self")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho 123.0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMemory(t *testing.T) {
	rows := smallRows(t)
	for _, r := range rows[:2] {
		var out bytes.Buffer
		if err := printMemory(t.Context(), rows, r.name, &out); err != nil {
			t.Fatal(err)
		}
		if mb, err := strconv.ParseFloat(strings.TrimSpace(out.String()), 64); err != nil || mb < 1 || mb > 1e5 {
			t.Errorf("%s: %q, %v", r.name, out.String(), err)
		}
	}
	if err := printMemory(t.Context(), rows, "none", io.Discard); err == nil {
		t.Error("a row that there is not was measured")
	}
}

// A folder's scripts are used, and the own ones for what they refuse; what fails is told and the rest goes on.
func TestPeersOfOthers(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"peer_torch.py", "peer_jax.py", "peer_arm.py"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	answer := `echo '{"loop":{"median_ms":5e6,"min_ms":5e6}}'`
	py := python(t, "torch jax", map[string]string{folder + "/peer_torch.py": "exit 2", "peer_torch.py": answer, "peer_jax.py": "echo out of luck >&2; exit 1"})
	var out bytes.Buffer
	if err := measure(t.Context(), smallRows(t)[:1], options{python: py, peers: folder, rounds: 1, repeat: 1, threads: 1, budget: time.Minute, self: self(t)}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " torch loop | ") || !strings.Contains(out.String(), "Not measured: rnn/B=40") || !strings.Contains(out.String(), "out of luck") {
		t.Errorf("got\n%s", out.String())
	}
	if got := calls(t, py); len(got) < 5 || !strings.HasPrefix(got[0], folder+"/peer_torch.py") || strings.HasPrefix(got[1], folder) || !strings.HasPrefix(got[4], folder+"/peer_jax.py") {
		t.Errorf("calls\n%s", strings.Join(got, "\n"))
	}
	if err := measure(t.Context(), nil, options{python: py, peers: filepath.Join(folder, "none")}, &out, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-rounds 0", "-rounds 0: at least 1 is needed"}, {"-repeat 0", "-repeat 0: at least 1 is needed"}, {"-threads 0", "-threads 0: at least 1 is needed"},
		{"-time 0s", "-time 0s: more than 0 is needed"}, {"x", `no arguments are needed, got "x"`}, {"-rows gpt", "-rows gpt: no row has that in its name"},
	} {
		if err := run(t.Context(), strings.Fields(c.args), io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	at := func(median, least, user, steal float64) sample {
		s := sample{Median: median, Min: least}
		s.CPU.User, s.CPU.Steal = user, steal
		s.judge(2, 0.75)
		return s
	}
	for i, c := range []struct {
		all           []sample
		median, least float64
		doubtful      bool
	}{
		{[]sample{at(3, 2, 1.9, 0), at(5, 4, 1.5, 0), at(1, 1, 1.4, 0), at(9, 1, 2, 0.06)}, 4, 2, false},
		{[]sample{at(3, 2, 1, 0), at(6, 4, 1, 0), at(4, 1, 2, 1)}, 4, 1, true},
		{[]sample{at(3, 2, 0, 0)}, 3, 2, false}, // not known
	} {
		if m, l, d := summary(c.all); m != c.median || l != c.least || d != c.doubtful {
			t.Errorf("case %d: %v, %v, %v", i, m, l, d)
		}
	}
	r := result{Ours: []sample{at(2, 2, 2, 0)}, Single: []sample{at(3, 3, 2, 0)}, Peers: map[string][]sample{"a": {at(8, 8, 2, 0)}, "b": {at(6, 5, 2, 0)}, "c": {at(7, 7, 2, 0)}}, Reference: []string{"a", "c"}, Apart: []sample{at(5, 4, 0, 0)}, Goal: 2.5, ApartGoal: 3,
		FLOPs: 1e9, Peak: steptime.Peak{GFLOPs: 1000, FMA: 2000}, Name: "n", Memory: 9}
	r.Peers["b"][0].Memory, r.Peers["c"][0].Memory = 10, 20
	if name, m := r.best(); name != "b" || m != 6 {
		t.Errorf("best is %s, %v", name, m)
	}
	if got, want := strings.Join(r.cells(), "|"), "n|2.0 (2.0)|6.0 (5.0) b|3.00|7.0 (7.0) c|3.50|>= 2.5 of the reference's|1.50|5.0 (4.0)|2.50|<= 3|9|10|20|50%|25%"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(r.cells()) != len(columns) {
		t.Errorf("%d cells in %d columns", len(r.cells()), len(columns))
	}
	empty := result{Ours: r.Ours}
	if name, m := empty.best(); name != "" || !math.IsInf(m, 1) {
		t.Errorf("best of none is %s, %v", name, m)
	}
}

// BenchmarkClosedLoop takes an optimiser's step in closed loop, of 128 units and 300 bins of the arm on two threads, with the task in this process and in another. Memory is the most that this
// process has resident meanwhile, where the system is Linux; what an earlier case leaves behind counts, so it is a case's own where that runs alone.
func BenchmarkClosedLoop(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(places(2)))
	for _, trials := range []int{256, 1000} {
		r, err := armRow(trials, 300, 128, 2)
		if err != nil {
			b.Fatal(err)
		}
		for i, open := range []func() (ours, error){r.open, r.apart} {
			b.Run(fmt.Sprintf("trials=%d/processes=%d", trials, i+1), func(b *testing.B) {
				debug.FreeOSMemory()
				// 5 forgets the peak so far: proc(5), /proc/pid/clear_refs.
				forgotten := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
				o, err := open()
				if err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				times, err := o.steps(b.Context(), 2, b.N, 24*time.Hour)
				if err := errors.Join(err, o.Close()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(1e3*steptime.Median(times), "ms/step")
				if forgotten {
					b.ReportMetric(resident(), "peak-MB")
				}
			})
		}
	}
}

// BenchmarkTrainStep takes the steps that are compared with peers; those of the kernels alone are in package steptime.
func BenchmarkTrainStep(b *testing.B) {
	for _, threads := range []int{1, 2} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(places(threads)))
		rows, err := publishedRows(threads)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rows {
			name, model := strings.CutPrefix(r.name, "model/")
			if !model {
				continue
			}
			name, _, _ = strings.Cut(name, ",")
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				o, err := r.open()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.ResetTimer()
				times, err := o.steps(b.Context(), threads, b.N, 24*time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(1e3*steptime.Median(times), "ms/step")
				b.ReportMetric(r.flops/steptime.Median(times)/1e9, "GFLOP/s")
			})
		}
	}
}
