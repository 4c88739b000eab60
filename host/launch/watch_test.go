package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

func TestHealthIsWatched(t *testing.T) {
	const limit = time.Minute
	silence := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, c := range []struct {
		name string
		ask  func() func(context.Context) error
		want time.Duration
	}{
		{"never answers", func() func(context.Context) error { return silence }, limit},
		{"answers late, but in time", func() func(context.Context) error {
			return func(context.Context) error { time.Sleep(limit * 8 / 10); return nil }
		}, 0},
		{"answers with an error", func() func(context.Context) error {
			return func(context.Context) error { return &component.InternalError{Message: "not today"} }
		}, 0},
		{"is gone", func() func(context.Context) error {
			return func(context.Context) error { return fmt.Errorf("gone: %w", component.ErrUnavailable) }
		}, 0},
		{"hangs after a while", func() func(context.Context) error {
			n := 0
			return func(ctx context.Context) error {
				if n++; n < 20 {
					return nil
				}
				return silence(ctx)
			}
		}, limit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if got := watchHealth(ctx, limit, c.ask()); got != c.want {
					t.Errorf("unanswered for %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A plugin that is stopped by a signal, as one that hangs, is found and killed, and the call that it was in says so.
func TestHangIsTold(t *testing.T) {
	s, log := spec(t, "good")
	s.Health = 300 * time.Millisecond
	p := start(t, s)
	go func() {
		log.await(t, "opened")
		_ = syscall.Kill(p.PID(), syscall.SIGSTOP)
	}()
	begin := time.Now()
	_, err := p.Client.OpenTask(t.Context(), silent(), param.Values{"how": "wait"}, component.Env{Threads: 1})
	err = p.Wrap(err)
	var hang *HangError
	var died *ExitError
	if !errors.As(err, &hang) || !errors.As(err, &died) || !errors.Is(err, component.ErrUnavailable) || hang.Unanswered != s.Health {
		t.Fatalf("error is %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{"has not answered for 300ms", HealthEnv, "goes on from the last checkpoint", "opened"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if err := p.Stop(t.Context()); !errors.As(err, &hang) {
		t.Errorf("stop says %v", err)
	}
}

// Without the watch, which is the hole, a call of a process that is stopped waits for as long as its context lets it.
func TestUnwatchedHangIsNotFound(t *testing.T) {
	s, _ := spec(t, "good")
	s.Health = -1
	p := start(t, s)
	stop(t, p.PID())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.Client.Describe(ctx); !errors.Is(p.Wrap(err), context.DeadlineExceeded) || p.Err() != nil {
		t.Errorf("error is %v, the process's %v", err, p.Err())
	}
}

func TestHealthIsSetByTheEnvironment(t *testing.T) {
	s, _ := spec(t, "good")
	t.Setenv(HealthEnv, "2s")
	if p := start(t, s); p.spec.Health != 2*time.Second {
		t.Errorf("the limit is %v", p.spec.Health)
	}
	t.Setenv(HealthEnv, "soon")
	if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), HealthEnv) {
		t.Errorf("error is %v", err)
	}
}

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		state   string
		lines   []string
		starved bool
		want    string
	}{
		{"signal: killed", nil, true, "memory was short"},
		{"signal: killed", nil, false, "goes on from the last checkpoint"},
		{"signal: terminated", nil, false, "has ended it"},
		{"exit status 2", []string{"panic: x"}, false, "report it to the plugin's author"},
		{"exit status 1", []string{"Traceback (most recent call last):"}, false, "an error in the plugin"},
		{"exit status 1", []string{"Traceback (most recent call last):", "MemoryError"}, false, "could not get the memory"},
		{"exit status 2", []string{"fatal error: runtime: out of memory"}, false, "could not get the memory"},
		{"exit status 2", []string{"fatal error: concurrent map writes"}, false, "it crashed"},
		{"signal: segmentation fault (core dumped)", nil, false, "it crashed"},
		{"signal: illegal instruction", nil, false, "another processor"},
		{"signal: bus error", nil, false, "check the disks"},
		{"exit status 0", nil, false, "although it was in use"},
	} {
		if got := adviceOn(c.state, c.lines, c.starved); !strings.Contains(got, c.want) {
			t.Errorf("%s %v: %q, want %q", c.state, c.lines, got, c.want)
		}
	}
}
