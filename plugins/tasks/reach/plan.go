package reach

import (
	"math"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// Plan is what happens in a trial, before it is written down as arrays.
type Plan struct {
	// Start and Target are the joints' angles (rad) at the start and of the posture that is to be reached.
	Start, Target [2]float64
	// From and To are where the hand then is, in m.
	From, To [2]float64
	// TargetOn is the first bin in which the target is shown, Go that of the go cue; -1 in a catch trial, which has none.
	TargetOn, Go int
	// BumpOn and BumpEnd are the first bin in which a force pushes the hand and the first in which it no longer does; both -1 where there is none. Bump is that force, in N.
	BumpOn, BumpEnd int
	Bump            [2]float64
}

// Catch says whether the hand is to stay.
func (p *Plan) Catch() bool { return p.Go < 0 }

// Goal is where the hand should be in bin t.
func (p *Plan) Goal(t int) [2]float64 {
	if p.Catch() || t < p.Go {
		return p.From
	}
	return p.To
}

// Force is what pushes the hand in bin t, in N.
func (p *Plan) Force(t int) [2]float64 {
	if p.BumpOn >= 0 && t >= p.BumpOn && t < p.BumpEnd {
		return p.Bump
	}
	return [2]float64{}
}

// Context is what is shown in bin t of a trial of so many bins: the target's position, from its appearance to the go cue or, where there is none, to the end, and the
// go cue of the given size. Under compat the target of a catch trial is hidden again in the last bin.
func (p *Plan) Context(t, bins int, cue float64, compat bool) (c [contexts]float64) {
	until := p.Go
	if p.Catch() {
		until = bins
		if compat {
			until--
		}
	} else if t >= p.Go {
		c[2] = cue
	}
	if t >= p.TargetOn && t < until {
		c[0], c[1] = p.To[0], p.To[1]
	}
	return c
}

// contexts is the number of inputs besides the observation: the target's x and y, and the go cue.
const contexts = 3

// bins is the length of a trial.
func (p *Params) bins() int {
	if p.simulated() {
		return p.SimBins
	}
	return p.Bins
}

func (p *Params) simulated() bool { return p.Mode == "simulation" }

// beforeGo is the number of bins before the go cue of a simulated trial in which no push begins.
const beforeGo = 3

// plan draws trial k.
func (t *reach) plan(k int64) Plan {
	var p Plan
	r := random.New(t.seed, "random-target/postures", uint64(k))
	for _, draw := range []struct {
		to     *[2]float64
		ranges [2][2]float64
	}{{&p.Start, t.start}, {&p.Target, t.target}} {
		for j, within := range draw.ranges {
			draw.to[j] = within[0] + (within[1]-within[0])*r.Float64()
		}
	}
	p.From, p.To = t.body.Hand(p.Start), t.body.Hand(p.Target)

	r = random.New(t.seed, "random-target/timing", uint64(k))
	catch := false
	p.TargetOn, p.Go = t.SimOn, t.SimGo
	if !t.simulated() {
		catch = r.Float64() < t.CatchProb
		p.TargetOn = t.TargetOn[0] + r.IntN(t.TargetOn[1]-t.TargetOn[0]+1)
		from := p.TargetOn + t.GoGap
		p.Go = from + r.IntN(t.Params.Bins-t.ReachBins-from+1)
	}
	t.bump(&p, k)
	if catch {
		p.Go = -1
	}
	return p
}

// bump draws the push of trial k, whose go cue is set: that of a catch trial is the one that it would have had.
func (t *reach) bump(p *Plan, k int64) {
	r := random.New(t.seed, "random-target/bump", uint64(k))
	bumps, afterGo := r.Float64() < t.BumpProb, r.IntN(2) == 0
	length := t.BumpBins[0] + r.IntN(t.BumpBins[1]-t.BumpBins[0]+1)
	size := t.BumpForce[0] + (t.BumpForce[1]-t.BumpForce[0])*r.Float64()
	angle := 2 * math.Pi * r.Float64()
	p.BumpOn, p.BumpEnd = -1, -1
	if !bumps {
		return
	}
	switch {
	case afterGo:
		p.BumpOn = p.Go + r.IntN(t.BumpAfter)
	case t.simulated():
		p.BumpOn = r.IntN(p.Go - beforeGo)
	default:
		p.BumpOn = r.IntN(t.Params.Bins - t.BumpBins[1] - 1)
	}
	if p.BumpOn >= t.bins() {
		p.BumpOn = -1
		return
	}
	p.BumpEnd = min(p.BumpOn+length, t.bins())
	p.Bump = [2]float64{size * math.Cos(angle), size * math.Sin(angle)}
}
