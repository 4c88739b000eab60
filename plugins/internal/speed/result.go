package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

// result is a row that was measured.
type result struct {
	Name    string  `json:"name"`
	Threads int     `json:"threads"`
	FLOPs   float64 `json:"flop,omitempty"`
	// Peak is that with as many threads, the best of all rounds of all rows.
	Peak steptime.Peak `json:"peak"`
	Ours []sample      `json:"ours"`
	// Single is ours with one thread; none where that is the row's own number.
	Single []sample `json:"ours_with_1_thread,omitempty"`
	// Apart is ours with the task in a process of its own; none where there is no such thing.
	Apart []sample            `json:"ours_in_2_processes,omitempty"`
	Peers map[string][]sample `json:"peers"` // by library and implementation
	// Goal is the ratio to reach, 0 where there is none, and ApartGoal how many times as long it may take with the task in a process of its own.
	Goal      float64 `json:"goal,omitempty"`
	ApartGoal float64 `json:"goal_in_2_processes,omitempty"`
	// Reference names those of the peers that are written like the reference's models, where they are wanted.
	Reference []string `json:"reference,omitempty"`
	// Failed says which peers could not be measured.
	Failed []string `json:"failed,omitempty"`
	// Memory is the most of ours, in MB; 0 where that is not known.
	Memory float64 `json:"peak_rss_mb,omitempty"`
}

// attempts is how many more rounds are taken than asked for while measurements have to be thrown away.
const attempts = 3

// contender is an implementation of a peer; one without a choice has all of its own in one.
type contender struct {
	*peer
	implementation string
}

func (c contender) String() string { return strings.TrimSpace(c.name + " " + c.implementation) }

func (r row) measure(ctx context.Context, o options, p *peers, errs io.Writer) (result, error) {
	out := result{Name: r.name, Threads: r.threads, FLOPs: r.flops, Peers: map[string][]sample{}, Goal: r.goal, ApartGoal: r.apartGoal}
	var left []contender
	for _, one := range p.all {
		if !slices.Contains(r.libraries, one.name) {
			continue
		}
		if !one.choice {
			left = append(left, contender{one, ""})
			continue
		}
		for _, name := range r.implementations {
			c := contender{one, name}
			left = append(left, c)
			if slices.Contains(r.reference, name) {
				out.Reference = append(out.Reference, c.String())
			}
		}
	}
	// A process that is started counts this one's memory as its own, so memory is measured while there is little here.
	debug.FreeOSMemory()
	var err error
	if out.Memory, err = memory(ctx, o, r); err != nil {
		return out, err
	}
	var mine, apart ours
	defer func() {
		for _, one := range []ours{mine, apart} {
			if one != nil {
				// Plans that are not freed here are freed by the collector, and a process that is not ended ends with this one.
				_ = one.Close()
			}
		}
	}()
	for round := 0; round < o.rounds || round < o.rounds+attempts && out.clean() < o.rounds; round++ {
		took := map[contender]float64{}
		for _, c := range slices.Clone(left) {
			found, err := p.launch(ctx, c.peer, r, o, c.implementation)
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(errs, "  %v\n", err)
				out.Failed = append(out.Failed, err.Error())
				left = slices.DeleteFunc(left, func(q contender) bool { return q == c })
				continue
			}
			took[c] = math.Inf(1)
			for name, s := range found {
				took[c] = min(took[c], s.Median)
				out.Peers[c.name+" "+name] = append(out.Peers[c.name+" "+name], s)
			}
		}
		if round == 0 {
			left = slices.DeleteFunc(left, func(c contender) bool {
				return took[c] > 2*slices.Min(slices.Collect(maps.Values(took))) && !slices.Contains(out.Reference, c.String())
			})
			if mine, err = r.open(); err != nil {
				return out, err
			}
			if r.apart != nil {
				if apart, err = r.apart(); err != nil {
					return out, err
				}
			}
		}
		s, err := measureOurs(ctx, mine, r.threads, o, busyShare)
		if err != nil {
			return out, err
		}
		out.Ours = append(out.Ours, s)
		if r.threads > 1 {
			if s, err = measureOurs(ctx, mine, 1, o, busyShare); err != nil {
				return out, err
			}
			out.Single = append(out.Single, s)
		}
		if apart != nil {
			// The other process's time on processors is not known, and they are idle while messages are under way.
			if s, err = measureOurs(ctx, apart, r.threads, o, 0); err != nil {
				return out, err
			}
			out.Apart = append(out.Apart, s)
		}
		out.Peak = steptime.MeasurePeak(r.threads).Better(out.Peak)
	}
	return out, nil
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
	if len(r.Apart) > 0 {
		n = min(n, count(r.Apart))
	}
	if name, _ := r.best(); name != "" {
		n = min(n, count(r.Peers[name]))
	}
	return n
}

// busyShare is the share of the time of its threads that a step of ours in one process is busy where nothing else runs.
const busyShare = 0.75

