package launch

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// A plugin that takes more memory than it may is killed, be it itself or a child in another session that takes it. Without a limit, which is the hole, it has all.
func TestMemoryLimit(t *testing.T) {
	for _, how := range []string{"hoard", "hoard-in-child"} {
		t.Run(how, func(t *testing.T) {
			s, _ := spec(t, "good")
			s.Memory = 256 << 20
			p := start(t, s)
			_, err := p.Client.OpenTask(t.Context(), silent(), param.Values{"how": how}, component.Env{Threads: 1})
			err = p.Wrap(err)
			var memory *MemoryError
			if !errors.As(err, &memory) || !errors.Is(err, component.ErrUnavailable) {
				t.Fatalf("error is %v", err)
			}
			if memory.Limit != s.Memory || memory.Used <= s.Memory || memory.Used > 1<<30 {
				t.Errorf("used %d of %d", memory.Used, memory.Limit)
			}
			for _, want := range []string{"its limit is 256 MiB", "--memory", "goes on from the last checkpoint"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if n := len(members(p.PID(), p.run.mark, map[int]member{})); n > 0 {
				t.Errorf("%d processes are left", n)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		s, log := spec(t, "good")
		p := start(t, s)
		go func() {
			_, _ = p.Client.OpenTask(t.Context(), silent(), param.Values{"how": "hoard"}, component.Env{Threads: 1})
		}()
		log.await(t, "opened")
		for limit := time.Now().Add(20 * time.Second); residentBytes(p.PID()) < 512<<20; {
			if time.Now().After(limit) {
				t.Fatal("it does not get the memory")
			}
		}
		if err := p.Err(); err != nil {
			t.Error(err)
		}
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	})
	t.Run("told to Go", func(t *testing.T) {
		s, log := spec(t, "environment")
		s.Memory = 1 << 30
		start(t, s)
		log.await(t, "GOMEMLIMIT=858993459")
	})
	t.Run("below 0", func(t *testing.T) {
		s, _ := spec(t, "good")
		s.Memory = -1
		if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "memory limit of -1 bytes") {
			t.Errorf("error is %v", err)
		}
	})
}
