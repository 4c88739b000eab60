package task

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// ClosedLoop is a task whose observations depend on the actions (capability ClosedLoop). Its inputs are not known beforehand: Trials gives
// goals, conditions and what the environment will do, and an [Episode] gives the observations bin by bin.
type ClosedLoop interface {
	Task
	// Begin starts the given trials together and returns the first observation.
	Begin(ctx context.Context, req EpisodeRequest) (Episode, Observation, error)
}

// Distant is a task in another process, where each call costs a message: it is better asked for many trials at once.
type Distant interface {
	Task
	// Distant names the component.
	Distant() string
}

// EpisodeRequest says what to run. The trials may be a shard of a batch: what happens to a trial does not depend on which others are with it.
type EpisodeRequest struct {
	Split Split
	Pass  uint64
	// Trials are the numbers of the B trials.
	Trials []int64
	// Seed of the noise in the loop.
	Seed uint64
	// Float64 asks for double precision; else float32.
	Float64 bool
	// Tape asks to keep what VJP needs.
	Tape bool
	// Horizon is the number of bins to run, 0 for all T: for who wants the beginning of trials alone. The built-in models run them whole, with package link, also where a loss has
	// a horizon that grows, since the other terms are on all bins.
	Horizon int
	// NoiseOff switches sensory and motor noise off.
	NoiseOff bool
	// Truncate cuts the cotangent of the environment's own state that VJP carries from step t to step t-1, where t is a multiple of it, as truncated backpropagation through time
	// does; 0 never. VJP goes back over all bins nevertheless, so that the tape of all is kept.
	Truncate int
}

// Observation is what comes back from a step. Its arrays, and the cotangent that a VJP returns, may be written again by the next call on the episode; those that a call is
// given may be written again by the caller once it has returned.
type Observation struct {
	// Inputs is what the model sees next: (B, inputs).
	Inputs *tensor.Tensor
	// State is what the loss is computed on after this step, e.g. the true fingertip: (B, Loop.StateSize). Nil before the first step.
	State *tensor.Tensor
	// Recorded are the arrays that Loop.Recorded names: (B, ...). They may be left out before the first step, and where a tape is kept: training does not need them.
	Recorded tensor.Set
}

// Episode is a running batch of trials. The state of the environment and the tape stay in the task. Steps are numbered by t from 0 and an
// out-of-order call is an error. An Episode is used by one goroutine at a time, and after an error it can only be ended.
type Episode interface {
	// Step applies the actions (B, actions) of bin t and returns the observation for bin t+1.
	Step(ctx context.Context, t int, actions *tensor.Tensor) (Observation, error)
	// VJP takes the cotangents of what Step(t) returned (either may be nil, meaning zero) and returns the cotangent of its actions. It is
	// called for t from the last step down; the cotangent of the environment's own state is carried inside, see EpisodeRequest.Truncate.
	VJP(ctx context.Context, t int, inputs, state *tensor.Tensor) (actions *tensor.Tensor, err error)
	// DropTape forgets what VJP needs of the steps before one: for who will go back over the steps from there on alone, and has not the memory for the tape of all. Package link
	// does not call it: it goes back over all bins, whether their gradients are truncated or not.
	DropTape(ctx context.Context, before int) error
	// End frees the episode. It is not an error to end it before its last bin.
	End(ctx context.Context) error
}
