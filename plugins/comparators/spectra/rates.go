package spectra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// scaled is a statistic in another unit.
type scaled struct {
	bootstrap.Statistic
	by float64
}

func (s scaled) Value(weights []float64) float64 { return s.by * s.Statistic.Value(weights) }

// ofDynamics are the Lyapunov exponents of a subject and what follows from them.
func (c *comparison) ofDynamics(ctx context.Context, e *examined) ([]component.Result, error) {
	if c.Exponents == 0 {
		return nil, nil
	}
	var out []component.Result
	// add reports a statistic, its interval widened by the error that is left since trials are finite; a reason for no value is one for none of it.
	add := func(metric, unit, reason string, s bootstrap.Statistic, left float64) error {
		r := result(metric, e.Label, unit, component.Neither)
		r.Reason = reason
		if s != nil {
			r.N = int64(s.Trials())
			if v := s.Value(bootstrap.Ones(s.Trials())); v-v == 0 {
				r.Value = v
				var err error
				if r.Low, r.High, err = c.interval(ctx, s); err != nil {
					return err
				}
				switch {
				case c.Resamples > 0 && s.Trials() < 2:
					r.Reason = trials.Join(r.Reason, "no interval, which needs 2 trials")
				case c.Resamples > 0 && math.IsInf(left, 0):
					r.Low, r.High, r.Reason = math.NaN(), math.NaN(), trials.Join(r.Reason, tooShort)
				default:
					r.Low, r.High = r.Low-left, r.High+left
				}
			}
		}
		out = append(out, r)
		return nil
	}
	if e.err != nil {
		return out, errors.Join(add("lyapunov/1", c.rate, e.err.Error(), nil, 0), add("kaplan_yorke_dimension", "", e.err.Error(), nil, 0))
	}
	for j := range min(c.Reported, len(e.exponents)) {
		s, left, reason := e.sums.statistic(j), e.left(j, j+1), ""
		if j == 0 {
			reason = e.limits
		}
		reason = trials.Join(reason, e.unsettled(c, j))
		if err := add(fmt.Sprintf("lyapunov/%d", j+1), c.rate, reason, scaled{s, 1 / c.dt}, left/c.dt); err != nil {
			return nil, err
		}
		if c.rate != perBin {
			if err := add(fmt.Sprintf("lyapunov_per_bin/%d", j+1), perBin, "", s, left); err != nil {
				return nil, err
			}
		}
	}
	n := len(e.exponents)
	reason := ""
	if !e.all {
		reason = fmt.Sprintf("of the leading %d exponents of a state of %d elements", n, e.layout.Size)
	}
	if err := add("lyapunov_sum", c.rate, reason, scaled{e.sums.leading(n), 1 / c.dt}, e.left(0, n)/c.dt); err != nil {
		return nil, err
	}
	reason, err := c.undecided(ctx, e)
	if err != nil {
		return nil, err
	}
	dimension := e.sums.function(func(l []float64) float64 { return kaplanYorke(falling(l), e.all) })
	switch v := dimension.Value(bootstrap.Ones(dimension.Trials())); {
	case math.IsNaN(v):
		err = add("kaplan_yorke_dimension", "", fmt.Sprintf("the sum of the first %d exponents is not negative: more are needed (exponents)", n), nil, 0)
	case reason != "":
		err = add("kaplan_yorke_dimension", "", reason, nil, 0)
	default:
		left := 0.0
		if early, late, ok := e.halves(0, n); ok {
			if left = math.Abs(kaplanYorke(falling(early), e.all) - kaplanYorke(falling(late), e.all)); left-left != 0 {
				left = 0
			}
		}
		err = add("kaplan_yorke_dimension", "", "", dimension, left)
	}
	if err != nil {
		return nil, err
	}
	drift := result("lyapunov_drift", e.Label, c.rate, component.Neither)
	if _, _, ok := e.halves(0, 1); ok {
		drift.Value, drift.N = e.left(0, 1)/c.dt, int64(len(e.sums.bins))
	} else {
		drift.Reason = "trials are too short for two halves"
	}
	return append(out, drift), nil
}

