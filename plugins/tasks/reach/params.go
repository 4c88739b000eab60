package reach

import (
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the task's parameters. Lists of two numbers are the least and the most, both included; lists of four are two such ranges.
type Params struct {
	Trials    int       `param:"n_trials" default:"1000" min:"2" max:"100000000" unit:"trial" doc:"number of trials, split 80/20 into training and validation"`
	Bins      int       `param:"n_timesteps" default:"300" min:"6" max:"100000" unit:"bin" doc:"length of a trial in mode training"`
	TargetOn  []int     `param:"target_on" default:"10,29" min:"0" max:"100000" unit:"bin" doc:"first and last bin in which the target may appear, in mode training"`
	GoGap     int       `param:"go_gap" default:"5" min:"1" max:"100000" unit:"bin" doc:"fewest bins from the target's appearance to the go cue, in mode training; how many it is is drawn evenly"`
	ReachBins int       `param:"reach_bins" default:"1" min:"1" max:"100000" unit:"bin" doc:"fewest bins from the go cue to the trial's end, in mode training"`
	CatchProb float64   `param:"catch_prob" default:"0.2" min:"0" max:"1" doc:"probability of a trial without a go cue, in which the hand must stay, in mode training"`
	SimBins   int       `param:"sim_timesteps" default:"155" min:"6" max:"100000" unit:"bin" doc:"length of a trial in mode simulation"`
	SimOn     int       `param:"sim_target_on" default:"30" min:"0" max:"100000" unit:"bin" doc:"bin in which the target appears, in mode simulation"`
	SimGo     int       `param:"sim_go" default:"70" min:"1" max:"100000" unit:"bin" doc:"bin of the go cue, in mode simulation"`
	BumpProb  float64   `param:"bump_prob" default:"0.5" min:"0" max:"1" doc:"probability that a force pushes the hand in a trial; one that would begin after the end does not"`
	BumpBins  []int     `param:"bump_bins" default:"15,29" min:"1" max:"100000" unit:"bin" doc:"shortest and longest push"`
	BumpForce []float64 `param:"bump_force" default:"5,10" min:"0" max:"1000" unit:"N" doc:"weakest and strongest push; its direction is any"`
	BumpAfter int       `param:"bump_window" default:"40" min:"1" max:"100000" unit:"bin" doc:"half of the pushes begin in so many bins from the go cue on, the others at any time"`
	Start     []float64 `param:"start_joints" default:"30,105,30,125" min:"-360" max:"360" unit:"deg" doc:"ranges of the shoulder's and the elbow's angle at the start; in cm those of x and y of the point mass"`
	Target    []float64 `param:"target_joints" default:"30,105,30,125" min:"-360" max:"360" unit:"deg" doc:"the same of the posture whose hand is the target"`
	GoCue     float64   `param:"go_cue" default:"0.15" min:"-100" max:"100" doc:"size of the go cue, an input that is 0 before"`
	Noise     float64   `param:"noise" default:"0.04" min:"0" max:"100" doc:"standard deviation of the Gaussian noise on the target's position (in m) and the go cue as they are shown; the same in every pass"`
	Sensory   float64   `param:"sensory_noise" default:"0.005" min:"0" max:"100" doc:"standard deviation of the Gaussian noise on what is seen and felt (in m, optimal lengths and largest velocities), fresh in every pass"`
	Motor     float64   `param:"action_noise" default:"0.005" min:"0" max:"100" doc:"standard deviation of the Gaussian noise on the excitation of every muscle, fresh in every pass"`
	Vision    float64   `param:"vision_delay" default:"0.05" above:"0" max:"10" unit:"s" doc:"delay of the hand's position as it is seen, a multiple of dt, at most 1000 of them: a buffer of so many bins, whose oldest is read after the newest is written, so that the lag is one bin less, and none with one bin"`
	Proprio   float64   `param:"proprioception_delay" default:"0.02" above:"0" max:"10" unit:"s" doc:"delay of the muscles' lengths and velocities as they are felt, likewise; on stiff tendons these are in any case those of one bin before"`
	DT        float64   `param:"dt" default:"0.01" min:"1e-4" max:"0.02" unit:"s" doc:"duration of a bin, and step of the integration; arm26 and thelen take at most 0.01. Where all muscles contract at once they tremble by the step: at 0.01 beyond an excitation of about 0.1 (thelen 0.25), at 0.005 beyond 0.35 (thelen never), at 0.0025 never"`
	Effector  string    `param:"effector" default:"arm26" choices:"arm26,point-mass,thelen,compliant" doc:"what moves: the arm with six of MuJoCo's muscles; a point mass with four that pull as hard as they are active; the arm with Thelen's muscles, on stiff tendons or on ones that stretch (many times slower)"`
	PosWeight float64   `param:"pos_weight" default:"1" min:"0" max:"1e9" doc:"weight in the loss of the squared distance from the goal, averaged over trials, bins and x and y"`
	ActWeight float64   `param:"act_weight" default:"1" min:"0" max:"1e9" doc:"weight in the loss of the squared actions, averaged over trials, bins and muscles, before they are clipped"`
	Horizon   int       `param:"horizon_epochs" default:"200" min:"0" max:"1000000000" unit:"epoch" doc:"epochs over which the loss of the position grows from the first bin to the whole trial; 0: the whole at once"`
	Success   float64   `param:"success_distance" default:"0.02" above:"0" max:"100" unit:"m" doc:"a trial succeeds if the hand is less far from the goal in the last bin"`
	Mode      string    `param:"mode" default:"training" choices:"training,simulation" doc:"what the trials are for: in simulation all are aligned, and none is without a go cue"`
	Compat    bool      `param:"compat" default:"false" doc:"the published benchmark's muscles (all of one largest velocity), sensory noise (one draw for all that is seen, one for all that is felt) and target, which is hidden in the last bin where there is no go cue"`
}

// trimBefore and trimAfter are the bins of a trial that spikes are not simulated in, at its beginning and its end.
const (
	trimBefore = 4
	trimAfter  = 1
)

// problems collects what is wrong.
type problems []param.Problem

func (ps *problems) add(path, hint, format string, args ...any) {
	*ps = append(*ps, param.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func check(p Params) []param.Problem {
	var ps problems
	p.checkTiming(&ps)
	p.checkBumps(&ps)
	p.checkPostures(&ps)
	p.checkStep(&ps)
	p.checkDelays(&ps)
	if err := kernel.CheckVariant(); err != nil {
		ps.add("", "unset "+kernel.VariantEnv+", or set it to one of them", "%v", err)
	}
	if p.PosWeight == 0 && p.ActWeight == 0 {
		ps.add("pos_weight", "", "0 is not allowed where act_weight is 0 too: one of them above 0")
	}
	return ps
}

// checkTiming reports durations that do not fit in a trial, in either mode: trials of both come of a study that simulates spikes.
func (p *Params) checkTiming(ps *problems) {
	switch {
	case !isRange(p.TargetOn):
		ps.add("target_on", "", "%v is not allowed: two numbers, the first bin before the last", p.TargetOn)
	case p.TargetOn[1]+p.GoGap+p.ReachBins > p.Bins:
		ps.add("n_timesteps", "or an earlier target_on, or a smaller go_gap or reach_bins", "%d is not allowed: at least %d, the sum of the last target_on, go_gap and reach_bins", p.Bins, p.TargetOn[1]+p.GoGap+p.ReachBins)
	}
	if p.SimGo >= p.SimBins-trimAfter {
		ps.add("sim_go", "", "%d is not allowed: less than sim_timesteps - %d, which is %d, since spikes of the last bin are not simulated", p.SimGo, trimAfter, p.SimBins-trimAfter)
	}
	if p.SimOn >= p.SimGo {
		ps.add("sim_target_on", "", "%d is not allowed: less than sim_go, which is %d", p.SimOn, p.SimGo)
	}
}

// checkBumps reports pushes that are no ranges or have no place in a trial.
func (p *Params) checkBumps(ps *problems) {
	if f := p.BumpForce; len(f) != 2 || !(f[0] <= f[1]) {
		ps.add("bump_force", "", "%v is not allowed: two numbers, the weakest before the strongest", f)
	}
	if !isRange(p.BumpBins) {
		ps.add("bump_bins", "", "%v is not allowed: two numbers, the shortest before the longest", p.BumpBins)
		return
	}
	if p.BumpProb == 0 {
		return
	}
	if need := p.BumpBins[1] + 2; p.Bins < need {
		ps.add("bump_bins", "or bump_prob 0", "%d is not allowed as the longest: at most %d, since pushes may begin before the last %d of the n_timesteps %d", p.BumpBins[1], p.Bins-2, p.BumpBins[1]+1, p.Bins)
	}
	if p.SimGo <= beforeGo {
		ps.add("sim_go", "or bump_prob 0", "%d is not allowed: at least %d, since pushes may begin up to %d bins before it", p.SimGo, beforeGo+1, beforeGo)
	}
}

func isRange(r []int) bool { return len(r) == 2 && r[0] <= r[1] }

// checkPostures reports ranges of joint angles that are none, or go beyond what the joints can do.
func (p *Params) checkPostures(ps *problems) {
	body, err := arm.Shape(p.Effector)
	if err != nil {
		ps.add("effector", param.DidYouMean(p.Effector, arm.Effectors()), "%.100q is not allowed: one of %s", p.Effector, strings.Join(arm.Effectors(), ", "))
		return
	}
	lo, hi := body.Limits()
	names, _ := body.Coordinates()
	unit, size := body.Scale()
	for _, c := range []struct {
		path   string
		ranges []float64
	}{{"start_joints", p.Start}, {"target_joints", p.Target}} {
		if len(c.ranges) != 4 {
			ps.add(c.path, "", "%d numbers are not allowed: 4, the least and the greatest of the %s, then of the %s", len(c.ranges), names[0], names[1])
			continue
		}
		for j, name := range names {
			low, high := c.ranges[2*j], c.ranges[2*j+1]
			if from, to := whole(lo[j]/size), whole(hi[j]/size); !(low <= high && low >= from && high <= to) {
				ps.add(c.path, "", "%v to %v %s of the %s are not allowed: within %v to %v, the least before the greatest", low, high, unit, name, from, to)
			}
		}
	}
}

// whole is a number without what rounding adds to whole ones.
func whole(x float64) float64 { return math.Round(x*1e9) / 1e9 }

// mostSlots bounds the buffer of a delay, of which an episode has one for every trial.
const mostSlots = 1000

// checkStep reports a step that is too long for the effector.
func (p *Params) checkStep(ps *problems) {
	if most := arm.MaxDT(p.Effector); p.DT > most {
		ps.add("dt", "point-mass and compliant take longer ones", "%v s is not allowed: at most %v s with effector %s, whose muscles' damping a longer step turns into trembling", p.DT, most, p.Effector)
	}
}

// checkDelays reports delays that are no whole numbers of bins, or too many.
func (p *Params) checkDelays(ps *problems) {
	for _, c := range []struct {
		path  string
		delay float64
	}{{"vision_delay", p.Vision}, {"proprioception_delay", p.Proprio}} {
		switch n := c.delay / p.DT; {
		case !(n < mostSlots+.5):
			ps.add(c.path, "or a longer dt", "%v s is not allowed: at most %v s, %d bins of dt, which is %v s", c.delay, rounded(mostSlots*p.DT), mostSlots, p.DT)
		case math.Abs(n-math.Round(n)) > 1e-6 || math.Round(n) < 1:
			below := max(1, math.Floor(n))
			ps.add(c.path, "", "%v s is not allowed: a multiple of dt, which is %v s, such as %v or %v", c.delay, p.DT, rounded(below*p.DT), rounded((below+1)*p.DT))
		}
	}
}

// rounded is a time in s to its nanoseconds.
func rounded(s float64) float64 { return math.Round(s*1e9) / 1e9 }

// slots is the number of bins in the buffer of a delay.
func (p *Params) slots(delay float64) int { return int(math.Round(delay / p.DT)) }

// ranges are those of the postures at the start and at the target, in rad, or m.
func (p *Params) ranges(body arm.Geometry) (start, target [2][2]float64) {
	_, size := body.Scale()
	for j := range 2 {
		for i := range 2 {
			start[j][i], target[j][i] = p.Start[2*j+i]*size, p.Target[2*j+i]*size
		}
	}
	return start, target
}
