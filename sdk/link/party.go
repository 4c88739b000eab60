package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// party is one episode for the trials of one or several shards, which step together: in each call the last shard to come makes it for all.
type party struct {
	link    *Link
	members int
	joined  int // guarded by the link
	request task.EpisodeRequest

	mu    sync.Mutex
	round sync.Cond
	done  int // rounds
	here  int // members that have come to the present one
	gone  int // members that have ended
	err   error

	episode task.Episode
	seen    task.Observation
	back    *tensor.Tensor // the last cotangent of actions
	// What a call is given, (trials, ...), written by each member in its rows.
	actions, dInputs, dState *tensor.Tensor
}

// records says whether what the task records is kept. Beside a tape it need not be there.
func (p *party) records() bool { return p.link.o.Record && !p.request.Tape }

func newParty(l *Link, members, trials int, r task.EpisodeRequest) *party {
	p := &party{link: l, members: members, request: r}
	p.round.L = &p.mu
	array := func(name string, width int) *tensor.Tensor {
		if r.Float64 {
			return tensor.New64(name, trials, width)
		}
		return tensor.New32(name, trials, width)
	}
	p.actions = array("actions", l.spec.Loop.Actions)
	if r.Tape {
		p.dInputs, p.dState = array(task.Inputs, l.spec.Inputs), array("state", l.spec.Loop.StateSize)
	}
	return p
}

// meet waits for all members, of whom one makes the call.
func (p *party) meet(call func() error) error {
	if p.members == 1 && !p.link.distant {
		if p.err != nil {
			return ErrElsewhere
		}
		p.err = p.survive(call)
		return p.err
	}
	// Others may compute while this one waits.
	p.link.Leave()
	defer p.link.Enter()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return ErrElsewhere
	}
	if p.here++; p.here < p.members {
		for round := p.done; p.done == round && p.err == nil; {
			p.round.Wait()
		}
		if p.err != nil {
			return ErrElsewhere
		}
		return nil
	}
	p.mu.Unlock()
	err := p.survive(call)
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.here = 0
	p.done++
	p.round.Broadcast()
	return err
}

// survive makes a call whose panic is an error, so that those who wait for it hear of it: nobody else would, for a graph runs its operations in a goroutine of its own, where a
// panic ends the process.
func (p *party) survive(call func() error) (err error) {
	defer func() {
		if panicked := (*component.PanicError)(nil); errors.As(err, &panicked) {
			err = fmt.Errorf("%s: an episode: %w", p.link.name, err)
		}
	}()
	defer component.Recover(&err)
	return call()
}

// fail lets nobody wait any longer.
func (p *party) fail(err error) {
	if p.members == 1 && !p.link.distant {
		return // nobody waits, and its one member is in the middle of it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && err != nil {
		p.err = err
		p.round.Broadcast()
	}
}

// leave is a member's end; with the last one the episode ends.
func (p *party) leave() error {
	p.mu.Lock()
	p.gone++
	last := p.gone == p.members
	p.mu.Unlock()
	if !last {
		return nil
	}
	p.link.over(p)
	return p.end()
}

// end ends the episode.
func (p *party) end() error {
	e := p.episode
	p.episode = nil
	if e == nil {
		return nil
	}
	ctx, cancel := p.patient()
	defer cancel()
	if err := p.survive(func() error { return e.End(ctx) }); err != nil && p.err == nil {
		return p.failed(-1, "ending", err)
	}
	return nil
}

// drop ends the episode of which nobody will hear any more.
func (p *party) drop() { _ = p.end() }

// patient is the context of one call.
func (p *party) patient() (context.Context, context.CancelFunc) {
	if !p.link.distant {
		return p.link.ctx, func() {}
	}
	return context.WithTimeout(p.link.ctx, p.link.o.Patience)
}

// failed says where and of whom an error is.
func (p *party) failed(t int, what string, err error) error {
	where := what
	if t >= 0 {
		where = fmt.Sprintf("%s bin %d", what, t)
	}
	if p.link.ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %s of an episode: no answer within %v: %w", p.link.name, where, p.link.o.Patience.Round(time.Millisecond), component.ErrUnavailable)
	}
	return fmt.Errorf("%s: %s of an episode: %w", p.link.name, where, err)
}

// begin starts the episode.
func (p *party) begin() error {
	ctx, cancel := p.patient()
	defer cancel()
	e, o, err := p.link.task.Begin(ctx, p.request)
	if err != nil {
		return p.failed(-1, "the beginning", err)
	}
	p.episode = e
	return p.take(-1, o)
}

