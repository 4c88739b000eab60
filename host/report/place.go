package report

import (
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/summary"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// place is where the values of an axis stand in a figure.
type place struct {
	axis component.Axis
	// x is the place of each value of the axis, ticks the places to mark where it is numeric.
	x, ticks []float64
	numeric  bool
	// width is the room around a value, in the axis's own units or, where it is logarithmic, in those of its logarithm; margin is the room to the left of all
	// values, for runs that are the same at each.
	width, margin float64
}

// placeOf gives an axis of numbers a numeric scale, which is logarithmic where they are spread that way, and any other one place after the other.
func placeOf(a artifact.StudyAxis, subjects int) place {
	values, numeric := summary.Numbers(a)
	if !numeric || len(values) < 2 {
		p := place{axis: component.Axis{Label: a.Label}, width: 0.75}
		for i, v := range a.Values {
			p.x = append(p.x, float64(i))
			p.axis.Ticks = append(p.axis.Ticks, artifact.FormatValue(v))
		}
		return p
	}
	p := place{axis: component.Axis{Label: a.Label, Log: geometric(values)}, x: values, ticks: values, numeric: true}
	along := slices.Clone(values)
	slices.Sort(along)
	if p.axis.Log {
		for i, v := range along {
			along[i] = math.Log(v)
		}
	}
	span, gap := along[len(along)-1]-along[0], math.Inf(1)
	for i := range along[1:] {
		gap = min(gap, along[i+1]-along[i])
	}
	// A crowd of values must not make the runs of one indistinguishable; two far apart need not fill the panel.
	p.width = min(max(0.6*gap, 0.012*span*float64(subjects)), 0.14*span*math.Sqrt(float64(subjects)))
	return p
}

// geometric reports whether values are better told apart on a logarithmic scale: all positive, over a factor of 4 at least, and their ratios more even than
// their differences; of two values, whether they are a decade apart.
func geometric(values []float64) bool {
	v := slices.Clone(values)
	slices.Sort(v)
	ratio := v[len(v)-1] / v[0]
	if v[0] <= 0 || ratio < 4 {
		return false
	}
	if len(v) == 2 {
		return ratio >= 10
	}
	var steps, logs []float64
	for i := range v[1:] {
		steps, logs = append(steps, v[i+1]-v[i]), append(logs, math.Log(v[i+1]/v[i]))
	}
	s, l := summary.Of(steps), summary.Of(logs)
	return l.SD/l.Mean < s.SD/s.Mean
}

// shift moves a place sideways by a share of the room around it, from -0.5 to 0.5.
func (p place) shift(x, share float64) float64 {
	if p.axis.Log {
		return x * math.Exp(share*p.width)
	}
	return x + share*p.width
}

// bounds gives the axis room for the runs beside its outermost values, and for the margin.
func (p place) bounds() component.Axis {
	a := p.axis
	if !p.numeric {
		a.Min, a.Max = -0.5-p.margin, float64(len(p.x))-0.5
		return a
	}
	low, high := slices.Min(p.x), slices.Max(p.x)
	if a.Log {
		edge := math.Exp(0.65*p.width) * math.Pow(high/low, 0.03)
		a.Min, a.Max = low/edge/math.Exp(p.margin), high*edge
		return a
	}
	edge := 0.65*p.width + 0.03*(high-low)
	a.Min, a.Max = low-edge-p.margin, high+edge
	return a
}

// withMargin makes room for the runs of series that are the same along the whole axis.
func (p place) withMargin() place {
	switch {
	case !p.numeric:
		p.margin = 0.08 * float64(len(p.x))
	case p.axis.Log:
		p.margin = 0.1 * math.Log(slices.Max(p.x)/slices.Min(p.x))
	default:
		p.margin = 0.1 * (slices.Max(p.x) - slices.Min(p.x))
	}
	return p
}

// inMargin is a place in the margin, from 0 at its left to 1.
func (p place) inMargin(share float64) float64 {
	low := p.bounds().Min
	if p.axis.Log {
		return low * math.Exp(share*p.margin)
	}
	return low + share*p.margin
}

// slot is the room of one subject beside the others at each value of an axis.
type slot struct {
	place
	k, of int
}

// at is the middle of the slot at the i-th value of the axis, moved by a share of it.
func (s slot) at(i int, share float64) float64 {
	return s.shift(s.x[i], (float64(s.k)+0.5+share)/float64(s.of)-0.5)
}
