package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

// result is a row that was measured.
type result struct {
	Name    string  `json:"name"`
	Threads int     `json:"threads"`
	FLOPs   float64 `json:"flop"`
	// Peak is the rate of the kernels' own products with as many threads, the best of all rounds of all rows, in GFLOP/s.
	Peak  float64             `json:"peak_gflop_per_s"`
	Ours  []sample            `json:"ours"`
	Peers map[string][]sample `json:"peers"` // by library and implementation
	// Failed says which peers could not be measured.
	Failed []string `json:"failed,omitempty"`
}

// attempts is how many more rounds are taken than asked for while measurements have to be thrown away.
const attempts = 3

func (r row) measure(ctx context.Context, o options, p *peers, errs io.Writer) (result, error) {
	out := result{Name: r.name, Threads: r.threads, FLOPs: r.flops, Peers: map[string][]sample{}}
	mine, err := r.open()
	if err != nil {
		return out, err
	}
	defer func() {
		// Plans that are not freed here are freed by the collector.
		_ = mine.Close()
	}()
	out.Peak = steptime.MeasurePeak(r.threads)
	left := slices.Clone(p.all)
	keep := map[*peer][]string{}
	for round := 0; round < o.rounds || round < o.rounds+attempts && out.clean() < o.rounds; round++ {
		s, err := measureOurs(ctx, mine, r.threads, o)
		if err != nil {
			return out, err
		}
		out.Ours = append(out.Ours, s)
		out.Peak = max(out.Peak, steptime.MeasurePeak(r.threads))
		took := map[*peer]map[string]sample{}
		for _, one := range slices.Clone(left) {
			found, err := p.launch(ctx, one, r, o, keep[one])
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(errs, "  %v\n", err)
				out.Failed = append(out.Failed, err.Error())
				left = slices.DeleteFunc(left, func(q *peer) bool { return q == one })
				continue
			}
			took[one] = found
			for name, s := range found {
				out.Peers[one.name+" "+name] = append(out.Peers[one.name+" "+name], s)
			}
		}
		if round == 0 {
			left = contenders(left, took, keep)
		}
	}
	return out, nil
}

// contenders are the peers that have an implementation which does not take twice as long as the fastest of all; keep gets the names of these where some are left out.
func contenders(all []*peer, took map[*peer]map[string]sample, keep map[*peer][]string) []*peer {
	best := math.Inf(1)
	for _, found := range took {
		for _, s := range found {
			best = min(best, s.Median)
		}
	}
	var left []*peer
	for _, one := range all {
		var names []string
		for name, s := range took[one] {
			if s.Median <= 2*best {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			continue
		}
		left = append(left, one)
		if len(names) < len(took[one]) {
			slices.Sort(names)
			keep[one] = names
		}
	}
	return left
}

// clean is the number of rounds that need not be thrown away, of ours or of the best peer, whichever has fewer.
func (r *result) clean() int {
	count := func(all []sample) int {
		n := 0
		for _, s := range all {
			if !s.Busy {
				n++
			}
		}
		return n
	}
	n := count(r.Ours)
	if name, _ := r.best(); name != "" {
		n = min(n, count(r.Peers[name]))
	}
	return n
}

func measureOurs(ctx context.Context, mine ours, threads int, o options) (sample, error) {
	before, start, stolenBefore := processorTime(), time.Now(), stolen()
	times, err := mine.steps(ctx, o.repeat, o.budget)
	if err != nil {
		return sample{}, err
	}
	wall := time.Since(start).Seconds()
	s := sample{Median: 1e3 * steptime.Median(times), Min: 1e3 * slices.Min(times), N: len(times)}
	s.CPU.User, s.CPU.Steal = (processorTime()-before)/wall, (stolen()-stolenBefore)/wall
	s.judge(threads, 0.75)
	return s, nil
}

// stolen is the time that other virtual machines have taken from this one, in seconds; 0 where that is not known. The clock of /proc/stat has 100 ticks a second on Linux.
func stolen() float64 {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var ticks float64
	if fields := strings.Fields(line); len(fields) > 8 {
		if _, err := fmt.Sscan(fields[8], &ticks); err != nil {
			return 0
		}
	}
	return ticks / 100
}

// summary is the median of the medians and the smallest time, of the measurements that need not be thrown away, or of all where there are no others.
func summary(all []sample) (median, least float64, doubtful bool) {
	good := slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.Busy })
	if len(good) == 0 {
		good, doubtful = all, true
	}
	var medians []float64
	least = math.Inf(1)
	for _, s := range good {
		medians = append(medians, s.Median)
		least = min(least, s.Min)
	}
	return steptime.Median(medians), least, doubtful
}

// best is the fastest implementation of a peer, by its median.
func (r *result) best() (name string, median float64) {
	median = math.Inf(1)
	most := 0
	for _, all := range r.Peers {
		most = max(most, len(all))
	}
	for n, all := range r.Peers {
		// What was left out after the first round was far slower.
		if m, _, _ := summary(all); len(all) == most && m < median {
			name, median = n, m
		}
	}
	return name, median
}

// cells are the columns of the table.
func (r *result) cells() []string {
	ms := func(all []sample) string {
		median, least, doubtful := summary(all)
		text := fmt.Sprintf("%.1f (%.1f)", median, least)
		if doubtful {
			text += " \\*"
		}
		return text
	}
	mine, _, _ := summary(r.Ours)
	peer, ratio := "", ""
	if name, median := r.best(); name != "" {
		peer, ratio = ms(r.Peers[name])+" "+name, fmt.Sprintf("%.2f", median/mine)
	}
	return []string{r.Name, ms(r.Ours), peer, ratio, fmt.Sprintf("%.0f%%", 100*r.FLOPs/mine/1e6/r.Peak)}
}

// share gives all rows with as many threads the best peak of any.
func share(results []result) {
	peaks := map[int]float64{}
	for _, r := range results {
		peaks[r.Threads] = max(peaks[r.Threads], r.Peak)
	}
	for i := range results {
		results[i].Peak = peaks[results[i].Threads]
	}
}

func (r *result) line() string { return strings.Join(r.cells()[1:], " | ") }

func printTable(out io.Writer, results []result, p *peers, o options) {
	fmt.Fprintln(out, "| step | ours, ms: median (min) | best peer, ms: median (min) | ratio | share of peak |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	doubtful := false
	for _, r := range results {
		line := "| " + strings.Join(r.cells(), " | ") + " |"
		doubtful = doubtful || strings.Contains(line, "\\*")
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "\n%s, %s kernels, %s. Medians of %s of %d steps.", processor(), kernel.Variant(), runtime.Version(), plural(o.rounds, "round"), o.repeat)
	said := map[int]bool{}
	for _, r := range results {
		if !said[r.Threads] {
			said[r.Threads] = true
			fmt.Fprintf(out, " The kernels' own products in the first-level cache reach %.0f GFLOP/s with %s.", r.Peak, plural(r.Threads, "thread"))
		}
	}
	for _, one := range p.all {
		fmt.Fprintf(out, " %s %s.", one.name, one.version)
	}
	if strings.Contains(processor(), "AMD") && len(p.all) > 0 {
		fmt.Fprint(out, " On this processor PyTorch's MKL does not use AVX-512.")
	}
	if doubtful {
		fmt.Fprint(out, " \\* The processors were busy with something else in all measurements: do not rely on it.")
	}
	fmt.Fprintln(out)
	for _, r := range results {
		for _, f := range r.Failed {
			fmt.Fprintf(out, "Not measured: %s: %s\n", r.Name, f)
		}
	}
}

// processor is its name, where the system tells.
func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}
