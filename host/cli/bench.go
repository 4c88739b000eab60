package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

func (p Program) benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure how fast this machine takes training steps", OnUsageError: onUsage,
		Description: "Takes whole training steps of the built-in kernels in float32: forward, a linear readout and its squared error in every bin, backpropagation through time, clipping, Adam. " +
			"Names give the cell (gru, lstm, rnn of tanh units, node), trials (B), bins (T), inputs (I) and units (H). A bidirectional case is an encoder: both directions and a readout of their " +
			"final states.\n\n" +
			"Milliseconds are the median and the smallest of the steps that were timed. Operations counted are those of the matrix products that the step cannot do without, two for each " +
			"multiplication and addition. The peak is what the same kernels reach on matrices in the first-level cache, with as many threads; it is the best of all times that it was measured, before " +
			"and after each case. Measure on a machine that does nothing else.",
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.IntFlag{Name: "threads", Value: machine.Threads(), Usage: "measure with one thread and with `N`"},
			&cli.StringSliceFlag{Name: "cases", Usage: "measure those whose name has `TEXT` in it, or a case of that name, e.g. gru/B=64/T=100/I=2/H=32 (may be repeated; default: all)"},
			&cli.IntFlag{Name: "repeat", Value: 15, Usage: "time at most `N` steps with each number of threads"},
			&cli.DurationFlag{Name: "time", Value: 10 * time.Second, Usage: "end a case after `TIME`, but not before three steps are timed; 0s does not"},
		},
		Action: p.bench,
	}
}

func (p Program) bench(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("bench: no arguments are needed, got %q", c.Args().First())
	}
	threads, repeat, limit := c.Int("threads"), c.Int("repeat"), c.Duration("time")
	switch {
	case threads < 1 || threads > maxBenchThreads:
		return usagef("--threads %d: 1 to %d are allowed", threads, maxBenchThreads)
	case repeat < 1:
		return usagef("--repeat %d: at least 1 is needed", repeat)
	case limit < 0:
		return usagef("--time %v: a time of at least 0 is needed, e.g. 10s", limit)
	}
	if err := kernel.CheckVariant(); err != nil {
		return usageError{err}
	}
	cases, err := chooseCases(c.StringSlice("cases"))
	if err != nil {
		return err
	}
	free := uint64(max(machine.ReadMemory().Free(), 0))
	for _, one := range cases {
		need, err := one.Bytes(threads)
		if err != nil {
			return usageError{err}
		}
		if free > 0 && need > free {
			return usagef("--cases %s: it takes %s of memory with --threads %d, and %s are free", one.Name(), size(int64(need)), threads, size(int64(free)))
		}
	}
	numbers := []int{1, threads}
	report, err := steptime.Measure(c.Context, cases, steptime.Options{Threads: slices.Compact(numbers), Repeat: repeat, Time: limit, Started: p.benchProgress(len(cases))})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(struct {
			Program   string `json:"program"`
			Processor string `json:"processor"`
			steptime.Report
		}{Version(), machine.Processor(), report})
	}
	p.printBench(report)
	return nil
}

// maxBenchThreads is far above what a step of few hundred trials can use.
const maxBenchThreads = 1024

// benchProgress says what is measured, where somebody looks on.
func (p Program) benchProgress(total int) func(steptime.Case) {
	s, done := newScreen(p.Err), 0
	if !s.terminal {
		return nil
	}
	return func(c steptime.Case) {
		done++
		fmt.Fprintf(p.Err, "%d of %d: %s\n", done, total, c.Name())
	}
}

// chooseCases returns the cases that filters name, each once; all where there are none.
func chooseCases(filters []string) ([]steptime.Case, error) {
	all := steptime.Cases()
	if len(filters) == 0 {
		return all, nil
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name())
	}
	var out []steptime.Case
	add := func(c steptime.Case) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for _, f := range filters {
		own, err := steptime.Parse(f)
		if err == nil {
			add(own)
			continue
		}
		found := false
		for i, c := range all {
			if f != "" && strings.Contains(names[i], f) {
				found = true
				add(c)
			}
		}
		switch {
		case found:
		case strings.Contains(f, "="):
			return nil, usagef("--cases %s: no case has that in its name, nor is it one: %w", f, err)
		default:
			return nil, usagef("--cases %q: no case has that in its name; they are %s", f, strings.Join(names, ", "))
		}
	}
	return out, nil
}

func (p Program) printBench(r steptime.Report) {
	fmt.Fprintf(p.Out, "%s, %s kernels, float32; matrix products reach", machine.Processor(), r.Variant)
	for i, peak := range r.Peaks {
		lead := ""
		if i > 0 {
			lead = ","
		}
		fmt.Fprintf(p.Out, "%s %.1f GFLOP/s with %s", lead, peak.GFLOPs, english.Plural(peak.Threads, "thread", ""))
	}
	fmt.Fprint(p.Out, "; of what multiplications and additions in registers reach that is")
	for i, peak := range r.Peaks {
		lead := ""
		if i > 0 {
			lead = ","
		}
		fmt.Fprintf(p.Out, "%s %.0f%%", lead, 100*peak.GFLOPs/peak.FMA)
	}
	fmt.Fprint(p.Out, "\n\n")
	t := p.table("step", "threads", "median ms", "min ms", "GFLOP/s", "of peak", "speed-up", "steps")
	for _, c := range r.Cases {
		for i, run := range c.Runs {
			faster := ""
			if i > 0 {
				faster = fmt.Sprintf("%.2f", c.Scaling)
			}
			t.AppendRow(table.Row{c.Case, run.Threads, fmt.Sprintf("%.2f", run.MedianMS), fmt.Sprintf("%.2f", run.MinMS), fmt.Sprintf("%.1f", run.GFLOPs), fmt.Sprintf("%.0f%%", 100*run.PeakShare), faster, run.Steps})
		}
	}
	var right []table.ColumnConfig
	for _, name := range []string{"threads", "median ms", "min ms", "GFLOP/s", "of peak", "speed-up", "steps"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	t.Render()
}
