package link

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TestOneFailsForAll: a shard that ends before it has begun, or in the middle, lets nobody wait for it, and the episodes end.
func TestOneFailsForAll(t *testing.T) {
	const batch = 7*kernel.ShardRows + 10
	broken := errors.New("broken")
	for _, when := range []int{-1, 1} {
		e := &echo{}
		l, err := New(t.Context(), far{e}, spec(), Options{Threads: 1, Together: 4 * kernel.ShardRows})
		if err != nil {
			t.Fatal(err)
		}
		errs := together(l, batch, func(shard, rows int) error {
			if shard == 2 && when < 0 {
				return broken
			}
			env := Environment[float32](l, rows, task.Valid, nil)
			x, y, s := make([]float32, rows*bins), make([]float32, rows*bins), make([]float32, rows*bins)
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard}}, x); err != nil {
				return err
			}
			defer func() { _ = env.End() }()
			for b := range bins {
				if shard == 2 && b == when {
					return broken
				}
				if err := env.Forward(b, b+1, nil, y, s, x); err != nil {
					return err
				}
			}
			return nil
		})
		for shard, err := range errs {
			if shard == 2 && !errors.Is(err, broken) || shard != 2 && shard < 4 && !errors.Is(err, ErrElsewhere) || err != nil && shard >= 4 && !errors.Is(err, ErrElsewhere) {
				t.Errorf("shard %d: %v", shard, err)
			}
		}
		l.Close()
		ends := 0
		for _, s := range e.log {
			if s == "end" {
				ends++
			}
		}
		if ends != len(e.begun) {
			t.Errorf("%d episodes began, %d ended", len(e.begun), ends)
		}
	}
}

func TestLateAnswer(t *testing.T) {
	e := &echo{wait: time.Minute}
	l, err := New(t.Context(), far{e}, spec(), Options{Patience: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	errs := together(l, 5, func(shard, rows int) error {
		env := Environment[float32](l, rows, task.Valid, nil)
		x := make([]float32, rows*bins)
		if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: 5}}, x); err != nil {
			return err
		}
		return env.Forward(0, 0+1, nil, make([]float32, rows*bins), x, x)
	})
	if !errors.Is(errs[0], component.ErrUnavailable) || !strings.Contains(errs[0].Error(), "task/far: step of bin 0 of an episode: no answer within 20ms") {
		t.Errorf("the error is %v", errs[0])
	}
	// Closing ends the episode that nobody has ended.
	l.Close()
	if last := e.log[len(e.log)-1]; last != "end" {
		t.Errorf("the last call is %q, want the end", last)
	}
	if _, err := New(t.Context(), e, task.Spec{}, Options{}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an open-loop task: %v", err)
	}
}

// TestPanicIsAnError: a panic in a call is an error of one shard, for which none of the others waits.
func TestPanicIsAnError(t *testing.T) {
	for _, c := range []struct {
		name         string
		batch, share int
		distant      bool
	}{{"one process", 20, 0, false}, {"one process, together", 300, 4 * kernel.ShardRows, false}, {"two processes", 20, 1, true}, {"two processes, together", 250, 4 * kernel.ShardRows, true}} {
		e := &echo{does: func(t int, _ *task.Observation) {
			if t == 1 {
				panic("on the ice")
			}
		}}
		var k task.ClosedLoop = e
		if c.distant {
			k = far{e}
		}
		l, err := New(t.Context(), k, spec(), Options{Threads: 2, Together: c.share})
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for shard, err := range steps(l, c.batch) {
			var panicked *component.PanicError
			switch {
			case errors.As(err, &panicked) && panicked.Value == "on the ice":
				told++
			case !errors.Is(err, ErrElsewhere):
				t.Errorf("%s: shard %d: %v", c.name, shard, err)
			}
		}
		if told == 0 {
			t.Errorf("%s: nobody tells of it", c.name)
		}
		l.Close()
	}
}

