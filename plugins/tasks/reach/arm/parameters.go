package arm

// #include "arm.h"
import "C"

import (
	"math"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// parameters are an effector's for the kernels, all of them from package body, with what can be computed once and for all.
func (c Config) parameters() (number C.int, p C.arm_parameters) {
	p.dt, p.shortest = C.double(c.DT), body.ShortestFibre
	switch c.Effector {
	case PointMass:
		b := body.FourPulls[float64](c.DT)
		setRigid(&p, b)
		s, g := b.Skeleton.(body.PointMass[float64]), b.Paths.(body.Straight[float64])
		p.imass = C.double(1 / s.Mass)
		for j := range 2 {
			setAll(&p.anchor[j], g.Anchor[j])
		}
		return C.ARM_POINT_MASS, p
	case Thelen:
		b := body.ThelenArm[float64](c.DT)
		setRigid(&p, b)
		setThelen(&p, b.Muscle.(body.Thelen[float64]))
		return C.ARM_THELEN, p
	case Compliant:
		b := body.CompliantArm[float64](c.DT, c.Substeps)
		setRigid(&p, body.Rigid[float64]{Skeleton: b.Skeleton, Paths: b.Paths, Muscle: b.Muscle, Activation: b.Activation})
		setThelen(&p, b.Muscle)
		p.dt = C.double(c.DT / float64(c.Substeps))
		p.vscale, p.least, p.toe, p.cap = C.double(b.Muscle.Fibre(0).Vmax/b.Muscle.Fibre(0).Length), C.double(b.Least), C.double(1/b.Toe), C.double(b.Cap*b.Muscle.Lengthening)
		value, slope := b.CapLine()
		p.cap_value, p.cap_slope = C.double(value), C.double(slope)
		return C.ARM_COMPLIANT, p
	}
	b := body.Arm26[float64](c.Compat, c.DT)
	setRigid(&p, b)
	m := b.Muscle.(body.MuJoCo[float64])
	side := func(a, b float64) C.double { return C.double(2 / (b - a)) }
	second := (m.LMin + .95) / 2
	p.mid = [2]C.double{1, C.double(second)}
	p.irise_half = [2]C.double{side(m.LMin, 1), side(m.LMin, second)}
	p.ifall_half = [2]C.double{side(1, m.LMax), side(second, .95)}
	p.hump = .15
	p.ipassive, p.passive = C.double(2/(m.LMax-1)), C.double(.25*m.FP)
	p.eccentric, p.ieccentric, p.fvmax = C.double(m.FVMax-1), C.double(1/(m.FVMax-1)), C.double(m.FVMax)
	return C.ARM_26, p
}

// setRigid sets what all bodies have.
func setRigid(p *C.arm_parameters, b body.Rigid[float64]) {
	p.irise, p.ifall = C.double(1/b.Activation.Rise), C.double(1/b.Activation.Fall)
	lo, hi := b.Skeleton.Limits()
	for j := range 2 {
		p.lo[j], p.hi[j] = C.double(lo[j]), C.double(hi[j])
	}
	if s, ok := b.Skeleton.(body.TwoLink[float64]); ok {
		m11, m12 := s.ConstantMass()
		p.upper, p.lower, p.coupling = C.double(s.Length[0]), C.double(s.Length[1]), C.double(s.Coupling())
		p.mass11, p.mass12 = C.double(m11), C.double(m12)
	}
	if g, ok := b.Paths.(body.Polynomial[float64]); ok {
		setAll(&p.a0, g.A0)
		for j := range 2 {
			p.origin[j] = C.double(g.Origin[j])
			setAll(&p.a1[j], g.A1[j])
			setAll(&p.a2[j], g.A2[j])
		}
	}
	for m := range b.Muscle.Count() {
		f := b.Muscle.Fibre(m)
		p.force[m], p.tendon[m], p.length[m] = C.double(f.Force), C.double(f.Tendon), C.double(f.Length)
		p.ilength[m], p.ivmax[m] = C.double(1/f.Length), C.double(1/f.Vmax)
		if f.Tendon > 0 {
			p.itendon[m] = C.double(1 / f.Tendon)
		}
	}
}

func setThelen(p *C.arm_parameters, m body.Thelen[float64]) {
	p.iwidth, p.kpe, p.epassive = C.double(1/m.Width), C.double(m.Kpe/m.Strain), C.double(1/math.Expm1(m.Kpe))
	p.ihill, p.lengthen, p.steep = C.double(1/m.Hill), C.double(m.Lengthening-1), C.double(m.Steep())
	p.base, p.span = C.double(m.Base), C.double(m.Span)
}

func setAll(to *[C.ARM_MUSCLES]C.double, from [body.MaxMuscles]float64) {
	for i, x := range from {
		to[i] = C.double(x)
	}
}
