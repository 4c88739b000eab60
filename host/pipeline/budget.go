package pipeline

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget is what all runs together may use that are given the same one, however many there are in a process: threads that are kept busy, and stages that run
// side by side. Its methods may be called from several goroutines.
type Budget struct {
	threads, jobs int
	busy          *semaphore.Weighted
	running       *semaphore.Weighted

	mu   sync.Mutex
	used [2]int // threads and jobs that are handed out
}

// NewBudget returns a budget of threads and jobs, at least 1 each.
func NewBudget(threads, jobs int) *Budget {
	threads, jobs = max(1, threads), max(1, jobs)
	return &Budget{threads: threads, jobs: jobs, busy: semaphore.NewWeighted(int64(threads)), running: semaphore.NewWeighted(int64(jobs))}
}

// Threads is how many threads there are in all.
func (b *Budget) Threads() int { return b.threads }

// Jobs is how many stages may run side by side.
func (b *Budget) Jobs() int { return b.jobs }

// InUse is how many threads and jobs are handed out now.
func (b *Budget) InUse() (threads, jobs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used[0], b.used[1]
}

// lease is one job with some threads of a budget, or the wish for them. It belongs to one goroutine.
type lease struct {
	budget  *Budget
	threads int
	held    bool
}

// lease waits for one job and then for so many threads. Whoever has threads waits for nothing more, so that nobody waits for ever.
func (b *Budget) lease(ctx context.Context, threads int) (*lease, error) {
	l := &lease{budget: b, threads: threads}
	return l, l.take(ctx)
}

// take waits for what the lease is for, where it does not hold it already.
func (l *lease) take(ctx context.Context) error {
	if l.held {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.budget.running.Acquire(ctx, 1); err != nil {
		return err
	}
	if err := l.budget.busy.Acquire(ctx, int64(l.threads)); err != nil {
		l.budget.running.Release(1)
		return err
	}
	l.held = true
	l.budget.count(l.threads, 1)
	return nil
}

// giveBack returns what the lease holds, if it does.
func (l *lease) giveBack() {
	if !l.held {
		return
	}
	l.held = false
	l.budget.count(-l.threads, -1)
	l.budget.busy.Release(int64(l.threads))
	l.budget.running.Release(1)
}

func (b *Budget) count(threads, jobs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[0] += threads
	b.used[1] += jobs
}

// share is the number of threads of a stage beside which so many others may run: all, divided among as many as have jobs. What a stage computes does not
// depend on it.
func (b *Budget) share(beside int) int { return max(1, b.threads/min(b.jobs, max(1, beside))) }
