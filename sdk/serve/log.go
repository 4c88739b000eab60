package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// logHandler writes one JSON object a line in go-plugin's (hclog's) form, which the host turns into its own log.
type logHandler struct {
	out    *lockedWriter
	module string
	attrs  []slog.Attr // with the names of groups in front of theirs
	group  string
}

// lockedWriter writes whole lines from several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// NewLogHandler returns a handler that writes hclog's JSON lines, as a host under go-plugin reads them from standard error.
func NewLogHandler(w io.Writer, module string) slog.Handler {
	return &logHandler{out: &lockedWriter{w: w}, module: module}
}

// Enabled is always true: the host decides what it keeps.
func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs returns a handler that adds attributes to each message.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]slog.Attr{}, h.attrs...)
	for _, a := range attrs {
		c.attrs = append(c.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &c
}

// WithGroup returns a handler that puts name and a dot in front of the names of attributes.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group = h.group + name + "."
	return &c
}

// Handle writes one line.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	line := map[string]any{}
	for _, a := range h.attrs {
		add(line, "", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		add(line, h.group, a)
		return true
	})
	// After the attributes, so that none of theirs can take these keys.
	line["@level"], line["@message"], line["@module"] = level(r.Level), r.Message, h.module
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	line["@timestamp"] = at.Format("2006-01-02T15:04:05.000000Z07:00")
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("serve: log: %w", err)
	}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err = h.out.w.Write(append(text, '\n'))
	return err
}

// level names a level as hclog does.
func level(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

func add(line map[string]any, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			add(line, prefix, inner)
		}
		return
	}
	if a.Key == "" {
		return
	}
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64:
		line[prefix+a.Key] = v.Any()
	default:
		// As text: a NaN or a value of the component's own is not always JSON.
		line[prefix+a.Key] = v.String()
	}
}