// step takes a bin.
func (p *party) step(t int) error {
	if err := p.actions.CheckFinite(); err != nil {
		// The network's fault, not the task's.
		return p.diverged("action", p.actions, t)
	}
	ctx, cancel := p.patient()
	defer cancel()
	o, err := p.episode.Step(ctx, t, p.actions)
	if err != nil {
		return p.failed(t, "step of", err)
	}
	return p.take(t, o)
}

// vjp goes back over a bin. Nothing follows the last bin's inputs.
func (p *party) vjp(t int, state bool) error {
	ctx, cancel := p.patient()
	defer cancel()
	inputs, s := p.dInputs, p.dState
	if t == p.link.spec.Bins-1 {
		inputs = nil
	}
	if !state {
		s = nil
	}
	for _, c := range []*tensor.Tensor{inputs, s} {
		if c != nil && c.CheckFinite() != nil {
			return p.diverged("gradient of "+c.Name, c, t)
		}
	}
	back, err := p.episode.VJP(ctx, t, inputs, s)
	if err != nil {
		return p.failed(t, "way back over", err)
	}
	if back == nil {
		return p.wrong(t, "gave no cotangent of the actions")
	}
	if err := p.check(back, len(p.request.Trials), p.link.spec.Loop.Actions); err != nil {
		return p.wrong(t, "cotangent of the actions: %v", err)
	}
	p.back = back
	return nil
}

// take checks an observation: what a task gives is not trusted.
func (p *party) take(t int, o task.Observation) error {
	n := len(p.request.Trials)
	if o.Inputs == nil {
		return p.wrong(t, "gave no observation")
	}
	if err := p.check(o.Inputs, n, p.link.spec.Inputs); err != nil {
		return p.wrong(t, "observation: %v", err)
	}
	if t >= 0 && p.link.spec.Loop.StateSize > 0 {
		if o.State == nil {
			return p.wrong(t, "gave no state, which the loss is on")
		}
		if err := p.check(o.State, n, p.link.spec.Loop.StateSize); err != nil {
			return p.wrong(t, "state: %v", err)
		}
	}
	if t >= 0 && p.records() {
		names := o.Recorded.Names()
		if len(names) != len(p.link.spec.Loop.Recorded) {
			return p.wrong(t, "recorded %q, its specification says %q", names, p.link.spec.Loop.Recorded)
		}
		inOrder := make(tensor.Set, len(names))
		for i, name := range p.link.spec.Loop.Recorded {
			if inOrder[i] = o.Recorded.Get(name); inOrder[i] == nil {
				return p.wrong(t, "recorded %q, its specification says %q", names, p.link.spec.Loop.Recorded)
			}
		}
		o.Recorded = inOrder
		for _, r := range o.Recorded {
			err := r.Check()
			if err == nil && (len(r.Shape) == 0 || r.Shape[0] != n) {
				err = fmt.Errorf("%q has shape %v: %d trials are needed", r.Name, r.Shape, n)
			}
			if err != nil {
				return p.wrong(t, "recorded: %v", err)
			}
			if r.CheckFinite() != nil {
				v, trial, channel, _ := p.infinite(r)
				return p.wrong(t, "recorded %q is %v in trial %d, channel %d: only finite values are allowed", r.Name, v, trial, channel)
			}
		}
	}
	p.seen = o
	return nil
}

// check says what is wrong with an array of a task's.
func (p *party) check(a *tensor.Tensor, shape ...int) error {
	if err := errors.Join(a.Expect(shape...), a.Check()); err != nil {
		return err
	}
	if a.I64 != nil {
		return fmt.Errorf("%q is int64: float32 or float64 is needed", a.Name)
	}
	return a.CheckFinite()
}

// wrong is a task that does not keep to what it promised.
func (p *party) wrong(t int, format string, args ...any) error {
	where := "the beginning"
	if t >= 0 {
		where = fmt.Sprintf("bin %d", t)
	}
	return &component.InternalError{Component: p.link.name, Message: fmt.Sprintf("%s of an episode: %s", where, fmt.Sprintf(format, args...))}
}

// diverged names the first number that is not finite.
func (p *party) diverged(what string, a *tensor.Tensor, t int) error {
	if v, trial, channel, ok := p.infinite(a); ok {
		return &component.DivergedError{Quantity: fmt.Sprintf("%s %d of trial %d in bin %d", what, channel, trial, t), Value: v,
			Hint: "try a lower learning rate or a smaller clip"}
	}
	return nil
}

// infinite finds the first number of an array (trials, ...) that is not finite.
func (p *party) infinite(a *tensor.Tensor) (v float64, trial int64, channel int, found bool) {
	for i, v := range a.Float64s() {
		if v-v != 0 {
			width := a.Len() / len(p.request.Trials)
			return v, p.request.Trials[i/width], i % width, true
		}
	}
	return 0, 0, 0, false
}
