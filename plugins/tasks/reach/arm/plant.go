package arm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Float is the element type of a Plant's arrays, and the precision that it computes in.
type Float interface{ float32 | float64 }

// Names of the effectors.
const (
	// Arm26 is the two-joint arm with six of MuJoCo's muscles on stiff tendons, that of the published task.
	Arm26 = "arm26"
)

// Effectors lists the bodies there are, the default first.
func Effectors() []string { return []string{Arm26} }

// Config says which body, for how many trials and bins.
type Config struct {
	// Effector is one of Effectors; empty means Arm26.
	Effector string
	// Compat gives Arm26 the reference's greatest velocity of shortening; see body.MuJoCoMuscles.
	Compat bool
	// Trials is N, the number of bodies, at least 1.
	Trials int
	// Tape keeps what the way back needs of every step, and Bins is how many steps it has room for. Room is given back by [Plant.DropTape].
	Tape bool
	Bins int
	// DT is the length of a bin, s; 0 means 0.01.
	DT float64
}

// Steps that a bin may be long, s: beyond the longer one the activations' time constants are stepped over.
const (
	defaultDT = 0.01
	maxDT     = 0.02
)

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
	if c.Trials < 1 || c.Trials > 1<<24 {
		errs = append(errs, component.Invalid("trials", "%d: must be 1 to 2^24", c.Trials))
	}
	if c.Tape && (c.Bins < 1 || c.Bins > 1<<24) {
		errs = append(errs, component.Invalid("bins", "%d: must be 1 to 2^24 with a tape", c.Bins))
	}
	if !(c.DT > 0 && c.DT <= maxDT) {
		errs = append(errs, component.Invalid("dt", "%v s: must be above 0 and at most %v s", c.DT, maxDT))
	}
	return c, invalid(errs)
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
	if len(all.Problems) == 0 {
		return nil
	}
	return &all
}

// ErrClosed is what a closed Plant's methods return.
var ErrClosed = errors.New("arm: plant is closed")

// State is where a Plant writes its bodies' states, for recording; a nil array is not wanted.
type State[F Float] struct {
	Joints      []F // (N, Joints) rad
	Velocities  []F // (N, Joints) rad/s
	Activations []F // (N, Muscles)
	Forces      []F // (N, Muscles) N
}

// taped is what the way back needs of a step.
type taped struct {
	before     body.State[float64]
	excitation [body.MaxMuscles]float64
	force      [2]float64
}

// Plant is a batch of bodies in F's precision.
type Plant[F Float] struct {
	cfg    Config
	b      body.Rigid[float64]
	z      body.Rigid[complex128]
	closed bool
	ready  bool // reset

	now     []body.State[float64]
	after   []body.State[float64] // what the step that is gone back over led to: the bodies themselves stay where they are, to step on
	tape    [][]taped
	cot     []body.Cotangent
	next    int // step that comes next
	kept    int // first step that is on the tape
	back    int // step whose way back comes next, while backward
	on      bool
	actions int
}

// New returns a plant; it must be Reset before it steps.
func New[F Float](c Config) (*Plant[F], error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	p := &Plant[F]{cfg: c, b: body.Arm26[float64](c.Compat, c.DT), z: body.Arm26[complex128](c.Compat, c.DT)}
	p.now, p.cot = make([]body.State[float64], c.Trials), make([]body.Cotangent, c.Trials)
	return p, nil
}

// Joints is the number of joints, or of coordinates.
func (p *Plant[F]) Joints() int { return 2 }

// Muscles is the number of muscles.
func (p *Plant[F]) Muscles() int { return p.b.Muscle.Count() }

// Actions is the number of excitations that a step takes.
func (p *Plant[F]) Actions() int { return p.Muscles() }

// size says whether an array has n numbers for each trial.
func (p *Plant[F]) size(name string, a []F, n int) error {
	if len(a) != p.cfg.Trials*n {
		return component.Invalid(name, "%d numbers: must be %d, %d of each of %d trials", len(a), p.cfg.Trials*n, n, p.cfg.Trials)
	}
	return nil
}

// Reset puts the bodies at rest in their postures, joints (N, Joints), muscles inactive, and empties the tape. The next step is step 0.
func (p *Plant[F]) Reset(joints []F) error {
	if p.closed {
		return ErrClosed
	}
	if err := p.size("joints", joints, 2); err != nil {
		return err
	}
	lo, hi := p.b.Skeleton.Limits()
	for i, q := range joints {
		if x := float64(q); !(x >= lo[i%2]-slack && x <= hi[i%2]+slack) {
			return component.Invalid("joints", "trial %d: joint %d at %v rad: must be %.4g to %.4g", i/2, i%2+1, q, lo[i%2], hi[i%2])
		}
	}
	for i := range p.now {
		p.now[i] = p.b.Reset([2]float64{float64(joints[2*i]), float64(joints[2*i+1])})
	}
	p.tape, p.next, p.kept, p.on, p.ready = p.tape[:0], 0, 0, false, true
	return nil
}

// slack is how far rounding may put a posture past a limit, rad.
const slack = 1e-6

