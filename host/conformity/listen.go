package conformity

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// listener hears what a plugin prints, and what package launch says of it, and hands it on.
type listener struct {
	next slog.Handler

	mu    *sync.Mutex
	heard *remarks
}

// remarks are what was heard that bears on a check.
type remarks struct {
	printed []string
	killed  bool
	left    bool
}

func newListener(log *slog.Logger) *listener {
	l := &listener{next: slog.DiscardHandler, mu: &sync.Mutex{}, heard: &remarks{}}
	if log != nil {
		l.next = log.Handler()
	}
	return l
}

// Enabled is true: what is not for the log may be for a check.
func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

// Handle hears a record.
func (l *listener) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" && a.Value.String() == "stdout" {
			l.heard.printed = append(l.heard.printed, r.Message)
		}
		return true
	})
	l.heard.left = l.heard.left || strings.HasPrefix(r.Message, "killed what the plugin had left running")
	l.mu.Unlock()
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs returns a listener whose records have more attributes.
func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *l
	out.next = l.next.WithAttrs(attrs)
	return &out
}

// WithGroup returns a listener whose records are in a group.
func (l *listener) WithGroup(name string) slog.Handler {
	out := *l
	out.next = l.next.WithGroup(name)
	return &out
}

// late notes that a process had to be killed.
func (l *listener) late() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard.killed = true
}

func (l *listener) stdout(v *plugintest.Verdict) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.heard.printed {
		v.Failf("it has printed %.120q to standard output, which is for the handshake alone: write to the log or to standard error", line)
	}
	return nil
}

func (l *listener) exits(v *plugintest.Verdict) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard.killed {
		v.Failf("it did not exit within 2s of being told to (plugin.GRPCController/Shutdown) and had to be killed")
	}
	if l.heard.left {
		v.Failf("processes that it had started were still running when it had ended: they must end before it does")
	}
	return nil
}
