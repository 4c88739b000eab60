package multitask

import (
	"math"
	"math/rand/v2"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// Plan is what happens in a trial, before it is written down as arrays.
type Plan struct {
	Rule Rule
	// Starts holds the first bin of each phase; one that the rule lacks is empty and starts where the next one does. The last element is the trial's end.
	Starts [Phases + 1]int
	// Theta1 and Theta2 are the angles of the first and the second stimulus, in rad; Theta2 is 0 where there is one stimulus.
	Theta1, Theta2 float64
	// A and B are the two magnitudes, of the first and of the second stimulus, that the decision tasks show; 0 in others.
	A, B [2]float64
}

// End is the number of bins of the trial.
func (p *Plan) End() int { return p.Starts[Phases] }

// Answer is the direction of the right response as a unit vector, or (0, 0) where the right response is none.
func (p *Plan) Answer() (cos, sin float64) {
	theta, sign := p.Theta1, 1.0
	switch p.Rule {
	case DelayAnti, MemoryAnti, ReactAnti:
		sign = -1
	case IntMod1, IntMod2, ContextIntMod1:
		theta = p.larger(p.A)
	case ContextIntMod2:
		theta = p.larger(p.B)
	case ContextIntMultimodal:
		theta = p.larger([2]float64{p.A[0] + p.B[0], p.A[1] + p.B[1]})
	case Match2Sample, NonMatch2Sample, MatchCatPro, MatchCatAnti:
		if !p.agrees() {
			return 0, 0
		}
		theta = p.Theta2
	}
	return sign * math.Cos(theta), sign * math.Sin(theta)
}

// larger is the angle of the stimulus of the larger magnitude, of the first where both are the same.
func (p *Plan) larger(m [2]float64) float64 {
	if m[0] >= m[1] {
		return p.Theta1
	}
	return p.Theta2
}

// sameAngle is the distance below which two angles are the same: those that are not differ by 10 degrees or more.
const sameAngle = 1e-6

// agrees says whether the second stimulus of a match task is to be answered.
func (p *Plan) agrees() bool {
	switch p.Rule {
	case Match2Sample:
		return distance(p.Theta1, p.Theta2) < sameAngle
	case NonMatch2Sample:
		return distance(p.Theta1+math.Pi, p.Theta2) < sameAngle
	case MatchCatPro:
		return (p.Theta1 < 0) == (p.Theta2 < 0)
	}
	return (p.Theta1 < 0) != (p.Theta2 < 0)
}

// distance between two angles, 0 to pi.
func distance(a, b float64) float64 { return math.Abs(math.Remainder(a-b, 2*math.Pi)) }

// angles is the number of directions that a first stimulus can have.
const angles = 32

// angle draws one of the directions, evenly on [-pi, pi).
func angle(r *rand.Rand) float64 { return -math.Pi + float64(r.IntN(angles))*2*math.Pi/angles }

// plan draws trial k.
func (t *multitask) plan(k int64) Plan {
	p := Plan{Rule: t.rules[t.order[k]]}
	r := random.New(t.seed, "multitask/phases", uint64(k))
	ranges, next := t.ranges[p.Rule.kind()], 0
	for _, phase := range p.Rule.kind().phases() {
		for next < int(phase) {
			next++
			p.Starts[next] = p.Starts[next-1]
		}
		low, high := ranges[phase][0], ranges[phase][1]
		next++
		p.Starts[next] = p.Starts[next-1] + low + r.IntN(high-low+1)
	}
	p.stimuli(random.New(t.seed, "multitask/stimuli", uint64(k)), t.MatchProb, t.Compat)
	return p
}

// stimuli draws what is shown.
func (p *Plan) stimuli(r *rand.Rand, matchProb float64, compat bool) {
	p.Theta1 = angle(r)
	switch p.Rule.kind() {
	case decision:
		p.Theta2 = math.Mod(p.Theta1+math.Pi/2+math.Pi*r.Float64()+2*math.Pi, 2*math.Pi)
		for {
			var a, b float64
			p.A, a = magnitudes(r)
			p.B, b = magnitudes(r)
			// Where the two modalities contradict each other to the same degree, their sum has no larger stimulus.
			if compat || p.Rule != ContextIntMultimodal || a != -b {
				return
			}
		}
	case match:
		other := float64(10+r.IntN(340)) * math.Pi / 180
		switch p.Rule {
		case Match2Sample, NonMatch2Sample:
			p.Theta2 = p.Theta1
			if p.Rule == NonMatch2Sample {
				p.Theta2 += math.Pi
			}
			if !(r.Float64() < matchProb) {
				p.Theta2 += other
			}
		default:
			p.Theta2 = angle(r)
		}
	}
}

// magnitudes draws those of one modality, m+c*s and m-c*s, and gives the evidence c*s for the first.
func magnitudes(r *rand.Rand) (both [2]float64, evidence float64) {
	m := 0.8 + 0.4*r.Float64()
	evidence = [...]float64{0.08, 0.16, 0.32}[r.IntN(3)]
	if r.IntN(2) == 0 {
		evidence = -evidence
	}
	return [2]float64{m + evidence, m - evidence}, evidence
}
