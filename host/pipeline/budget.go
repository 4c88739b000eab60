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

// acquire waits for one job and then for so many threads; release gives both back. Whoever has threads waits for nothing more, so that nobody waits for ever.
func (b *Budget) acquire(ctx context.Context, threads int) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.running.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := b.busy.Acquire(ctx, int64(threads)); err != nil {
		b.running.Release(1)
		return nil, err
	}
	b.count(threads, 1)
	return sync.OnceFunc(func() {
		b.count(-threads, -1)
		b.busy.Release(int64(threads))
		b.running.Release(1)
	}), nil
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
