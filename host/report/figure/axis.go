package figure

import (
	"math"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// scale maps data to [0, 1] along one axis.
type scale struct {
	min, max float64
	log      bool
	// fixed is true where the figure sets the range.
	fixed bool
	// names are the labels of 0, 1, ... on a categorical axis.
	names []string
	// at are the values to mark, ascending; none where the axis may choose.
	at []float64
}

type tick struct {
	at    float64
	label string
}

// shown reports whether a value has a place on the axis.
func (s scale) shown(v float64) bool { return finite(v) && (!s.log || v >= 1/maxMagnitude) }

// norm is the place of v, 0 at min and 1 at max. It is bounded so that what lies far outside stays drawable.
func (s scale) norm(v float64) float64 {
	var t float64
	if s.log {
		t = (math.Log(v) - math.Log(s.min)) / (math.Log(s.max) - math.Log(s.min))
	} else {
		t = (v - s.min) / (s.max - s.min)
	}
	return min(max(t, -1e4), 1e4)
}

// extent collects what an axis must show.
type extent struct {
	low, high float64
	log       bool
}

func newExtent(log bool) extent {
	return extent{low: math.Inf(1), high: math.Inf(-1), log: log}
}

func (e *extent) add(values ...float64) {
	for _, v := range values {
		if finite(v) && (!e.log || v >= 1/maxMagnitude) {
			e.low, e.high = min(e.low, v), max(e.high, v)
		}
	}
}

func (e *extent) empty() bool { return e.low > e.high }

// newScale chooses the range of an axis: the figure's, the categories, or the data's with a margin (a fraction of the range) on both sides. The
// margin never takes a range that starts or ends at zero across it.
func newScale(a component.Axis, e extent, margin float64) scale {
	s := scale{log: a.Log, names: a.Ticks}
	switch {
	case a.Min < a.Max:
		s.min, s.max, s.fixed = a.Min, a.Max, true
		switch {
		case s.log && s.max/s.min < 1.001:
			s.min, s.max = s.min/2, s.max*2
		case !s.log && narrow(s.min, s.max):
			s.min, s.max = widen(s.min, s.max)
		}
		return s
	case len(a.Ticks) > 0:
		s.min, s.max, s.fixed = -0.5, float64(len(a.Ticks))-0.5, true
		return s
	case e.empty():
		s.min, s.max = 0, 1
		if s.log {
			s.min, s.max = 0.1, 10
		}
		return s
	}
	s.min, s.max = e.low, e.high
	if s.log {
		if s.max/s.min < 1.001 {
			s.min, s.max = s.min/2, s.max*2
		}
		// At the ends of the numbers a larger margin would leave them.
		f := min(math.Pow(s.max/s.min, margin), 10)
		s.min, s.max = s.min/f, s.max*f
		return s
	}
	if narrow(s.min, s.max) {
		s.min, s.max = widen(s.min, s.max)
		return s
	}
	pad := margin * (s.max - s.min)
	low, high := s.min-pad, s.max+pad
	if s.min == 0 {
		low = -pad / 3
	}
	s.min, s.max = low, high
	return s
}

// narrow reports a range that float64 cannot divide into ticks.
func narrow(low, high float64) bool {
	return high-low <= 1e-9*max(math.Abs(low), math.Abs(high)) || high-low < 1e-290
}

func widen(low, high float64) (float64, float64) {
	half := max(math.Abs(low), math.Abs(high)) * 0.1
	if half < 1e-280 {
		half = 1
	}
	mid := low/2 + high/2
	return mid - half, mid + half
}

// ticks returns the marks of the axis, at most about n of them.
func (s scale) ticks(n int) []tick {
	n = max(n, 2)
	if len(s.names) > 0 {
		step := (len(s.names) + n - 1) / n
		var out []tick
		for i := 0; i < len(s.names); i += step {
			if v := float64(i); v >= s.min && v <= s.max {
				out = append(out, tick{v, s.names[i]})
			}
		}
		return out
	}
	if s.log {
		if out := s.logTicks(n); len(out) >= 2 {
			return out
		}
	}
	return s.linearTicks(n)
}

// chosenTicks are the values that the axis was given, those that lie on it.
func (s scale) chosenTicks() []tick {
	var out []tick
	for _, v := range s.at {
		if s.shown(v) && v >= s.min && v <= s.max {
			out = append(out, tick{v, strings.ReplaceAll(strconv.FormatFloat(v, 'g', 6, 64), "-", "−")})
		}
	}
	return out
}

// linearTicks are multiples of 1, 2, 2.5 or 5 times a power of ten.
func (s scale) linearTicks(n int) []tick {
	raw := (s.max - s.min) / float64(n)
	exp := math.Floor(math.Log10(raw))
	step := math.Pow(10, exp)
	decimals := -int(exp)
	switch r := raw / step; {
	case r > 5:
		step *= 10
		decimals--
	case r > 2.5 || (r > 2 && exp == 0): // not 2.5 itself, which would number neurons in halves
		step *= 5
	case r > 2:
		step *= 2.5
		decimals++
	case r > 1:
		step *= 2
	}
	var out []tick
	large := max(math.Abs(s.min), math.Abs(s.max))
	first := math.Ceil(s.min/step - 1e-9)
	for i := range 4 * n {
		k := first + float64(i)
		v := k * step
		if v > s.max+1e-9*step {
			break
		}
		out = append(out, tick{v, number(v, k == 0, large, decimals, 4)})
	}
	// Of a range that is narrow for its distance from 0, ticks have as many digits as tell them apart.
	for digits := 5; digits <= 16 && !toldApart(out); digits++ {
		for i := range out {
			out[i].label = number(out[i].at, out[i].label == "0", large, decimals, digits)
		}
	}
	return out
}

// toldApart reports whether no two ticks have the same label.
func toldApart(ticks []tick) bool {
	seen := map[string]bool{}
	for _, t := range ticks {
		if seen[t.label] {
			return false
		}
		seen[t.label] = true
	}
	return true
}

// logTicks are the decades, thinned to n; within less than two decades also 2 and 5 times a power of ten.
func (s scale) logTicks(n int) []tick {
	low, high := math.Log10(s.min), math.Log10(s.max)
	first, last := int(math.Ceil(low-1e-9)), int(math.Floor(high+1e-9))
	step := max((last-first+n)/n, 1)
	factors := []float64{1}
	if high-low < 2 {
		factors = []float64{1, 2, 5}
	}
	var out []tick
	for e := first - 1; e <= last; e++ {
		if (e-first)%step != 0 && len(factors) == 1 {
			continue
		}
		for _, f := range factors {
			v := f * math.Pow(10, float64(e))
			if v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9) && v > 0 {
				out = append(out, tick{v, number(v, false, v, max(-e, 0), 4)})
			}
		}
	}
	return out
}

// number writes a tick's value: plain where the axis stays within 1e-4 and 1e5, else with an exponent and so many digits.
func number(v float64, zero bool, large float64, decimals, digits int) string {
	if zero {
		return "0"
	}
	var s string
	if large >= 1e5 || large < 1e-3 || decimals > 4 {
		s = strconv.FormatFloat(v, 'e', digits-1, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		sign := ""
		if exponent[0] == '-' {
			sign = "-"
		}
		s = mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
		s = strings.TrimSuffix(s, "e")
	} else {
		s = strconv.FormatFloat(v, 'f', max(decimals, 0), 64)
	}
	return strings.ReplaceAll(s, "-", "−")
}

// title is the label with its unit in brackets.
func title(label, unit string) string {
	switch {
	case unit == "":
		return label
	case label == "":
		return unit
	}
	return label + " (" + unit + ")"
}
