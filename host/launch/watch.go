package launch

import (
	"context"
	"errors"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// watch begins to watch over the process: its health and its memory.
func (p *Process) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	p.unwatch = cancel
	p.watched.Go(func() {
		select {
		case <-p.run.done:
			cancel()
		case <-ctx.Done():
		}
	})
	if p.spec.Health > 0 {
		p.watched.Go(func() {
			ask := func(ctx context.Context) error {
				_, err := p.Client.Health(ctx)
				return err
			}
			if silence := watchHealth(ctx, p.spec.Health, ask); silence > 0 {
				p.run.condemn(&HangError{Unanswered: silence})
			}
		})
	}
	if p.spec.Memory > 0 {
		p.watched.Go(func() {
			if used := watchMemory(ctx, p.PID(), p.run.mark, p.spec.Memory); used > 0 {
				p.run.condemn(&MemoryError{Used: used, Limit: p.spec.Memory})
			}
		})
	}
}

const (
	// healthTicks is in how many steps the time without an answer is counted.
	healthTicks = 10
	// healthPause is the longest time between an answer and the next question.
	healthPause = 5 * time.Second
)

// watchHealth asks until ctx ends, or until a question has gone unanswered for limit, and then returns for how long. Time is counted in steps, so that a host that was itself stopped
// for a while, which then sees one step at most, does not take a plugin for hung that has long answered.
func watchHealth(ctx context.Context, limit time.Duration, ask func(context.Context) error) time.Duration {
	step := max(limit/healthTicks, time.Millisecond)
	tick := time.NewTicker(step)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return 0
		}
		asking, cancel := context.WithCancel(ctx)
		answer := make(chan error, 1)
		go func() { answer <- ask(asking) }()
		// The first step is not a whole one.
		steps := -1
		for waiting := true; waiting; {
			select {
			case err := <-answer:
				// A process that is gone is told of elsewhere. Any other error is an answer.
				if errors.Is(err, component.ErrUnavailable) {
					cancel()
					return 0
				}
				waiting = false
			case <-tick.C:
				if steps++; steps >= healthTicks {
					cancel()
					<-answer
					return time.Duration(steps) * step
				}
			case <-ctx.Done():
				cancel()
				<-answer
				return 0
			}
		}
		cancel()
		pause.Reset(min(limit/4, healthPause))
	}
}

const (
	// memoryEvery is the time between two looks at the memory of the processes that are known, and membersEvery that between two searches for further ones.
	memoryEvery  = 100 * time.Millisecond
	membersEvery = time.Second
)

// watchMemory looks until ctx ends, or until the processes of a plugin hold more than limit bytes, and then returns how many.
func watchMemory(ctx context.Context, leader int, mark string, limit int64) int64 {
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	known := map[int]member{}
	var pids []int
	var searched time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0
		}
		if now := time.Now(); now.Sub(searched) >= membersEvery {
			pids, searched = members(leader, mark, known), now
		}
		var used int64
		for _, pid := range pids {
			used += residentBytes(pid)
		}
		if used <= limit {
			continue
		}
		if exact := heldBytes(pids); exact > limit {
			return exact
		}
	}
}

// heldBytes is what processes hold in memory together. Those that were forked share most of it, which is to count once; that takes the kernel longer to say.
func heldBytes(pids []int) int64 {
	var held int64
	for _, pid := range pids {
		share, ok := shareBytes(pid)
		if !ok {
			share = residentBytes(pid)
		}
		held += share
	}
	return held
}
