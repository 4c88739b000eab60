package spectra

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/dsp/fourier"
	"gonum.org/v1/gonum/dsp/window"
	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// power are spectra of trials by Welch's method.
type power struct {
	// channels of each trial: 1 where all are added up. The frequencies are 1..lines of segments of so many bins.
	channels, lines, segment int
	// of holds a row (channels, lines) for each trial, of zeros where it is too short.
	of [][]float64
	// long says which trials are long enough, used how many.
	long []bool
	used int
}

// welch estimates the spectra of each channel, or of all together. Bins are shuffled within trials for a null.
func welch(ctx context.Context, threads int, x trials.Series, segment int, together, shuffled bool, seed uint64) (*power, error) {
	d := x.Width()
	p := &power{channels: d, segment: min(segment, reached(x.Lengths)), of: make([][]float64, x.Trials()), long: make([]bool, x.Trials())}
	if p.lines = p.segment / 2; p.lines < 2 {
		return nil, trials.Omit("half of the trials or more have at most %d bins: at least 4 are needed for a power spectrum", p.segment)
	}
	if together {
		p.channels = 1
	}
	// Periodic, as a transform takes a segment to be: one bin of the symmetric window is left out.
	taper := window.Hann(bootstrap.Ones(p.segment + 1))[:p.segment]
	var used [trials.Shards]int
	err := trials.InShards(ctx, threads, x.Trials(), func(shard, from, to int) {
		buf, other, segment := make([]float64, x.Longest()*d), make([]float64, x.Longest()*d), make([]float64, p.segment)
		fft := fourier.NewFFT(p.segment)
		coefficients := make([]complex128, p.segment/2+1)
		for k := from; k < to && ctx.Err() == nil; k++ {
			out := make([]float64, p.channels*p.lines)
			p.of[k] = out
			n := x.Lengths[k]
			if n < p.segment {
				continue
			}
			used[shard]++
			p.long[k] = true
			rows := x.Read(buf, k, n)
			if shuffled {
				for to, from := range random.New(seed, "spectra/null", uint64(k)).Perm(n) {
					copy(other[to*d:(to+1)*d], rows[from*d:(from+1)*d])
				}
				rows = other[:n*d]
			}
			starts := 0
			for at := 0; at+p.segment <= n; at += max(1, p.segment/2) {
				starts++
				for c := range d {
					mean, constant := 0.0, true
					for i := range segment {
						segment[i] = rows[(at+i)*d+c]
						mean += segment[i] / float64(len(segment))
						constant = constant && segment[i] == segment[0]
					}
					// Less its mean, what rounding leaves would be taken for a spectrum.
					if constant {
						continue
					}
					for i := range segment {
						segment[i] = (segment[i] - mean) * taper[i]
					}
					fft.Coefficients(coefficients, segment)
					line := out[min(c, p.channels-1)*p.lines:][:p.lines]
					for f := range line {
						z := coefficients[f+1]
						squared := real(z)*real(z) + imag(z)*imag(z)
						// Of all frequencies but the highest of an even number of bins there is a negative one as well.
						if 2*(f+1) < p.segment {
							squared *= 2
						}
						line[f] += squared
					}
				}
			}
			for i := range out {
				out[i] /= float64(starts)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, n := range used {
		p.used += n
	}
	return p, ctx.Err()
}

// reached is the length that at least half of the trials have.
func reached(lengths []int) int {
	sorted := slices.Sorted(slices.Values(lengths))
	return sorted[(len(sorted)-1)/2]
}

// distribution of a channel's power over frequencies, trial k counting weights[k] times; false where there is no power.
func (p *power) distribution(channel int, weights []float64) ([]float64, bool) {
	out := make([]float64, p.lines)
	for k, w := range weights {
		if w != 0 {
			floats.AddScaled(out, w, p.of[k][channel*p.lines:(channel+1)*p.lines])
		}
	}
	total := floats.Sum(out)
	if !(total > 0) {
		return nil, false
	}
	floats.Scale(1/total, out)
	return out, true
}

// hellinger is the distance of two distributions.
func hellinger(p, q []float64) float64 {
	sum := 0.0
	for f, v := range p {
		// The root of squared differences keeps the digits that 1 less a sum near 1 would lose.
		r := math.Sqrt(v) - math.Sqrt(q[f])
		sum += r * r
	}
	return math.Sqrt(sum / 2)
}

// wasserstein is the least work of moving one distribution onto the other along a line, between frequencies df apart (W1; Vallender 1974).
func wasserstein(p, q []float64, df float64) float64 {
	sum, ahead := 0.0, 0.0
	for f, v := range p {
		ahead += v - q[f]
		sum += math.Abs(ahead) * df
	}
	return sum
}

// apart is a distance between two subjects' spectra: the mean over channels in which both have power.
type apart struct {
	x, y     *power
	distance func(p, q []float64) float64
}

var _ bootstrap.Distances = apart{}

// Trials implements [bootstrap.Statistic].
func (a apart) Trials() int { return len(a.x.of) }

// Value implements [bootstrap.Statistic].
func (a apart) Value(weights []float64) float64 { return bootstrap.Mean(a.Parts(weights)) }

// Parts implements [bootstrap.Distances].
func (a apart) Parts(weights []float64) []float64 {
	out := make([]float64, a.x.channels)
	for c := range out {
		out[c] = math.NaN()
		p, ok := a.x.distribution(c, weights)
		if !ok {
			continue
		}
		if q, ok := a.y.distribution(c, weights); ok {
			out[c] = a.distance(p, q)
		}
	}
	return out
}
