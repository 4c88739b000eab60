package arm

import (
	"math"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// Geometry is the shape of a body, in float64 and apart from its movement: what a task draws its postures and goals from.
type Geometry struct {
	skeleton body.Skeleton[float64]
	mass     bool // it is the point mass's
}

// Shape returns the geometry of an effector; empty means Arm26.
func Shape(effector string) (Geometry, error) {
	c, err := Config{Effector: effector, Trials: 1}.check()
	if err != nil {
		return Geometry{}, err
	}
	if c.Effector == PointMass {
		return Geometry{skeleton: body.FourPulls[float64](c.DT).Skeleton, mass: true}, nil
	}
	return Geometry{skeleton: body.HumanArm[float64]()}, nil
}

// Limits are the least and the greatest joint angles, rad, or coordinates, m.
func (g Geometry) Limits() (lo, hi [2]float64) { return g.skeleton.Limits() }

// Hand is where the fingertip is in a posture, m from the shoulder.
func (g Geometry) Hand(q [2]float64) [2]float64 { return g.skeleton.Hand(q) }

// Coordinates names the joints, or the coordinates, and the unit of what a Plant is given and gives.
func (g Geometry) Coordinates() (names [2]string, unit string) {
	if g.mass {
		return [2]string{"x", "y"}, "m"
	}
	return [2]string{"shoulder", "elbow"}, "rad"
}

// Scale is the unit that people give postures in, and its size in that of Coordinates.
func (g Geometry) Scale() (unit string, size float64) {
	if g.mass {
		return "cm", .01
	}
	return "deg", math.Pi / 180
}

// Muscles are the names of the muscles, in order.
func (g Geometry) Muscles() []string {
	if g.mass {
		return []string{"upper right", "upper left", "lower right", "lower left"}
	}
	return []string{"pectoralis", "deltoid", "brachioradialis", "triceps lateral", "biceps", "triceps long"}
}
