package reach

import (
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays that a step of an episode without a tape returns besides the observation; rows are trials.
const (
	// JointAngle is (B, 2) in rad, JointVelocity in rad/s.
	JointAngle    = "joint_angle"
	JointVelocity = "joint_velocity"
	// Activation is the muscles' activations (B, 6), Force their forces in N.
	Activation = "muscle_activation"
	Force      = "muscle_force"
	// Fingertip is where the hand is, (B, 2) in m, and Goal where it should be.
	Fingertip = "fingertip"
	Goal      = "goal"
)

// recorded lists them.
func recorded() []string {
	return []string{JointAngle, JointVelocity, Activation, Force, Fingertip, Goal}
}

// record is what they are written to.
type record[F arm.Float] struct {
	state     arm.State[F]
	tip, goal []F
	set       tensor.Set
}

func newRecord[F arm.Float](rows, muscles int) *record[F] {
	n := rows * muscles
	r := &record[F]{
		state: arm.State[F]{Joints: make([]F, 2*rows), Velocities: make([]F, 2*rows), Activations: make([]F, n), Forces: make([]F, n)},
		tip:   make([]F, 2*rows), goal: make([]F, 2*rows),
	}
	units := []string{"rad", "rad/s", "", "N", "m", "m"}
	for i, a := range [][]F{r.state.Joints, r.state.Velocities, r.state.Activations, r.state.Forces, r.tip, r.goal} {
		r.set = append(r.set, wrap(recorded()[i], a, rows).With(units[i], tensor.Trial, tensor.Channel))
	}
	return r
}

// take records the plant after step t.
func (r *record[F]) take(plant *arm.Plant[F], plans []Plan, tip []F, t int) {
	plant.State(&r.state)
	copy(r.tip, tip)
	for i := range plans {
		g := plans[i].Goal(t)
		r.goal[2*i], r.goal[2*i+1] = F(g[0]), F(g[1])
	}
}
