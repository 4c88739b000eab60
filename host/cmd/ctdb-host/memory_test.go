package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// peaks runs a command and returns the most resident memory that the host and any of its plugins had, in bytes.
func (w *world) peaks(args ...string) (host, plugin int64) {
	w.t.Helper()
	cmd, out := w.command(args...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() { ended <- w.finish(cmd, out) }()
	status := -1
	if !within(10*patience, func() bool {
		select {
		case status = <-ended:
			return true
		default:
		}
		for _, p := range w.processes() {
			if p.plugin() {
				plugin = max(plugin, peakOf(p.pid))
			}
		}
		host = max(host, peakOf(cmd.Process.Pid))
		return false
	}) || status != 0 {
		w.t.Fatalf("exit status %d\n%s", status, out)
	}
	return host, plugin
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakOf is a process's most resident memory so far; 0 where it is gone.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	m := peakLine.FindSubmatch(text)
	if m == nil {
		return 0
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// TestDataStandInMemoryOnce trains on data sets that are large against all else, a task's trials and recorded ones, and measures the peaks of the processes: a plugin has the data once and no second
// copy, the host has some blocks of it. The long form has the 15,000 training trials of 320 bins and 20 inputs of the largest published task.
func TestDataStandInMemoryOnce(t *testing.T) {
	const bins, channels, neurons = 320, 20, 60
	// A fifth of garbage at most, rather than 256 MiB, so that a few hundred megabytes show a second copy.
	trials, environment, garbage := 2500, "GOGC=20", func(data int64) int64 { return data / 5 }
	// beside is what a plugin and the host have without data, and what the kernels' plans and blocks on their way take.
	beside := int64(200 << 20)
	if endurance() {
		trials, environment, garbage, beside = 18750, "GOGC=", func(data int64) int64 { return max(256<<20, data/10) }, 400<<20
	}
	w := newWorld(t)
	w.env = append(w.env, environment)
	check := func(what string, host, plugin, data int64) {
		t.Helper()
		t.Logf("%s: %d MiB of data; the host took %d MiB, a plugin %d MiB", what, data>>20, host>>20, plugin>>20)
		limit := data + garbage(data) + beside
		if plugin > limit {
			t.Errorf("%s: a plugin took %d MiB for %d MiB of data, want at most %d MiB", what, plugin>>20, data>>20, limit>>20)
		}
		if limit := int64(400 << 20); host > limit {
			t.Errorf("%s: the host took %d MiB, want at most %d MiB whatever the data", what, host>>20, limit>>20)
		}
	}
	w.write("trials.yaml", fmt.Sprintf(`version: 1
name: trials
task: {use: task/nbff, params: {n_bits: %d, n_timesteps: %d, n_trials: %d}}
train: {use: model/noisy-gru, params: {hidden: 16, epochs: 2, batch_size: 64}}
`, channels, bins, trials))
	host, plugin := w.peaks("run", "trials.yaml", "--store", "store", "--out", "run", "--quiet")
	// Inputs, targets and weights.
	check("trials of a task", host, plugin, int64(trials)*bins*channels*3*4)

	// Written and read, and fitted. In the short form there is little: it is the long one that weighs it.
	recorded := trials / 10
	if endurance() {
		recorded = trials
	}
	w.write("spikes.yaml", fmt.Sprintf(`version: 1
name: spikes
task: {use: task/nbff, params: {n_timesteps: 100, n_trials: 20}}
train: {use: model/gru, params: {hidden: 8, epochs: 1}}
simulate: {use: simulator/spikes, task: {params: {n_trials: %d}}}
fit: [{name: lds, use: model/sae-lds, params: {latent: 8, encoder_size: 8, epochs: 2}}]
`, recorded))
	host, plugin = w.peaks("run", "spikes.yaml", "--store", "store", "--out", "run-spikes", "--quiet")
	// Counts of all neurons and of those that the encoder sees, and three inputs.
	check("recorded trials", host, plugin, int64(recorded)*100*(neurons+50+3)*4)
}
