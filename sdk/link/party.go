package link

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// party is one episode for the trials of one or several shards, which step together. The last shard to come goes through the bins for all of them, in its goroutine: in each bin it lets one member
// after the other compute and asks the task once. That the others stand still until all bins are done saves more than waking them: whoever is woken in every bin keeps Go's scheduler
// busy, which costs more than the messages.
type party struct {
	link    *Link
	members int
	joined  int // guarded by the link
	request task.EpisodeRequest

	mu      sync.Mutex
	round   sync.Cond
	done    int     // rounds
	here    int     // members that have come to the present one
	leading bool    // the last to come is at it, and has the others' arrays
	walks   []*walk // of those that have come
	gone    int     // members that have ended
	err     error

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

// walk is what one member does in each bin before the task is asked and after it.
type walk struct {
	before, after func(t int) error
	err           error
}

// walk takes part in a way through the bins, which lead goes for all members.
func (p *party) walk(w *walk, lead func() error) error {
	err := p.meet(w, lead)
	if w.err != nil {
		return w.err
	}
	return err
}

// meet waits for all members, of whom the last to come leads. The rest is told ErrElsewhere if that fails.
func (p *party) meet(w *walk, lead func() error) error {
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return ErrElsewhere
	}
	if w != nil {
		p.walks = append(p.walks, w)
	}
	if p.here++; p.here < p.members {
		p.link.Leave() // others may compute while this one waits
		for round := p.done; p.done == round && (p.err == nil || p.leading); {
			p.round.Wait()
		}
		err := p.err
		p.mu.Unlock()
		p.link.Enter()
		if err != nil {
			return ErrElsewhere
		}
		return nil
	}
	p.leading = true
	p.mu.Unlock()
	err := whole(lead)
	if _, panicked := err.(*component.PanicError); panicked {
		err = fmt.Errorf("%s: an episode: %w", p.link.name, err) // what the members do is theirs, see each
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.leading, p.here, p.walks = false, 0, nil
	p.done++
	p.round.Broadcast()
	return err
}

// each lets one member after the other do its part of a bin.
func (p *party) each(part func(w *walk) error) error {
	p.mu.Lock()
	failed := p.err != nil
	p.mu.Unlock()
	if failed {
		return ErrElsewhere
	}
	for _, w := range p.walks {
		if w.err = whole(func() error { return part(w) }); w.err != nil {
			return ErrElsewhere // for all others
		}
	}
	return nil
}

// bins goes through n bins, of which at gives the k-th, and asks the task once in each.
func (p *party) bins(n int, at func(k int) int, ask func(t int) error) error {
	for k := range n {
		t := at(k)
		p.breathe(t)
		if err := p.each(func(w *walk) error { return w.before(t) }); err != nil {
			return err
		}
		if err := ask(t); err != nil {
			return err
		}
		if err := p.each(func(w *walk) error { return w.after(t) }); err != nil {
			return err
		}
	}
	return nil
}

// forward goes through the bins.
func (p *party) forward(from, to int) error {
	return p.bins(to-from, func(k int) int { return from + k }, p.step)
}

// backward goes back over them.
func (p *party) backward(from, to int, state bool) error {
	return p.bins(to-from, func(k int) int { return to - 1 - k }, func(t int) error { return p.vjp(t, state) })
}

// breathe lets Go's scheduler see, every few bins, that this goroutine stops now and then. One that goes on for more than 10 ms is taken for stuck: from then on every call of a kernel that is longer than 20
// microseconds has the processor taken away from it (runtime.retake), which makes a step a fifth longer. Those who wait for messages stop anyway.
func (p *party) breathe(t int) {
	if t%8 == 0 && !p.link.distant {
		runtime.Gosched()
	}
}

// ask makes a call on the task, while which others may compute if it is in another process.
func (p *party) ask(call func(ctx context.Context) error) error {
	if p.link.distant {
		p.link.Leave()
		defer p.link.Enter()
	}
	return p.call(call)
}

// call makes a call on the task.
func (p *party) call(call func(ctx context.Context) error) error {
	ctx := p.link.ctx
	if p.link.distant {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.link.o.Patience)
		defer cancel()
	}
	return call(ctx)
}

// whole makes a panic of f an error, so that those who wait for it do not wait for ever.
func whole(f func() error) (err error) {
	defer component.Recover(&err)
	return f()
}

// fail lets nobody wait any longer.
func (p *party) fail(err error) {
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
	if err := whole(func() error { return p.call(e.End) }); err != nil && p.err == nil {
		return p.failed(-1, "ending", err)
	}
	return nil
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
	var e task.Episode
	var o task.Observation
	err := p.ask(func(ctx context.Context) (err error) {
		e, o, err = p.link.task.Begin(ctx, p.request)
		return err
	})
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
	var o task.Observation
	err := p.ask(func(ctx context.Context) (err error) {
		o, err = p.episode.Step(ctx, t, p.actions)
		return err
	})
	if err != nil {
		return p.failed(t, "step of", err)
	}
	return p.take(t, o)
}

// vjp goes back over a bin. Nothing follows the last bin's inputs.
func (p *party) vjp(t int, state bool) error {
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
	var back *tensor.Tensor
	err := p.ask(func(ctx context.Context) (err error) {
		back, err = p.episode.VJP(ctx, t, inputs, s)
		return err
	})
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