// tooShort is why there is no interval where nothing is known of what has settled.
const tooShort = "no interval: trials are too short for two halves, which would say what has settled"

// settled is how near 0 the sum of exponents, per bin, is 0 to rounding.
const settled = 1e-9

// unsettled says so where exponent j may be anything up to as much again, so that its sign is not known.
func (e *examined) unsettled(c *comparison, j int) string {
	left := e.left(j, j+1)
	if left < math.Abs(e.exponents[j]) || left < settled {
		return ""
	}
	if early, late, ok := e.halves(j, j+1); ok {
		return fmt.Sprintf("not settled: %.3g over the first half of the trials, %.3g over the second, so that its sign is not known", early[0]/c.dt, late[0]/c.dt)
	}
	return ""
}

// undecided says which sum of leading exponents, whose signs say between which whole numbers the Kaplan-Yorke dimension is, may be above or below 0; it is empty where none is.
func (c *comparison) undecided(ctx context.Context, e *examined) (string, error) {
	for n := 1; n <= len(e.exponents); n++ {
		s := e.sums.leading(n)
		v := s.Value(bootstrap.Ones(s.Trials()))
		low, high, err := c.interval(ctx, s)
		if err != nil {
			return "", err
		}
		if low-low != 0 {
			low, high = v, v
		}
		left := max(e.left(0, n), settled)
		if math.IsInf(left, 0) {
			return "trials are too short for two halves, which would say whether the exponents have settled", nil
		}
		low, high = low-left, high+left
		if low <= 0 && high >= 0 {
			what := "the first exponent"
			if n > 1 {
				what = fmt.Sprintf("the sum of the first %d exponents", n)
			}
			return fmt.Sprintf("%s is between %.3g and %.3g %s: whether it is above 0, by which the dimension jumps, is not settled", what, low/c.dt, high/c.dt, c.rate), nil
		}
		if v < 0 {
			break
		}
	}
	return "", nil
}

// left is the error that is left of the sum of exponents [from, to), per bin, since trials are finite: how far it is over the second half of the trials from that over the first, or, where it is more, by how much the
// running sum leaves a straight line over the time that counts. What directions gain and lose again as they turn in coordinates that are stretched is within the latter.
func (e *examined) left(from, to int) float64 {
	early, late, ok := e.halves(from, to)
	if !ok {
		return math.Inf(1)
	}
	change := 0.0
	for j := range early {
		change += late[j] - early[j]
	}
	off := e.off(from, to)
	return max(math.Abs(change), slices.Max(off)-slices.Min(off))
}

// off is how far the running sum of exponents [from, to) is from a straight line to its end at each mark, over all time that counts: 0 at both ends.
func (e *examined) off(from, to int) []float64 {
	directions, last := e.sums.order()[from:to], len(e.sums.at)-1
	bins := e.sums.counted(e.drive.steps, last)
	out := make([]float64, last+2)
	for mark := range e.sums.at {
		part := e.sums.counted(e.drive.steps, mark) / bins
		for _, direction := range directions {
			out[1+mark] += e.sums.summed(mark, direction)/bins - part*e.sums.summed(last, direction)/bins
		}
	}
	return out
}

// halves are exponents [from, to) before and after the middle of what counts, per bin.
func (e *examined) halves(from, to int) (early, late []float64, ok bool) {
	if len(e.sums.at) < 2 {
		return nil, nil, false
	}
	middle, last := len(e.sums.at)-1, len(e.sums.at)-1
	all := e.sums.counted(e.drive.steps, last)
	for middle > 0 && e.sums.counted(e.drive.steps, middle) > all/2 {
		middle--
	}
	nEarly := e.sums.counted(e.drive.steps, middle)
	if nEarly == 0 || nEarly == all {
		return nil, nil, false
	}
	for _, direction := range e.sums.order()[from:to] {
		a, b := e.sums.summed(middle, direction), e.sums.summed(last, direction)
		early, late = append(early, a/nEarly), append(late, (b-a)/(all-nEarly))
	}
	return early, late, true
}

