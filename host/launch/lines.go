package launch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Bounds on what a process prints.
const (
	// maxLine is the longest line that is kept whole; the rest of a longer one is dropped.
	maxLine = 64 << 10
	// maxLogged is how much goes to the log in all; after it only warnings and errors do, until they are maxAlarms more. What does not is read, for a process that nobody reads
	// stands still, and only the last lines are kept, unparsed.
	maxLogged = 16 << 20
	maxAlarms = 4 << 20
	// keptLines and keptBytes bound the lines that an error shows.
	keptLines = 12
	keptBytes = 400
	// maxAttrs bounds the attributes of one line.
	maxAttrs = 32
)

// lineLog turns the lines of a process into log records, and keeps the last ones.
type lineLog struct {
	log *slog.Logger

	mu     sync.Mutex
	kept   []keptLine
	logged int
	alarms int
	// panicking is set from the first line of a Go panic on: what follows is its stack.
	panicking bool
}

func newLineLog(log *slog.Logger, plugin string) *lineLog {
	return &lineLog{log: log.With("plugin", plugin)}
}

// keptLine is one of the last lines: its message, or while raw the line as it came.
type keptLine struct {
	text string
	raw  bool
}

// last returns the last lines, oldest first.
func (l *lineLog) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, k := range l.kept {
		if k.raw {
			if _, message, _, ok := parseJSON(k.text); ok {
				k.text = message
			}
		}
		out = append(out, shortened(k.text))
	}
	return out
}

func shortened(message string) string {
	if len(message) > keptBytes {
		return strings.ToValidUTF8(message[:keptBytes], "") + "..."
	}
	return message
}

// read logs lines until the reader ends. each sees a line first and returns true where it has dealt with it; it may be nil.
func (l *lineLog) read(r io.Reader, stream string, each func(line []byte) bool) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		dropped := 0
		for errors.Is(err, bufio.ErrBufferFull) {
			// The beginning must be kept before the buffer is used again.
			if dropped == 0 {
				line = bytes.Clone(line)
			}
			var more []byte
			more, err = b.ReadSlice('\n')
			dropped += len(more)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && (each == nil || !each(line)) {
			l.line(string(line), stream, dropped)
		}
		if err != nil {
			return
		}
	}
}

// writer logs what is written to it, whose lines may come in pieces.
func (l *lineLog) writer(stream string) io.Writer { return &lineWriter{lines: l, stream: stream} }

type lineWriter struct {
	lines  *lineLog
	stream string
	mu     sync.Mutex
	rest   []byte
}

// Write logs the lines that are complete.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 && len(w.rest) <= maxLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(w.rest) - 1
		}
		if line := bytes.TrimRight(w.rest[:i+1], "\r\n"); len(line) > 0 {
			w.lines.line(string(line), w.stream, 0)
		}
		w.rest = append(w.rest[:0], w.rest[i+1:]...)
	}
}

// line logs one line: hclog's and slog's JSON by its level, message and attributes, anything else as it is.
func (l *lineLog) line(text, stream string, dropped int) {
	text = strings.ToValidUTF8(text, "\ufffd")
	if l.skim(text) {
		return
	}
	level, message, attrs, ok := parseJSON(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		level, message = slog.LevelInfo, text
		l.panicking = l.panicking || panics(text)
		if l.panicking {
			level = slog.LevelError
		}
		attrs = []slog.Attr{slog.String("stream", stream)}
	} else if stream != "stderr" {
		attrs = append(attrs, slog.String("stream", stream))
	}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("bytes_dropped", dropped))
	}
	if level >= slog.LevelInfo {
		l.keep(keptLine{text: shortened(message)})
	}
	if l.logged+len(text) <= maxLogged {
		l.logged += len(text)
		l.log.LogAttrs(context.Background(), level, message, attrs...)
		return
	}
	if l.alarms == 0 {
		l.log.Warn(fmt.Sprintf("the plugin has logged %d MiB: from here on only its warnings and errors are kept, and of them %d MiB", maxLogged>>20, maxAlarms>>20))
		l.logged = maxLogged
	}
	if l.alarms += len(text); level >= slog.LevelWarn && l.alarms <= maxAlarms {
		l.log.LogAttrs(context.Background(), level, message, attrs...)
	}
}

// skim deals with a line for which there is no room in the log any more, and reports whether it has.
func (l *lineLog) skim(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logged < maxLogged || l.panicking {
		return false
	}
	begin := text[:min(len(text), maxSkimmed)]
	if panics(begin) || l.alarms <= maxAlarms && alarming(begin) {
		return false
	}
	if !strings.Contains(begin, `"@level":"debug"`) && !strings.Contains(begin, `"@level":"trace"`) {
		l.keep(keptLine{text: begin, raw: true})
	}
	return true
}

// maxSkimmed is how much of a line is looked at by skim.
const maxSkimmed = 4096

// panics reports whether a line is the begin of a panic's message, or of a Python error's.
func panics(text string) bool {
	return strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") || strings.HasPrefix(text, "Traceback (most recent call last)")
}

// alarming reports whether a line may be a warning or an error.
func alarming(text string) bool {
	for _, sign := range []string{"\"warn", "\"WARN", "\"error", "\"ERROR", "\"fatal", "\"critical"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// keep holds on to the last lines. Of a panic the first lines say what happened and the rest is the stack, so those stay. The caller holds the lock.
func (l *lineLog) keep(line keptLine) {
	if len(l.kept) >= keptLines {
		if l.panicking && (strings.HasPrefix(l.kept[0].text, "panic: ") || strings.HasPrefix(l.kept[0].text, "fatal error: ")) {
			return
		}
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, line)
}

// parseJSON reads a line of hclog's or slog's JSON. It takes nothing for granted: whatever has not the expected type is an attribute like any other.
func parseJSON(text string) (slog.Level, string, []slog.Attr, bool) {
	if !strings.HasPrefix(text, "{") {
		return 0, "", nil, false
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return 0, "", nil, false
	}
	take := func(names ...string) string {
		for _, name := range names {
			if s, ok := fields[name].(string); ok {
				delete(fields, name)
				return s
			}
		}
		return ""
	}
	message := take("@message", "msg", "message")
	if message == "" {
		return 0, "", nil, false
	}
	level := levelOf(take("@level", "level"))
	// The host's log has its own time and names the plugin.
	take("@timestamp", "time")
	take("@module")
	var attrs []slog.Attr
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if len(attrs) == maxAttrs {
			break
		}
		attrs = append(attrs, slog.Any(name, fields[name]))
	}
	return level, message, attrs, true
}

func levelOf(s string) slog.Level {
	switch strings.ToLower(s) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error", "fatal", "critical":
		return slog.LevelError
	}
	return slog.LevelInfo
}
