package arm

/*
#include "calls.h"
*/
import "C"

import (
	"errors"
	"runtime"
)

// What follows is for the tests, which cannot call C themselves.

// put sets the bodies' states; the next step is step 0.
func (p *Plant[F]) put(s State[F]) {
	p.next, p.kept, p.ways, p.ready = 0, 0, false, true
	p.write(p.slot(0), s)
}

// seed sets the gradient by the state after the last step, after BeginBackward.
func (p *Plant[F]) seed(cot State[F]) { p.write(-1, cot) }

func (p *Plant[F]) write(slot C.int, s State[F]) {
	for _, a := range p.rows(s) {
		if a.array != nil {
			C.call_put(p.c, slot, a.row, a.n, pointer(a.array))
		}
	}
}

// carried reads the gradient by the state before the step that was gone back over last. Of Compliant, Forces is by the normalised lengths of the fibres.
func (p *Plant[F]) carried(cot State[F]) {
	for _, a := range p.rows(cot) {
		C.call_get(p.c, -1, a.row, a.n, pointer(a.array))
	}
}

// postureGradient writes the gradient by Reset's joints (N, 2), once the way back is at its end. It has no part that the fingertip and senses after Reset give.
func (p *Plant[F]) postureGradient(joints []F) error {
	if p.c == nil {
		return ErrClosed
	}
	if !p.ways || p.back != -1 || p.kept > 0 {
		return errors.New("arm: no gradient by the posture before the way back of step 0")
	}
	if err := p.array("joints", joints, 2); err != nil {
		return err
	}
	C.call_reset_back(p.c, p.slot(0), pointer(joints))
	runtime.KeepAlive(p)
	return nil
}

type rows[F Float] struct {
	array  []F
	row, n C.int
}

func (p *Plant[F]) rows(s State[F]) []rows[F] {
	n := C.int(p.Muscles())
	return []rows[F]{{s.Joints, C.ROW_Q, 2}, {s.Velocities, C.ROW_QD, 2}, {s.Activations, C.ROW_A, n}, {s.Forces, C.ROW_F, n}}
}

// inside is one quantity that a step computes on its way.
type inside struct {
	name   string
	at, to int // its numbers among a trial's
}

// insides are all of them, with the golden tensors' names, and how many numbers a trial has.
func insides() ([]inside, int) {
	return []inside{
		{"joint_torque", C.PROBE_TORQUE, C.PROBE_QDD}, {"qdd", C.PROBE_QDD, C.PROBE_RATE}, {"activation_derivative", C.PROBE_RATE, C.PROBE_LENGTH},
		{"musculotendon_length", C.PROBE_LENGTH, C.PROBE_SPEED}, {"musculotendon_velocity", C.PROBE_SPEED, C.PROBE_ARM}, {"moment_arm", C.PROBE_ARM, C.PROBE_L},
		{"normalised_length", C.PROBE_L, C.PROBE_V}, {"normalised_velocity", C.PROBE_V, C.PROBE_ACTIVE}, {"next_force_length_active", C.PROBE_ACTIVE, C.PROBE_PASSIVE},
		{"next_force_length_passive", C.PROBE_PASSIVE, C.PROBE_VELOCITY}, {"next_force_velocity", C.PROBE_VELOCITY, C.PROBE_ROWS},
	}, C.PROBE_ROWS
}

// probe computes the last step anew and writes its insides.
func (p *Plant[F]) probe(dst []F) { C.call_probe(p.c, p.slot(p.next-1), pointer(dst)) }
