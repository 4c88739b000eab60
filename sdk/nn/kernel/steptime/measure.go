package steptime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Options say how to measure.
type Options struct {
	// Threads are the numbers of threads to measure with, each at least 1.
	Threads []int
	// Repeat is how many steps are timed with each, at least 1. Two more before them are not.
	Repeat int
	// Time ends the measurement of a case earlier, but not before three steps are timed with each number of threads; 0 does not.
	Time time.Duration
	// Started is told of each case before it is measured; nil is not.
	Started func(Case)
}

// Report is what was measured.
type Report struct {
	// Variant is the instruction set of the kernels.
	Variant string `json:"variant"`
	// Peaks are by number of threads.
	Peaks []Peak   `json:"peaks"`
	Cases []Result `json:"cases"`
}

// Peak is the best of all times that it was measured, before and after each case: the rate of the kernels' own products in the first-level cache, and beside it that of
// multiplications and additions in registers, which tells products that are slow.
type Peak struct {
	Threads int     `json:"threads"`
	GFLOPs  float64 `json:"gflop_per_s"`
	FMA     float64 `json:"multiply_add_gflop_per_s"`
}

// Result is that of one case.
type Result struct {
	Case string `json:"case"`
	// FLOPs is the number of floating-point operations of a step.
	FLOPs float64  `json:"flop_per_step"`
	Runs  []Timing `json:"runs"`
	// Scaling is how many times faster the most threads are than the fewest, by the medians; 1 where there is one number of threads.
	Scaling float64 `json:"scaling"`
}

// Timing is that with one number of threads.
type Timing struct {
	Threads  int     `json:"threads"`
	Steps    int     `json:"steps"`
	MedianMS float64 `json:"median_ms"`
	MinMS    float64 `json:"min_ms"`
	// GFLOPs is the rate by the median, and PeakShare what that is of the peak with as many threads.
	GFLOPs    float64 `json:"gflop_per_s"`
	PeakShare float64 `json:"share_of_peak"`
}

// Measure times cases one after the other. Numbers of threads take turns, step by step, so that all of them see the same machine. The error is the context's, or a case's.
func Measure(ctx context.Context, cases []Case, o Options) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	report := Report{Variant: kernel.Variant()}
	for _, n := range o.Threads {
		report.Peaks = append(report.Peaks, Peak{Threads: n})
	}
	peaks := func() {
		for i := range report.Peaks {
			report.Peaks[i] = report.Peaks[i].Better(MeasurePeak(report.Peaks[i].Threads))
		}
	}
	for _, c := range cases {
		if o.Started != nil {
			o.Started(c)
		}
		peaks()
		r, err := measure(ctx, c, o)
		if err != nil {
			return Report{}, err
		}
		report.Cases = append(report.Cases, r)
		peaks()
	}
	for _, r := range report.Cases {
		for i := range r.Runs {
			r.Runs[i].PeakShare = r.Runs[i].GFLOPs / report.Peaks[i].GFLOPs
		}
	}
	return report, nil
}

func (o Options) check() error {
	if len(o.Threads) == 0 {
		return fmt.Errorf("steptime: Threads: none are given, want at least one number")
	}
	for _, n := range o.Threads {
		if n < 1 {
			return fmt.Errorf("steptime: Threads: got %d, want at least 1", n)
		}
	}
	if o.Repeat < 1 {
		return fmt.Errorf("steptime: Repeat: got %d, want at least 1", o.Repeat)
	}
	if o.Time < 0 {
		return fmt.Errorf("steptime: Time: got %v, want at least 0", o.Time)
	}
	return nil
}

func measure(ctx context.Context, c Case, o Options) (r Result, err error) {
	s, err := New(c, slices.Max(o.Threads))
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	const untimed, least = 2, 3
	times := make([][]float64, len(o.Threads))
	var start time.Time
	for step := range untimed + o.Repeat {
		if step == untimed {
			start = time.Now()
		}
		if step >= untimed+least && o.Time > 0 && time.Since(start) >= o.Time {
			break
		}
		for i, n := range o.Threads {
			if err := ctx.Err(); err != nil {
				return Result{}, fmt.Errorf("steptime: %w", err)
			}
			begin := time.Now()
			if _, err := s.Run(n); err != nil {
				return Result{}, fmt.Errorf("steptime: case %s: %w", c.Name(), err)
			}
			if step >= untimed {
				times[i] = append(times[i], time.Since(begin).Seconds())
			}
		}
	}
	r = Result{Case: c.Name(), FLOPs: c.FLOPs()}
	for i, n := range o.Threads {
		m := Median(times[i])
		r.Runs = append(r.Runs, Timing{Threads: n, Steps: len(times[i]), MedianMS: 1e3 * m, MinMS: 1e3 * slices.Min(times[i]), GFLOPs: r.FLOPs / m / 1e9})
	}
	few, many := slices.MinFunc(r.Runs, byThreads), slices.MaxFunc(r.Runs, byThreads)
	r.Scaling = few.MedianMS / many.MedianMS
	return r, nil
}

func byThreads(a, b Timing) int { return a.Threads - b.Threads }

// Median is that of at least one number.
func Median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// MeasurePeak is what the processor reaches with so many threads at once: each the best of five times 2 ms, with each of [kernel.CacheProducts].
func MeasurePeak(threads int) Peak {
	p := Peak{Threads: threads, FMA: rate(threads, kernel.MultiplyAdds[float32]{})}
	for _, product := range kernel.CacheProducts[float32]() {
		p.GFLOPs = max(p.GFLOPs, rate(threads, product))
	}
	return p
}

// Better has the higher rates of both.
func (p Peak) Better(q Peak) Peak {
	p.GFLOPs, p.FMA = max(p.GFLOPs, q.GFLOPs), max(p.FMA, q.FMA)
	return p
}

// rate is that of something that can be repeated, in GFLOP/s.
func rate(threads int, r interface {
	Repeat(times int) float64
	FLOPs() float64
}) float64 {
	const tries, target = 5, 2 * time.Millisecond
	times := 1
	for {
		begin := time.Now()
		r.Repeat(times)
		if took := time.Since(begin); took > target/4 {
			times = max(1, int(float64(times)*float64(target)/float64(took)))
			break
		}
		times *= 4
	}
	best := 0.0
	for range tries {
		var wg sync.WaitGroup
		begin := time.Now()
		for range threads - 1 {
			wg.Go(func() { r.Repeat(times) })
		}
		r.Repeat(times)
		wg.Wait()
		best = max(best, float64(threads)*float64(times)*r.FLOPs()/time.Since(begin).Seconds()/1e9)
	}
	return best
}
