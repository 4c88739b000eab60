package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"

	"github.com/ctdb-host/ctdb/host/runlog"
)

// shownLog shows the records of a run's log as they are made, in the run's own process, as follow does in another.
type shownLog struct {
	watch *watch
	attrs []slog.Attr
	group string
}

var _ slog.Handler = shownLog{}

// Enabled is true for what is shown, and for what tells how many stages there are.
func (h shownLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= min(h.watch.level, slog.LevelInfo)
}

// Handle shows a record.
func (h shownLog) Handle(_ context.Context, r slog.Record) error {
	record := runlog.Record{Time: r.Time, Level: r.Level, Message: r.Message, Attrs: map[string]any{}}
	for _, a := range h.attrs {
		record.Attrs[a.Key] = attrValue(a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		record.Attrs[h.group+a.Key] = attrValue(a.Value)
		return true
	})
	if begins(record) {
		h.watch.expect(int(record.Integer("stages")))
		return nil
	}
	h.watch.log(record)
	return nil
}

// attrValue is a value as it is read back from a log.
func attrValue(v slog.Value) any {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64:
		return json.Number(v.String())
	case slog.KindFloat64:
		return json.Number(strconv.FormatFloat(v.Float64(), 'g', -1, 64))
	case slog.KindBool:
		return v.Bool()
	}
	return v.String()
}

// WithAttrs returns a handler that adds attributes to each record.
func (h shownLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		h.attrs = append(h.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return h
}

// WithGroup returns a handler that puts a name before those of attributes.
func (h shownLog) WithGroup(name string) slog.Handler {
	if name != "" {
		h.group += name + "."
	}
	return h
}
