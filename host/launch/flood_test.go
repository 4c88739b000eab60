package launch

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// counting counts what is written to it.
type counting struct{ n atomic.Int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// A plugin that prints 100 MB in lines, in one line, or what is no text at all, costs the host bounded memory, log and time, and can be called meanwhile and afterwards.
func TestFloods(t *testing.T) {
	for _, c := range []struct {
		how string
		// log is the most that may get into the log.
		log int64
	}{
		// Of what a record takes, a third is the short line itself.
		{"flood", 3 * maxLogged},
		{"long-line", 1 << 20},
		{"garbage", 16 << 20},
	} {
		t.Run(c.how, func(t *testing.T) {
			s, _ := spec(t, "good")
			var log counting
			s.Log = slog.New(slog.NewJSONHandler(&log, nil))
			p := start(t, s)
			before := heap()
			printed := make(chan error, 1)
			begin := time.Now()
			go func() {
				_, err := p.Client.OpenTask(t.Context(), silent(), param.Values{"how": c.how}, component.Env{Threads: 1})
				printed <- err
			}()
			var slowest time.Duration
			for running := true; running; {
				select {
				case err := <-printed:
					if running = false; err != nil {
						t.Fatal(err)
					}
				default:
					called := time.Now()
					if _, err := p.Client.Describe(t.Context()); err != nil {
						t.Fatal(err)
					}
					slowest = max(slowest, time.Since(called))
				}
			}
			took := time.Since(begin)
			t.Logf("took %v, slowest call %v, %d bytes in the log", took, slowest, log.n.Load())
			if took > time.Minute || slowest > 5*time.Second {
				t.Errorf("took %v, and a call meanwhile %v", took, slowest)
			}
			if grown := heap() - before; grown > 32<<20 {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			if n := log.n.Load(); n > c.log {
				t.Errorf("the log has %d bytes", n)
			}
			total := 0
			for _, line := range p.LastLines() {
				total += len(line)
			}
			if total > keptLines*(keptBytes+8) {
				t.Errorf("%d bytes of last lines", total)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// After a flood what matters is still in the log and in the last lines: warnings, errors, and the panic that ended it all.
func TestLinesAfterAFlood(t *testing.T) {
	var text strings.Builder
	l := newLineLog(slog.New(slog.NewTextHandler(&text, nil)), "x")
	line := `{"@level":"info","@message":"` + strings.Repeat("z", 1000) + `"}` + "\n"
	feed := func(s string) { l.read(strings.NewReader(s), "stderr", nil) }
	r, w := io.Pipe()
	go func() {
		for range (maxLogged + 1<<20) / len(line) {
			_, _ = io.WriteString(w, line)
		}
		w.Close()
	}()
	l.read(r, "stderr", nil)
	size := text.Len()
	feed(`{"@level":"info","@message":"unheard"}` + "\n" + `{"@level":"debug","@message":"unheard of"}` + "\n" + `{"@level":"warn","@message":"beware"}` + "\n")
	if last := l.last(); last[len(last)-2] != "unheard" || last[len(last)-1] != "beware" {
		t.Errorf("last lines are %q", last[len(last)-2:])
	}
	if more := text.String()[size:]; strings.Contains(more, "unheard") || !strings.Contains(more, "beware") {
		t.Errorf("logged is %q", more)
	}
	feed("panic: out of cheese\n\ngoroutine 1 [running]:\n" + strings.Repeat("main.f()\n", 30))
	if last := l.last(); last[0] != "panic: out of cheese" && !strings.Contains(strings.Join(last, "\n"), "panic: out of cheese") {
		t.Errorf("last lines are %q", last)
	}
	if !strings.Contains(text.String()[size:], "out of cheese") {
		t.Error("the panic is not in the log")
	}
}
