package reach

import (
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays that a step of an episode without a tape returns besides the observation; rows are trials.
const (
	// JointAngle is (B, 2) in rad, JointVelocity in rad/s; of the point mass x and y in m, and m/s.
	JointAngle    = "joint_angle"
	JointVelocity = "joint_velocity"
	// Activation is the muscles' activations (B, muscles), Force their forces in N.
	Activation = "muscle_activation"
	Force      = "muscle_force"
	// Fingertip is where the hand is, (B, 2) in m, and Goal where it should be.
	Fingertip = "fingertip"
	Goal      = "goal"
)

// recorded lists them. Under compat data models are told what is observed after the step, beside what was shown in its bin: the published data sets' inputs.
func recorded(compat bool) []string {
	names := []string{JointAngle, JointVelocity, Activation, Force, Fingertip, Goal}
	if compat {
		names = append(names, task.Inputs)
	}
	return names
}

// record is what they are written to.
type record[F arm.Float] struct {
	state     arm.State[F]
	tip, goal []F
	inputs    []F // nil where they are not recorded
	set       tensor.Set
}

func newRecord[F arm.Float](rows int, body arm.Geometry, compat bool) *record[F] {
	muscles := len(body.Muscles())
	n := rows * muscles
	_, unit := body.Coordinates()
	r := &record[F]{
		state: arm.State[F]{Joints: make([]F, 2*rows), Velocities: make([]F, 2*rows), Activations: make([]F, n), Forces: make([]F, n)},
		tip:   make([]F, 2*rows), goal: make([]F, 2*rows),
	}
	units := []string{unit, unit + "/s", "", "N", "m", "m"}
	arrays := [][]F{r.state.Joints, r.state.Velocities, r.state.Activations, r.state.Forces, r.tip, r.goal}
	if compat {
		r.inputs = make([]F, rows*(observed(muscles)+contexts))
		arrays, units = append(arrays, r.inputs), append(units, "")
	}
	for i, a := range arrays {
		r.set = append(r.set, wrap(recorded(compat)[i], a, rows).With(units[i], tensor.Trial, tensor.Channel))
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