// Step is step t, from 0 on, under actions (N, Actions), clipped to [0, 1], and a force at the hand (N, 2) in N, or none if nil.
func (p *Plant[F]) Step(t int, actions, force []F) error {
	if p.closed {
		return ErrClosed
	}
	a := p.Actions()
	if err := p.size("actions", actions, a); err != nil {
		return err
	}
	if force != nil {
		if err := p.size("force", force, 2); err != nil {
			return err
		}
	}
	switch {
	case !p.ready:
		return errors.New("arm: step before reset")
	case t != p.next:
		return component.Invalid("t", "%d: step %d comes next", t, p.next)
	case p.cfg.Tape && t-p.kept >= p.cfg.Bins:
		return fmt.Errorf("arm: step %d: the tape holds steps %d to %d and is full: drop some, or plan more bins", t, p.kept, t-1)
	}
	for i := range actions {
		if x := float64(actions[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return component.Invalid("actions", "trial %d, action %d at step %d is %v: must be finite", i/a, i%a, t, x)
		}
	}
	for i := range force {
		if x := float64(force[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return component.Invalid("force", "trial %d at step %d has %v: must be finite", i/2, t, x)
		}
	}
	row := make([]taped, p.cfg.Trials)
	for i := range p.now {
		r := taped{before: p.now[i]}
		for m := range a {
			r.excitation[m] = float64(actions[i*a+m])
		}
		if force != nil {
			r.force = [2]float64{float64(force[2*i]), float64(force[2*i+1])}
		}
		p.now[i] = p.b.Advance(r.before, r.excitation, r.force)
		row[i] = r
	}
	if p.cfg.Tape {
		p.tape = append(p.tape, row)
	}
	p.next, p.on = t+1, false
	return nil
}

// Fingertip writes where the hands are after the last step, (N, 2) in m.
func (p *Plant[F]) Fingertip(dst []F) {
	for i, s := range p.now {
		h := p.b.Skeleton.Hand(s.Q)
		dst[2*i], dst[2*i+1] = F(h[0]), F(h[1])
	}
}

// Senses writes what the muscles' spindles report after the last step, (N, 2 Muscles): lengths of the fibres as multiples of the optimal ones, then
// velocities as multiples of the greatest. They are those of the joints before the step, see body.Rigid; after Reset, of the posture.
func (p *Plant[F]) Senses(dst []F) {
	n := p.Muscles()
	for i, s := range p.now {
		l, v := p.b.Senses(s)
		for m := range n {
			dst[2*n*i+m], dst[2*n*i+n+m] = F(l[m]), F(v[m])
		}
	}
}

// State writes the state after the last step.
func (p *Plant[F]) State(dst *State[F]) {
	n := p.Muscles()
	for i, s := range p.now {
		for j := range 2 {
			write(dst.Joints, 2*i+j, s.Q[j])
			write(dst.Velocities, 2*i+j, s.QD[j])
		}
		for m := range n {
			write(dst.Activations, n*i+m, s.Activation[m])
			write(dst.Forces, n*i+m, s.Force[m])
		}
	}
}

func write[F Float](dst []F, i int, x float64) {
	if dst != nil {
		dst[i] = F(x)
	}
}

// BeginBackward starts the way back from the last step, with a gradient of zero by the state after it.
func (p *Plant[F]) BeginBackward() {
	clear(p.cot)
	p.after = append(p.after[:0], p.now...)
	p.back, p.on = p.next-1, true
}

// StepBackward goes back over step t, from the last step down: given the gradients of a scalar by what Fingertip and Senses gave after step t (nil means
// zero), it writes that by the step's actions (N, Actions), not yet clipped. The gradient by the state is carried from call to call.
func (p *Plant[F]) StepBackward(t int, tip, senses []F, actions []F) error {
	if p.closed {
		return ErrClosed
	}
	n := p.Muscles()
	if err := p.size("actions", actions, p.Actions()); err != nil {
		return err
	}
	if tip != nil {
		if err := p.size("tip", tip, 2); err != nil {
			return err
		}
	}
	if senses != nil {
		if err := p.size("senses", senses, 2*n); err != nil {
			return err
		}
	}
	switch {
	case !p.cfg.Tape:
		return errors.New("arm: no way back without a tape")
	case !p.on:
		return errors.New("arm: no way back before BeginBackward")
	case t != p.back:
		return component.Invalid("t", "%d: the way back of step %d comes next", t, p.back)
	case t < p.kept:
		return component.Invalid("t", "%d: the tape begins at step %d", t, p.kept)
	}
	for i := range p.cot {
		c, r := p.cot[i], p.tape[t-p.kept][i]
		if senses != nil {
			for m := range n {
				c.Length[m], c.Speed[m] = float64(senses[2*n*i+m]), float64(senses[2*n*i+n+m])
			}
		}
		if tip != nil {
			p.addTip(&c, i, tip)
		}
		var u [body.MaxMuscles]float64
		p.cot[i], u, _ = body.Pullback(p.z, r.before, r.excitation, r.force, c)
		for m := range n {
			actions[i*n+m] = F(u[m])
		}
		p.after[i] = r.before
	}
	p.back--
	return nil
}

// addTip adds the gradient by trial i's fingertip to that by its joints.
func (p *Plant[F]) addTip(c *body.Cotangent, i int, tip []F) {
	q := body.Lift(p.after[i]).Q
	for j := range q {
		z := q
		z[j] += complex(0, body.Tangent)
		h := p.z.Skeleton.Hand(z)
		c.Q[j] += (float64(tip[2*i])*imag(h[0]) + float64(tip[2*i+1])*imag(h[1])) / body.Tangent
	}
}

// DropTape gives back the room of all steps before step before; there is no way back over them.
func (p *Plant[F]) DropTape(before int) {
	before = min(before, p.next)
	if n := before - p.kept; n > 0 && p.cfg.Tape {
		p.tape, p.kept = p.tape[n:], before
	}
}

// Close frees the plant's memory; later calls return ErrClosed. It may be called again.
func (p *Plant[F]) Close() error {
	p.closed, p.tape, p.now, p.cot = true, nil, nil, nil
	return nil
}
