package reach

import (
	"context"
	"fmt"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Begin starts trials together. The trials must be of the split; one may be given twice.
func (t *reach) Begin(ctx context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	trials, number, err := t.splits().Trials(req.Split)
	if err != nil {
		return nil, task.Observation{}, err
	}
	if len(req.Trials) == 0 {
		return nil, task.Observation{}, component.Invalid("trials", "none are given: at least one is needed")
	}
	if req.Truncate < 0 {
		return nil, task.Observation{}, component.Invalid("truncate", "%d is not allowed: at least 0", req.Truncate)
	}
	if req.Horizon < 0 || req.Horizon > t.bins() {
		return nil, task.Observation{}, component.Invalid("horizon", "%d is not allowed: 1 to %d bins, or 0 for all", req.Horizon, t.bins())
	}
	plans := make([]Plan, len(req.Trials))
	for i, k := range req.Trials {
		if _, ok := task.Find(trials, number, k); !ok {
			return nil, task.Observation{}, component.Invalid("trials", "trial %d is not one of split %s", k, req.Split)
		}
		plans[i] = t.plan(k)
	}
	if req.Float64 {
		return begin[float64](ctx, t, req, plans)
	}
	return begin[float32](ctx, t, req, plans)
}

// begin starts an episode with the noise that belongs to its trials.
func begin[F arm.Float](ctx context.Context, t *reach, req task.EpisodeRequest, plans []Plan) (task.Episode, task.Observation, error) {
	e, err := newEpisode[F](t, req, plans)
	if err != nil {
		return nil, task.Observation{}, err
	}
	// The observation after the last bin of a shorter horizon is that of the bin that would follow.
	e.shown = min(e.horizon+1, t.bins())
	if e.context, err = shown[F](t, plans, e.trials, e.shown); err == nil {
		var o task.Observation
		if o, err = e.reset(ctx); err == nil {
			return e, o, nil
		}
	}
	_ = e.plant.Close()
	return nil, task.Observation{}, err
}

// episode is a batch of trials that run. It implements [task.Episode].
type episode[F arm.Float] struct {
	task    *reach
	plant   *arm.Plant[F]
	plans   []Plan
	trials  []uint64
	horizon int
	tape    bool
	// truncate is where gradients are cut, as the request says.
	truncate int
	// context is what is shown in the first bins, (B, shown, contexts).
	context []F
	shown   int
	// senses and motor are noise, nil for none; in compat senses has a number for each modality, else for each feature.
	senses, motor *noise[F]

	// seen and felt are the delayed fingertip and muscle state; their gradients go back through seenBack and feltBack.
	seen, felt         *delay[F]
	seenBack, feltBack *delay[F]

	// excitation is the actions with their noise, force is what pushes, (B, 2), tip the gradient by the fingertip.
	excitation, force, tip []F
	inputs, state, actions []F
	observation            task.Observation
	gradient               *tensor.Tensor
	record                 *record[F]

	// next is the step that comes next, and kept the first on the tape. On the way back, back is the one whose VJP comes next.
	next, kept, back int
	backward         bool
	failed           error
}

var (
	_ task.Episode = (*episode[float32])(nil)
	_ task.Episode = (*episode[float64])(nil)
)

// newEpisode makes the episode of a request, all but what is shown. Everything that a step writes to is allocated here.
func newEpisode[F arm.Float](t *reach, req task.EpisodeRequest, plans []Plan) (*episode[F], error) {
	b := len(plans)
	e := &episode[F]{task: t, plans: plans, horizon: req.Horizon, tape: req.Tape, truncate: req.Truncate, trials: make([]uint64, b)}
	if e.horizon == 0 {
		e.horizon = t.bins()
	}
	for i, k := range req.Trials {
		e.trials[i] = uint64(k)
	}
	// Slots for the whole tape are there from the beginning: DropTape ends the way back, and frees nothing.
	var err error
	e.plant, err = arm.New[F](arm.Config{Effector: t.Effector, Compat: t.Compat, Trials: b, Bins: e.horizon, Tape: req.Tape, DT: t.DT})
	if err != nil {
		return nil, err
	}
	m := t.muscles
	if !req.NoiseOff && t.Sensory > 0 {
		features := observed(m)
		if t.Compat {
			features = modalities
		}
		e.senses = sensory[F](req.Seed, req.Pass, e.trials, features)
	}
	if !req.NoiseOff && t.Motor > 0 {
		e.motor = motor[F](req.Seed, req.Pass, e.trials, m)
	}
	sight, touch := t.slots(t.Vision), t.slots(t.Proprio)
	e.seen, e.felt = newDelay[F](sight, 2*b), newDelay[F](touch, 2*m*b)
	e.excitation, e.force = make([]F, m*b), make([]F, 2*b)
	e.inputs, e.state = make([]F, (observed(m)+contexts)*b), make([]F, 2*b)
	e.observation = task.Observation{Inputs: wrap(task.Inputs, e.inputs, b).With("", tensor.Trial, tensor.Channel)}
	if req.Tape {
		e.seenBack, e.feltBack = newDelay[F](sight, 2*b), newDelay[F](touch, 2*m*b)
		e.tip, e.actions = make([]F, 2*b), make([]F, m*b)
		e.gradient = wrap("actions", e.actions, b).With("", tensor.Trial, tensor.Channel)
	} else {
		e.record = newRecord[F](b, t.body, t.Compat)
	}
	return e, nil
}

// Observed is fingertip and muscle state; their noise under compat has modalities numbers.
func observed(muscles int) int { return 2 + 2*muscles }

const modalities = 2

// reset puts the arm into its postures and returns what is seen before the first step.
func (e *episode[F]) reset(ctx context.Context) (task.Observation, error) {
	if err := ctx.Err(); err != nil {
		return task.Observation{}, err
	}
	joints := make([]F, 2*len(e.plans))
	for i := range e.plans {
		joints[2*i], joints[2*i+1] = F(e.plans[i].Start[0]), F(e.plans[i].Start[1])
	}
	if err := e.plant.Reset(joints); err != nil {
		return task.Observation{}, err
	}
	e.sense()
	e.seen.fill()
	e.felt.fill()
	if err := e.observe(0); err != nil {
		return task.Observation{}, err
	}
	return task.Observation{Inputs: e.observation.Inputs}, nil
}

// sense takes what the arm's senses give now into the delays.
func (e *episode[F]) sense() {
	e.plant.Fingertip(e.seen.next())
	e.plant.Senses(e.felt.next())
}

// observe writes the inputs of bin t.
func (e *episode[F]) observe(t int) error {
	seen, felt := e.seen.oldest(), e.felt.oldest()
	features, bin := 2*e.task.muscles, min(t, e.shown-1)
	var z []F
	stride := 0
	if e.senses != nil {
		var err error
		if z, stride, err = e.senses.bin(t); err != nil {
			return err
		}
	}
	sd, compat := F(e.task.Sensory), e.task.Compat
	for row := range e.plans {
		x := e.inputs[row*(2+features+contexts):][:2+features+contexts]
		copy(x[2+features:], e.context[(row*e.shown+bin)*contexts:][:contexts])
		from := felt[row*features:][:features]
		x[0], x[1] = seen[2*row], seen[2*row+1]
		to := x[2:][:features]
		switch {
		case z == nil:
			copy(to, from)
		case compat:
			sight, touch := sd*z[row*stride], sd*z[row*stride+1]
			x[0], x[1] = x[0]+sight, x[1]+sight
			for i, v := range from {
				to[i] = v + touch
			}
		default:
			own := z[row*stride:][:2+features]
			x[0], x[1] = x[0]+sd*own[0], x[1]+sd*own[1]
			own = own[2:][:features]
			for i, v := range from {
				to[i] = v + sd*own[i]
			}
		}
	}
	return nil
}

// may says what forbids a call, if anything does.
func (e *episode[F]) may(ctx context.Context) error {
	switch {
	case e.plant == nil:
		return fmt.Errorf("random-target: the episode has ended: %w", component.ErrNotFound)
	case e.failed != nil:
		return fmt.Errorf("random-target: the episode has failed and can only be ended: %w", e.failed)
	}
	return ctx.Err()
}

// fail remembers the error that ends the episode.
func (e *episode[F]) fail(err error) error {
	if err != nil && e.failed == nil && e.plant != nil {
		e.failed = err
	}
	return err
}

// Step applies the actions of bin t. The arrays of the observation are the episode's own: they are overwritten by the next step.
func (e *episode[F]) Step(ctx context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	err := e.may(ctx)
	if err == nil {
		err = e.step(t, actions)
	}
	if err != nil {
		return task.Observation{}, e.fail(err)
	}
	return e.observation, nil
}

func (e *episode[F]) step(t int, actions *tensor.Tensor) error {
	if t != e.next || t >= e.horizon {
		return component.Invalid("t", "step %d is not allowed: %s", t, e.order())
	}
	a, err := data[F]("actions", actions, len(e.plans), e.task.muscles)
	if err != nil {
		return err
	}
	u, err := e.excite(t, a)
	if err != nil {
		return err
	}
	if err := e.plant.Step(t, u, e.pushes(t)); err != nil {
		return e.diverged(t, a, err)
	}
	e.next, e.backward = t+1, false
	e.sense()
	if e.observation.State == nil {
		e.observation.State = wrap("fingertip", e.state, len(e.plans)).With("m", tensor.Trial, tensor.Channel)
		if e.record != nil {
			e.observation.Recorded = e.record.set
		}
	}
	copy(e.state, e.seen.newest())
	if e.record != nil {
		e.record.take(e.plant, e.plans, e.state, t)
	}
	if err := e.observe(t + 1); err != nil || e.record == nil || e.record.inputs == nil {
		return err
	}
	width := 2 + 2*e.task.muscles + contexts
	copy(e.record.inputs, e.inputs)
	for row := range e.plans {
		copy(e.record.inputs[(row+1)*width-contexts:], e.context[(row*e.shown+t)*contexts:][:contexts])
	}
	return nil
}

// order says which step may come next.
func (e *episode[F]) order() string {
	if e.next >= e.horizon {
		return fmt.Sprintf("all %d bins are done", e.horizon)
	}
	return fmt.Sprintf("%d is next", e.next)
}

// excite gives the actions with their noise.
func (e *episode[F]) excite(t int, actions []F) ([]F, error) {
	if e.motor == nil {
		return actions, nil
	}
	z, stride, err := e.motor.bin(t)
	if err != nil {
		return nil, err
	}
	m, sd := e.task.muscles, F(e.task.Motor)
	for row := range e.plans {
		u, z := e.excitation[row*m:][:m], z[row*stride:][:m]
		for i, a := range actions[row*m:][:m] {
			u[i] = a + sd*z[i]
		}
	}
	return e.excitation, nil
}

// diverged is err, or what explains it: an action that is not finite, which the plant refuses.
func (e *episode[F]) diverged(t int, actions []F, err error) error {
	m := e.task.muscles
	for i, x := range actions {
		if x-x != 0 {
			return &component.DivergedError{
				Step: int64(t), Quantity: fmt.Sprintf("action %d of trial %d", i%m, e.trials[i/m]), Value: float64(x),
				Hint: "a lower learning rate, or a smaller bound on the gradient's norm",
			}
		}
	}
	return err
}

// pushes are the forces on the hands in bin t, nil where there are none.
func (e *episode[F]) pushes(t int) []F {
	any := false
	for i := range e.plans {
		f := e.plans[i].Force(t)
		e.force[2*i], e.force[2*i+1] = F(f[0]), F(f[1])
		any = any || f != [2]float64{}
	}
	if !any {
		return nil
	}
	return e.force
}

// DropTape forgets what VJP needs of steps before one.
func (e *episode[F]) DropTape(ctx context.Context, before int) error {
	err := e.may(ctx)
	switch {
	case err != nil:
	case !e.tape:
		err = component.Invalid("before", "the episode was begun without a tape")
	case before < 0 || before > e.next:
		err = component.Invalid("before", "%d is not allowed: 0 to %d, the steps that are done", before, e.next)
	default:
		e.plant.DropTape(before)
		e.kept = max(e.kept, before)
	}
	return e.fail(err)
}

// End frees the episode. It may be called again.
func (e *episode[F]) End(context.Context) error {
	if e.plant == nil {
		return nil
	}
	err := e.plant.Close()
	*e = episode[F]{}
	return err
}