// TestComputeTogether: the last to come has all members compute in every bin, there and back; an error or a panic of one of them is that one's, whoever called it, and nobody waits for it.
func TestComputeTogether(t *testing.T) {
	const batch = 300
	broken := errors.New("broken")
	for _, distant := range []bool{false, true} {
		for _, c := range []struct {
			name     string
			at, back int // the bin in which shard 1 fails, on the way there or back; -1 in none
			fail     func() error
		}{
			{"whole", -1, -1, nil}, {"error", 1, -1, func() error { return broken }}, {"panic", 0, -1, func() error { panic("on the ice") }},
			{"error on the way back", -1, 1, func() error { return broken }}, {"panic on the way back", -1, 2, func() error { panic("on the ice") }},
		} {
			e := &echo{}
			l := open(t, e, distant, 2)
			each := l.shards(batch)
			errs := together(l, batch, func(shard, rows int) error {
				env := Environment[float64](l, rows, task.Train, nil)
				x, y, s, d := make([]float64, rows*bins), make([]float64, rows*bins), make([]float64, rows*bins), make([]float64, rows*bins)
				if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard}, Tape: true}, x); err != nil {
					return err
				}
				defer func() { _ = env.End() }()
				var seen []int
				err := env.Forward(0, bins, func(b int) error {
					if seen = append(seen, b); shard == 1 && b == c.at {
						return c.fail()
					}
					for r := range rows {
						y[r*bins+b] = x[r*bins+b] + 1 // of what the bin before gave
					}
					return nil
				}, y, s, x)
				if err != nil {
					return err
				}
				err = env.Backward(0, bins, func(b int) error {
					if seen = append(seen, b); shard == 1 && b == c.back {
						return c.fail()
					}
					return nil
				}, y, x, d)
				for r := range rows {
					for b := range bins {
						// Without trials in the pass they are the rows: the first observation is r, and each the last action more.
						want := float64((b+1)*r + b + 1)
						if err == nil && (y[r*bins+b] != want || s[r*bins+b] != 2*want) {
							return fmt.Errorf("row %d, bin %d: %v and state %v, want %v", r, b, y[r*bins+b], s[r*bins+b], want)
						}
					}
				}
				if err == nil && !slices.Equal(seen, []int{0, 1, 2, 2, 1, 0}) {
					return fmt.Errorf("computed bins %v", seen)
				}
				return err
			})
			for shard, err := range errs {
				var panicked *component.PanicError
				own := errors.Is(err, broken) || errors.As(err, &panicked) && panicked.Value == "on the ice"
				switch {
				case c.fail == nil && err != nil, c.fail != nil && shard == 1 && !own, c.fail != nil && shard != 1 && shard < each && !errors.Is(err, ErrElsewhere), shard >= each && err != nil && !errors.Is(err, ErrElsewhere):
					t.Errorf("distant %v, %s: shard %d: %v", distant, c.name, shard, err)
				}
			}
			l.Close()
		}
	}
}

// TestFailsBetween: a shard that fails between the way there and the way back, and an error in another party while the bins are gone through, end all.
func TestFailsBetween(t *testing.T) {
	const batch = 300
	broken := errors.New("broken")
	for _, distant := range []bool{false, true} {
		var l *Link
		e := &echo{}
		e.does = func(b int, _ *task.Observation) { // in the midst of the first party's walk the second fails
			if b == 1 {
				l.Fail(broken)
			}
		}
		l = open(t, e, distant, 2)
		walked := steps(l, batch)
		for shard, err := range walked {
			if !errors.Is(err, ErrElsewhere) {
				t.Errorf("distant %v: shard %d of those that failed elsewhere: %v", distant, shard, err)
			}
		}
		e.does = nil
		each := l.shards(batch)
		errs := together(l, batch, func(shard, rows int) error {
			env := Environment[float64](l, rows, task.Train, nil)
			x, y := make([]float64, rows*bins), make([]float64, rows*bins)
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: batch, Shard: shard}, Tape: true}, x); err != nil {
				return err
			}
			defer func() { _ = env.End() }()
			if err := env.Forward(0, bins, nil, y, x, x); err != nil {
				return err
			}
			if shard == 1 {
				return broken // its loss
			}
			return env.Backward(0, bins, nil, y, x, make([]float64, rows*bins))
		})
		for shard, err := range errs {
			if shard == 1 && !errors.Is(err, broken) || shard != 1 && shard < each && !errors.Is(err, ErrElsewhere) {
				t.Errorf("distant %v: shard %d: %v", distant, shard, err)
			}
		}
		l.Close()
	}
}

// TestPanicAtTheEnd: a panic in End is an error as well.
func TestPanicAtTheEnd(t *testing.T) {
	e := &echo{ends: func() { panic("at last") }}
	for _, k := range []task.ClosedLoop{e, far{e}} {
		l, err := New(t.Context(), k, spec(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		errs := together(l, 5, func(shard, rows int) error {
			env := Environment[float32](l, rows, task.Valid, nil)
			if err := env.Begin(nn.EpisodeStart{Pass: nn.Pass{Batch: 5}}, make([]float32, rows*bins)); err != nil {
				return err
			}
			return env.End()
		})
		var panicked *component.PanicError
		if !errors.As(errs[0], &panicked) || panicked.Value != "at last" {
			t.Errorf("%T: the error is %v", k, errs[0])
		}
		l.Close()
	}
}
