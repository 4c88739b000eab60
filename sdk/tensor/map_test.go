package tensor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func numbered(n int) Blocks {
	return func(yield func(Block, error) bool) {
		for i := range n {
			if !yield(Block{Trials: []int64{int64(i)}}, nil) {
				return
			}
		}
	}
}

func TestMapKeepsTheOrder(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, workers := range []int{0, 1, 2, 7, 300} {
		var working, most atomic.Int64
		out := Map(t.Context(), numbered(200), workers, func(_ context.Context, b Block) (Block, error) {
			most.Store(max(most.Load(), working.Add(1)))
			defer working.Add(-1)
			for range b.Trials[0] % 5 {
				runtime.Gosched()
			}
			return b, nil
		})
		var next int64
		for b, err := range out {
			if err != nil {
				t.Fatal(err)
			}
			if b.Trials[0] != next {
				t.Fatalf("%d workers: block %d in place %d", workers, b.Trials[0], next)
			}
			next++
		}
		if next != 200 {
			t.Errorf("%d workers: %d blocks", workers, next)
		}
		if limit := int64(max(workers, 1) + 1); most.Load() > limit {
			t.Errorf("%d workers: %d blocks in work at once", workers, most.Load())
		}
	}
}

func TestMapEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	bad := errors.New("bad block")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	same := func(_ context.Context, b Block) (Block, error) { return b, nil }
	for _, c := range []struct {
		name string
		seq  Blocks
		want error
		n    int
	}{
		{"error of the sequence", Map(t.Context(), func(yield func(Block, error) bool) {
			_ = yield(Block{Trials: []int64{0}}, nil) && yield(Block{}, bad)
		}, 3, same), bad, 1},
		{"error of f", Map(t.Context(), numbered(100), 3, func(_ context.Context, b Block) (Block, error) {
			if b.Trials[0] >= 5 {
				return Block{}, fmt.Errorf("block %d: %w", b.Trials[0], bad)
			}
			return b, nil
		}), bad, 5},
		{"cancelled", Map(cancelled, numbered(100), 3, same), context.Canceled, 0},
		{"empty", Map(t.Context(), numbered(0), 3, same), nil, 0},
	} {
		n, last := 0, error(nil)
		for _, err := range c.seq {
			if err != nil {
				last = err
				continue
			}
			n++
		}
		if !errors.Is(last, c.want) || n != c.n {
			t.Errorf("%s: %d blocks, error %v; want %d, %v", c.name, n, last, c.n, c.want)
		}
	}
}

func TestMapBreak(t *testing.T) {
	defer goleak.VerifyNone(t)
	next, stop := iter.Pull2(Map(t.Context(), numbered(1000), 4, func(_ context.Context, b Block) (Block, error) { return b, nil }))
	if _, err, ok := next(); err != nil || !ok {
		t.Fatal(err, ok)
	}
	stop()
}

func TestMapPanic(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer func() {
		if p, ok := recover().(string); !ok || !strings.HasPrefix(p, "block 3\n") {
			t.Errorf("recovered %v", p)
		}
	}()
	for range Map(t.Context(), numbered(100), 3, func(_ context.Context, b Block) (Block, error) {
		if b.Trials[0] == 3 {
			panic("block 3")
		}
		return b, nil
	}) {
	}
}
