package arm

import "github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"

// Geometry is the shape of a body, in float64 and apart from its movement: what a task draws its postures and goals from.
type Geometry struct{ skeleton body.Skeleton[float64] }

// Shape returns the geometry of an effector; empty means Arm26.
func Shape(effector string) (Geometry, error) {
	c, err := Config{Effector: effector, Trials: 1}.check()
	if err != nil {
		return Geometry{}, err
	}
	if c.Effector == PointMass {
		return Geometry{body.FourPulls[float64](c.DT).Skeleton}, nil
	}
	return Geometry{body.HumanArm[float64]()}, nil
}

// Limits are the least and the greatest joint angles, rad, or coordinates, m.
func (g Geometry) Limits() (lo, hi [2]float64) { return g.skeleton.Limits() }

// Hand is where the fingertip is in a posture, m from the shoulder.
func (g Geometry) Hand(q [2]float64) [2]float64 { return g.skeleton.Hand(q) }

// Joints is the posture that has the fingertip at hand; ok is false where it cannot be.
func (g Geometry) Joints(hand [2]float64) (q [2]float64, ok bool) { return g.skeleton.Posture(hand) }