func measureOurs(ctx context.Context, mine ours, threads int, o options, share float64) (sample, error) {
	before, start, stolenBefore := processorTime(), time.Now(), stolen()
	times, err := mine.steps(ctx, threads, o.repeat, o.budget)
	if err != nil {
		return sample{}, err
	}
	wall := time.Since(start).Seconds()
	s := sample{Median: 1e3 * steptime.Median(times), Min: 1e3 * slices.Min(times), N: len(times)}
	s.CPU.User, s.CPU.Steal = (processorTime()-before)/wall, (stolen()-stolenBefore)/wall
	s.judge(threads, share)
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

// best is the fastest implementation of a peer, by its median; what was left out after the first round was far slower.
func (r *result) best() (name string, median float64) {
	return r.fastest(slices.Sorted(maps.Keys(r.Peers)))
}

// fastest is that of the named implementations which were measured.
func (r *result) fastest(names []string) (name string, median float64) {
	most := 0
	for _, n := range names {
		most = max(most, len(r.Peers[n]))
	}
	median = math.Inf(1)
	for _, n := range names {
		if all := r.Peers[n]; most > 0 && len(all) == most {
			if m, _, _ := summary(all); m < median {
				name, median = n, m
			}
		}
	}
	return name, median
}

// columns of the table; cells are those of a row.
var columns = []string{"step", "ours, ms: median (min)", "best peer, ms: median (min)", "ratio", "like the reference's, ms: median (min)", "ratio", "goal", "1 to %d threads",
	"two processes, ms: median (min)", "times one process", "goal", "memory, MB: ours", "best peer", "like the reference's", "share of products", "of multiply-adds"}

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
	against := func(name string, median float64) (peer, ratio, memory string) {
		if name == "" {
			return "", "", ""
		}
		// Memory grows no more after the first round.
		return ms(r.Peers[name]) + " " + name, fmt.Sprintf("%.2f", median/mine), megabytes(r.Peers[name][0].Memory)
	}
	peer, ratio, peerMemory := against(r.best())
	reference, referenceRatio, referenceMemory := against(r.fastest(r.Reference))
	scaling := ""
	if len(r.Single) > 0 {
		one, _, doubtful := summary(r.Single)
		if scaling = fmt.Sprintf("%.2f", one/mine); doubtful {
			scaling += " \\*"
		}
	}
	apart, times := "", ""
	if len(r.Apart) > 0 {
		median, _, _ := summary(r.Apart)
		apart, times = ms(r.Apart), fmt.Sprintf("%.2f", median/mine)
	}
	goal, apartGoal := "", ""
	if r.Goal > 0 {
		goal = fmt.Sprintf(">= %g", r.Goal)
		if len(r.Reference) > 0 {
			goal += " of the reference's"
		}
	}
	if r.ApartGoal > 0 {
		apartGoal = fmt.Sprintf("<= %g", r.ApartGoal)
	}
	share := func(peak float64) string {
		if r.FLOPs == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f%%", 100*r.FLOPs/mine/1e6/peak)
	}
	return []string{r.Name, ms(r.Ours), peer, ratio, reference, referenceRatio, goal, scaling, apart, times, apartGoal, megabytes(r.Memory), peerMemory, referenceMemory, share(r.Peak.GFLOPs), share(r.Peak.FMA)}
}

// megabytes is empty where they are not known.
func megabytes(mb float64) string {
	if mb == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", mb)
}

// share gives all rows with as many threads the best peak of any.
func share(results []result) {
	peaks := map[int]steptime.Peak{}
	for _, r := range results {
		peaks[r.Threads] = r.Peak.Better(peaks[r.Threads])
	}
	for i := range results {
		results[i].Peak = peaks[results[i].Threads]
	}
}

func (r *result) line() string { return strings.Join(r.cells()[1:], " | ") }

func printTable(out io.Writer, results []result, p *peers, o options) {
	fmt.Fprintf(out, "| "+strings.Join(columns, " | ")+" |\n", o.threads)
	fmt.Fprintln(out, "|"+strings.Repeat("---|", len(columns)))
	doubtful := false
	for _, r := range results {
		line := "| " + strings.Join(r.cells(), " | ") + " |"
		doubtful = doubtful || strings.Contains(line, "\\*")
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "\n%s, %s kernels, %s. Medians of %s of %d steps.", processor(), kernel.Variant(), runtime.Version(), english.Plural(o.rounds, "round", ""), o.repeat)
	said := map[int]bool{}
	for _, r := range results {
		if !said[r.Threads] {
			said[r.Threads] = true
			fmt.Fprintf(out, " The kernels' own products in the first-level cache reach %.0f GFLOP/s with %s, multiplications and additions in registers %.0f.", r.Peak.GFLOPs, english.Plural(r.Threads, "thread", ""), r.Peak.FMA)
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
