package arm

import (
	"errors"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Float is the element type of a Plant's arrays, and the precision that it computes in.
type Float interface{ float32 | float64 }

// Names of the effectors.
const (
	// Arm26 is the two-joint arm with six of MuJoCo's muscles on stiff tendons, that of the published task; see body.Arm26.
	Arm26 = "arm26"
	// PointMass is a mass in the plane with four muscles that pull as hard as they are active; see body.FourPulls.
	PointMass = "point-mass"
	// Thelen is the two-joint arm with six of Thelen's muscles on stiff tendons; see body.ThelenArm.
	Thelen = "thelen"
	// Compliant is the same with tendons that stretch, some hundred times slower to compute; see body.CompliantArm.
	Compliant = "compliant"
)

// Effectors lists the bodies there are, the default first.
func Effectors() []string { return []string{Arm26, PointMass, Thelen, Compliant} }

// Config says which body, for how many trials and bins.
type Config struct {
	// Effector is one of Effectors; empty means Arm26.
	Effector string
	// Compat gives Arm26 the reference's greatest velocity of shortening, see body.MuJoCoMuscles; the other effectors have no reference.
	Compat bool
	// Trials is N, the number of bodies, at least 1.
	Trials int
	// Tape keeps what the way back needs of every step, and Bins is how many steps it has room for. Room is given back by [Plant.DropTape].
	Tape bool
	Bins int
	// DT is the length of a bin, s, at most MaxDT; 0 means 0.01.
	DT float64
	// Substeps is how many steps Compliant takes in a bin; 0 means as many as make them 0.5 ms or less. Longer ones are stable only while no muscle is slack.
	Substeps int
}

// Lengths of a bin, s, and of a substep: beyond the greatest, activations step over their own time constants, and beyond maxDamped the damping of stiff muscles does; see [MaxDT].
const (
	defaultDT  = 0.01
	maxDT      = 0.02
	maxDamped  = 0.01
	perMs      = 2000
	mostSteps  = 1000
	mostTrials = 1 << 24
)

// MaxDT is the longest bin of an effector, s. Arms on stiff tendons are stepped once a bin by Euler's method with the forces that the step before has left, so that the damping of the force-velocity curve
// comes a bin late. It is the stronger the more the muscles contract, and where it undoes more than the velocity within a bin the arm trembles by its step alone. Under the same excitation of all six muscles
// for 1.5 s, from postures over the whole range, without noise or pushes, the greatest speed of a joint, rad/s, and the excitation up to which it is within 10% of that under a step of 1 ms are
//
//	            arm26                      thelen
//	step, s     0.5    1.0    within 10%   0.5    1.0    within 10%
//	0.01        8.6   17.5    to 0.1       4.0   10.5    to 0.25
//	0.005       3.0    6.0    to 0.35      2.5    4.1    all
//	0.0025      2.2    2.3    all          2.5    4.1    all
//	0.001       2.2    2.1                 2.5    4.1
//
// Arm26 is stepped by 0.01 s in the published task, and that is the most that both take. Compliant is sound up to 0.02 s. The point mass has no damping that could come late; what it swings by grows with any step of Euler's, by 16% at 0.02 s.
func MaxDT(effector string) float64 {
	if effector == Arm26 || effector == Thelen {
		return maxDamped
	}
	return maxDT
}

// check returns c with its defaults, or everything that is wrong with it.
func (c Config) check() (Config, error) {
	if c.Effector == "" {
		c.Effector = Arm26
	}
	if c.DT == 0 {
		c.DT = defaultDT
	}
	var errs []error
	if !slices.Contains(Effectors(), c.Effector) {
		errs = append(errs, component.Invalid("effector", "%q: must be one of %s", c.Effector, strings.Join(Effectors(), ", ")))
	}
	if c.Trials < 1 || c.Trials > mostTrials {
		errs = append(errs, component.Invalid("trials", "%d: must be 1 to %d", c.Trials, mostTrials))
	}
	if c.Tape && (c.Bins < 1 || c.Bins > mostTrials) {
		errs = append(errs, component.Invalid("bins", "%d: must be 1 to %d with a tape", c.Bins, mostTrials))
	}
	if most := MaxDT(c.Effector); !(c.DT > 0 && c.DT <= most) {
		errs = append(errs, component.Invalid("dt", "%v s: must be above 0 and at most %v s", c.DT, most))
	}
	if c.Substeps < 0 || c.Substeps > mostSteps {
		errs = append(errs, component.Invalid("substeps", "%d: must be 1 to %d, or 0 for the default", c.Substeps, mostSteps))
	}
	if len(errs) > 0 {
		return c, invalid(errs)
	}
	if c.Substeps == 0 {
		c.Substeps = max(1, int(c.DT*perMs+.999))
	}
	return c, nil
}

// invalid joins errors of component.Invalid into one.
func invalid(errs []error) error {
	var all component.InvalidArgumentError
	for _, err := range errs {
		var e *component.InvalidArgumentError
		if errors.As(err, &e) {
			all.Problems = append(all.Problems, e.Problems...)
		}
	}
	return &all
}

// muscles is how many an effector has.
func (c Config) muscles() int {
	if c.Effector == PointMass {
		return 4
	}
	return body.MaxMuscles
}
