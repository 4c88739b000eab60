package tensor

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Map applies f to each block of a sequence, on up to workers goroutines (at least 1), and yields what it returns in the order of the
// sequence, so that what comes out does not depend on the number of workers. No more than workers+1 blocks are in work or waiting at any time: a slow
// consumer holds the producer back. The first error, of the sequence, of f or of ctx, ends it. When it ends, or is broken off, all
// goroutines have ended. A panic of f is raised again on the consumer's goroutine. It can be ranged over as often as the given sequence can.
func Map(ctx context.Context, in Blocks, workers int, f func(context.Context, Block) (Block, error)) Blocks {
	type result struct {
		block    Block
		err      error
		panicked any
	}
	// apply calls f; a panic on a goroutine of its own would end the process, whatever the consumer has put in place against it.
	apply := func(ctx context.Context, b Block) (r result) {
		defer func() {
			if p := recover(); p != nil {
				r.panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		if r.err = ctx.Err(); r.err == nil {
			r.block, r.err = f(ctx, b)
		}
		return r
	}
	return func(yield func(Block, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()

		queue := make(chan chan result, max(1, workers)-1)
		running.Go(func() {
			defer close(queue)
			for block, err := range in {
				done := make(chan result, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					return
				}
				if err != nil {
					done <- result{err: err}
					return
				}
				running.Go(func() { done <- apply(ctx, block) })
			}
		})
		for done := range queue {
			r := <-done
			if r.panicked != nil {
				panic(r.panicked)
			}
			if r.err != nil {
				yield(Block{}, r.err)
				return
			}
			if !yield(r.block, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Block{}, err)
		}
	}
}
