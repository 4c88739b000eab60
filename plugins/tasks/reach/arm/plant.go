package arm

/*
#cgo CFLAGS: -std=gnu11 -O3 -Wno-psabi
#cgo noescape call_finite
#cgo nocallback call_finite
#cgo noescape call_put
#cgo nocallback call_put
#cgo noescape call_get
#cgo nocallback call_get
#cgo noescape call_reset
#cgo nocallback call_reset
#cgo noescape call_step
#cgo nocallback call_step
#cgo noescape call_tip
#cgo nocallback call_tip
#cgo noescape call_senses
#cgo nocallback call_senses
#cgo noescape call_forces
#cgo nocallback call_forces
#cgo noescape call_back
#cgo nocallback call_back
#cgo noescape call_probe
#cgo nocallback call_probe
#include <stdlib.h>
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// ErrClosed is what a closed Plant's methods return.
var ErrClosed = errors.New("arm: plant is closed")

// State is where a Plant writes its bodies' states, for recording; a nil array is not wanted.
type State[F Float] struct {
	Joints      []F // (N, 2) rad
	Velocities  []F // (N, 2) rad/s
	Activations []F // (N, Muscles)
	Forces      []F // (N, Muscles) N
}

// Plant is a batch of bodies in F's precision.
type Plant[F Float] struct {
	cfg     Config
	shape   Geometry
	c       *C.arm_plant // nil once closed
	cleanup runtime.Cleanup

	ready bool // it was reset
	next  int  // step that comes next
	kept  int  // first step that is on the tape
	back  int  // step whose way back comes next, if ways
	ways  bool
}

// New returns a plant; it must be Reset before it steps.
func New[F Float](c Config) (*Plant[F], error) { return newPlant[F](c, "") }

// layout is what C needs to know of a plant to make one.
type layout struct {
	ops              *C.arm_ops
	body             C.int
	slots            C.int
	params           C.arm_parameters
	trials, substeps C.int
}

// layoutOf returns the layout of a configuration, with its defaults set, for an instruction set, empty for that of package kernel.
func layoutOf[F Float](c Config, variant string) (Config, layout, error) {
	c, err := c.check()
	if err != nil {
		return c, layout{}, err
	}
	if variant == "" {
		if err := kernel.CheckVariant(); err != nil {
			return c, layout{}, err
		}
		variant = kernel.Variant()
	}
	name := C.CString(variant)
	defer C.free(unsafe.Pointer(name))
	var isDouble C.int
	if _, ok := any(F(0)).(float64); ok {
		isDouble = 1
	}
	l := layout{ops: C.arm_variant(name, isDouble), slots: 2, trials: C.int(c.Trials), substeps: C.int(c.Substeps)}
	if l.ops == nil {
		return c, layout{}, fmt.Errorf("arm: no variant %q", variant)
	}
	l.body, l.params = c.parameters()
	if c.Tape {
		l.slots = C.int(c.Bins + 1)
	}
	return c, l, nil
}

// newPlant makes one for an instruction set, empty for that of package kernel.
func newPlant[F Float](c Config, variant string) (*Plant[F], error) {
	c, l, err := layoutOf[F](c, variant)
	if err != nil {
		return nil, err
	}
	shape, err := Shape(c.Effector)
	if err != nil {
		return nil, err
	}
	p := &Plant[F]{cfg: c, shape: shape, c: C.arm_new(l.ops, l.body, l.trials, l.slots, l.substeps, &l.params)}
	if p.c == nil {
		return nil, fmt.Errorf("arm: no memory for %d trials and a tape of %d steps", c.Trials, l.slots-1)
	}
	p.cleanup = runtime.AddCleanup(p, func(c *C.arm_plant) { C.arm_free(c) }, p.c)
	return p, nil
}

// Bytes is the memory that a plant of a configuration takes. A tape's is touched as it is used.
func Bytes[F Float](c Config) (int64, error) {
	_, l, err := layoutOf[F](c, "")
	if err != nil {
		return 0, err
	}
	return int64(C.arm_bytes(l.ops, l.body, l.trials, l.slots, l.substeps)), nil
}

// Muscles is the number of muscles.
func (p *Plant[F]) Muscles() int { return p.cfg.muscles() }

// Actions is the number of excitations that a step takes.
func (p *Plant[F]) Actions() int { return p.cfg.muscles() }

// slot is where the bodies before step t are, and what the step is given.
func (p *Plant[F]) slot(t int) C.int { return C.int(t % int(p.c.slots)) }

// pointer is an array's, null if it is nil.
func pointer[F Float](a []F) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(a)) }

// array checks that an array has n numbers for each trial.
func (p *Plant[F]) array(name string, a []F, n int) error {
	if len(a) != p.cfg.Trials*n {
		return component.Invalid(name, "%d numbers: must be %d, %d of each of %d trials", len(a), p.cfg.Trials*n, n, p.cfg.Trials)
	}
	return nil
}

// optional is array, for one that may be nil.
func (p *Plant[F]) optional(name string, a []F, n int) error {
	if a == nil {
		return nil
	}
	return p.array(name, a, n)
}

// finite checks the values of an array that step t is given.
func (p *Plant[F]) finite(name string, t int, a []F, n int) error {
	if a == nil || C.call_finite(p.c, C.long(len(a)), pointer(a)) != 0 {
		return nil
	}
	for i := range a {
		if x := float64(a[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return component.Invalid(name, "trial %d, number %d of %d at step %d is %v: must be finite", i/n, i%n, n, t, x)
		}
	}
	return nil
}

// slack is how far rounding may put a posture past a limit.
const slack = 1e-6

// Reset puts the bodies at rest in their postures, joints (N, 2), muscles inactive, and empties the tape. The next step is step 0.
func (p *Plant[F]) Reset(joints []F) error {
	if p.c == nil {
		return ErrClosed
	}
	if err := p.array("joints", joints, 2); err != nil {
		return err
	}
	lo, hi := p.shape.Limits()
	for i, q := range joints {
		if x := float64(q); !(x >= lo[i%2]-slack && x <= hi[i%2]+slack) {
			return component.Invalid("joints", "trial %d, joint %d is at %v: must be %.4g to %.4g", i/2, i%2, x, lo[i%2], hi[i%2])
		}
	}
	C.call_reset(p.c, p.slot(0), pointer(joints))
	p.next, p.kept, p.ways, p.ready = 0, 0, false, true
	runtime.KeepAlive(p)
	return nil
}

// Step is step t, from 0 on, under actions (N, Actions), clipped to [0, 1], and a force at the hand (N, 2) in N, or none if nil.
func (p *Plant[F]) Step(t int, actions, force []F) error {
	if p.c == nil {
		return ErrClosed
	}
	switch {
	case !p.ready:
		return errors.New("arm: step before reset")
	case t != p.next:
		return component.Invalid("t", "%d: step %d comes next", t, p.next)
	case p.cfg.Tape && t-p.kept >= p.cfg.Bins:
		return fmt.Errorf("arm: step %d: the tape holds steps %d to %d and is full: drop some, or plan more bins", t, p.kept, t-1)
	}
	a := p.Actions()
	if err := errors.Join(p.array("actions", actions, a), p.optional("force", force, 2)); err != nil {
		return err
	}
	if err := errors.Join(p.finite("actions", t, actions, a), p.finite("force", t, force, 2)); err != nil {
		return err
	}
	C.call_step(p.c, p.slot(t), p.slot(t+1), pointer(actions), pointer(force))
	p.next, p.ways = t+1, false
	runtime.KeepAlive(p)
	return nil
}

// Fingertip writes where the hands are after the last step, (N, 2) in m.
func (p *Plant[F]) Fingertip(dst []F) {
	p.wanted("fingertip", dst, 2)
	C.call_tip(p.c, p.slot(p.next), pointer(dst))
	runtime.KeepAlive(p)
}

// Senses writes what the muscles' spindles report after the last step, (N, 2 Muscles): lengths of the fibres as multiples of the optimal ones, then
// velocities as multiples of the greatest. Where tendons are stiff they are those of the joints before the step, see body.Rigid; after Reset, of the posture.
func (p *Plant[F]) Senses(dst []F) {
	p.wanted("senses", dst, 2*p.Muscles())
	t := p.next
	if p.cfg.Effector != Compliant {
		t = max(0, t-1)
	}
	C.call_senses(p.c, p.slot(t), pointer(dst))
	runtime.KeepAlive(p)
}

// State writes the state after the last step.
func (p *Plant[F]) State(dst *State[F]) {
	for _, a := range []struct {
		name   string
		dst    []F
		row, n int
	}{{"joints", dst.Joints, C.ROW_Q, 2}, {"velocities", dst.Velocities, C.ROW_QD, 2}, {"activations", dst.Activations, C.ROW_A, p.Muscles()}} {
		if a.dst != nil {
			p.wanted(a.name, a.dst, a.n)
			C.call_get(p.c, p.slot(p.next), C.int(a.row), C.int(a.n), pointer(a.dst))
		}
	}
	if dst.Forces != nil {
		p.wanted("forces", dst.Forces, p.Muscles())
		C.call_forces(p.c, p.slot(p.next), pointer(dst.Forces))
	}
	runtime.KeepAlive(p)
}

// wanted panics where a result's array has another size, or the plant has no state.
func (p *Plant[F]) wanted(name string, dst []F, n int) {
	if p.c == nil || !p.ready {
		panic("arm: " + name + " of a plant that is closed or was not reset")
	}
	if err := p.array(name, dst, n); err != nil {
		panic(err)
	}
}

// BeginBackward starts the way back from the last step, with a gradient of zero by the state after it.
func (p *Plant[F]) BeginBackward() {
	p.forget()
	p.back, p.ways = p.next-1, p.ready
}

// forget makes the gradient by the state zero.
func (p *Plant[F]) forget() {
	if p.c != nil {
		clear(unsafe.Slice((*F)(p.c.cot), int(p.c.blocks)*C.STATE_ROWS*int(p.c.ops.lanes)))
	}
	runtime.KeepAlive(p)
}

// StepBackward goes back over step t, from the last step down: given the gradients of a scalar by what Fingertip and Senses gave after step t (nil means
// zero), it writes that by the step's actions (N, Actions), not yet clipped. The gradient by the state is carried from call to call.
func (p *Plant[F]) StepBackward(t int, tip, senses []F, actions []F) error {
	return p.stepBackward(t, tip, senses, actions, nil)
}

// stepBackward writes the gradient by the force at the hand too, unless it is nil.
func (p *Plant[F]) stepBackward(t int, tip, senses, actions, force []F) error {
	if p.c == nil {
		return ErrClosed
	}
	switch {
	case !p.cfg.Tape:
		return errors.New("arm: no way back without a tape")
	case !p.ways:
		return errors.New("arm: no way back before BeginBackward")
	case t != p.back:
		return component.Invalid("t", "%d: the way back of step %d comes next", t, p.back)
	case t < p.kept:
		return component.Invalid("t", "%d: the tape begins at step %d", t, p.kept)
	}
	if err := errors.Join(p.array("actions", actions, p.Actions()), p.optional("tip", tip, 2), p.optional("senses", senses, 2*p.Muscles()), p.optional("force", force, 2)); err != nil {
		return err
	}
	C.call_back(p.c, p.slot(t), p.slot(t+1), pointer(tip), pointer(senses), pointer(actions), pointer(force))
	p.back--
	runtime.KeepAlive(p)
	return nil
}

// DropTape gives back the room of all steps before step before; there is no way back over them.
func (p *Plant[F]) DropTape(before int) { p.kept = max(p.kept, min(before, p.next)) }

// Close frees the plant's memory; later calls return ErrClosed. It may be called again.
func (p *Plant[F]) Close() error {
	if p.c != nil {
		p.cleanup.Stop()
		C.arm_free(p.c)
		p.c = nil
	}
	return nil
}