// counted is the number of bins that count until a mark, over all trials.
func (e *exponents) counted(steps []int, mark int) float64 {
	total := 0.0
	for k, n := range steps {
		begin := n - int(e.bins[k])
		total += float64(max(0, min(e.at[mark], n)-begin))
	}
	return total
}

// summed is the sum of direction j until a mark, over all trials.
func (e *exponents) summed(mark, j int) float64 {
	n, total := len(e.bins), 0.0
	for k := range n {
		total += e.running[(mark*n+k)*e.count+j]
	}
	return total
}

// order are the directions with finite exponents, by falling exponents over all trials: they come in that order but for those that are nearly equal, or that have not settled. It is that of all
// that is reported, drawn and resampled.
func (e *exponents) order() []int {
	total := make([]float64, e.finite)
	out := make([]int, e.finite)
	for j := range out {
		out[j] = j
		for k := range e.bins {
			total[j] += e.logs[k*e.count+j]
		}
	}
	slices.SortStableFunc(out, func(i, j int) int { return cmp.Compare(total[j], total[i]) })
	return out
}

// leading is the sum of the n leading exponents, per bin.
func (e *exponents) leading(n int) bootstrap.Statistic {
	return e.function(func(l []float64) float64 {
		total := 0.0
		for _, v := range l[:n] {
			total += v
		}
		return total
	})
}

// exponentsApart is the mean difference of the n leading exponents of two subjects whose trials are the same where their numbers are.
type exponentsApart struct {
	x, y *examined
	n    int
	dt   float64
}

// Trials implements [bootstrap.Statistic]: there is no interval where the trials are not the same.
func (a exponentsApart) Trials() int {
	if len(a.x.sums.bins) != len(a.y.sums.bins) {
		return 1
	}
	return len(a.x.sums.bins)
}

// Value implements [bootstrap.Statistic].
func (a exponentsApart) Value(weights []float64) float64 { return bootstrap.Mean(a.Parts(weights)) }

// Parts implements [bootstrap.Distances].
func (a exponentsApart) Parts(weights []float64) []float64 {
	of := func(e *exponents) (out []float64) {
		w := weights
		if len(w) != len(e.bins) {
			w = bootstrap.Ones(len(e.bins))
		}
		e.function(func(l []float64) float64 {
			out = l
			return 0
		}).Value(w)
		return out
	}
	x, y, apart := of(a.x.sums), of(a.y.sums), make([]float64, a.n)
	for j := range apart {
		apart[j] = math.Abs(x[j]-y[j]) / a.dt
	}
	return apart
}

// left is that of the difference of exponent j: what both have in common, as of the same inputs, is in neither.
func (a exponentsApart) left(j int) float64 {
	earlyX, lateX, okX := a.x.halves(j, j+1)
	earlyY, lateY, okY := a.y.halves(j, j+1)
	if !okX || !okY {
		return math.Inf(1)
	}
	if !slices.Equal(a.x.sums.at, a.y.sums.at) {
		return a.x.left(j, j+1) + a.y.left(j, j+1)
	}
	off := a.x.off(j, j+1)
	for i, v := range a.y.off(j, j+1) {
		off[i] -= v
	}
	return max(math.Abs(lateX[0]-lateY[0]-earlyX[0]+earlyY[0]), slices.Max(off)-slices.Min(off))
}

// unsettled widens the interval of a distance by what is left of the errors of exponents, and says where that is as large as the distance.
func (a exponentsApart) unsettled(r *component.Result) {
	left := 0.0
	for j := range a.n {
		left += a.left(j) / a.dt / float64(a.n)
	}
	if math.IsInf(left, 0) {
		r.Low, r.High, r.Reason = math.NaN(), math.NaN(), trials.Join(r.Reason, tooShort)
		return
	}
	r.Low, r.High = max(0, r.Low-left), r.High+left
	if left >= r.Value && left*a.dt >= settled {
		r.Reason = trials.Join(r.Reason, fmt.Sprintf("not settled: trials are so short that it is known to %.3g", left))
	}
}
