// Package runlog reads the log of a run while another process writes it: what is there already, then what is added, of all the shards that write into a
// study's folder.
package runlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Record is a line of a run's log.
type Record struct {
	Time    time.Time
	Level   slog.Level
	Message string
	// Attrs are what else the record says, e.g. "stage" and "plugin"; numbers are json.Number.
	Attrs map[string]any
}

// Text is an attribute as text; empty where there is none.
func (r Record) Text(name string) string {
	switch v := r.Attrs[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number, bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(r.Attrs[name])
	if err != nil {
		return ""
	}
	return string(b)
}

// Number is an attribute as a number; NaN where it is none.
func (r Record) Number(name string) float64 {
	if n, ok := r.Attrs[name].(json.Number); ok {
		if v, err := n.Float64(); err == nil {
			return v
		}
	}
	return math.NaN()
}

// Integer is an attribute as a whole number; 0 where it is none.
func (r Record) Integer(name string) int64 {
	if n, ok := r.Attrs[name].(json.Number); ok {
		if v, err := n.Int64(); err == nil {
			return v
		}
	}
	return 0
}

// Rest lists the attributes other than those named, sorted, as name=value.
func (r Record) Rest(but ...string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Attrs)) {
		if slices.Contains(but, name) {
			continue
		}
		v := r.Text(name)
		if v == "" || strings.ContainsAny(v, " \t\n\"") {
			v = strconv.Quote(v)
		}
		out = append(out, name+"="+v)
	}
	return strings.Join(out, " ")
}

// parse reads a line as slog's JSON handler writes it; false where it is none.
func parse(line []byte) (Record, bool) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		return Record{}, false
	}
	r := Record{Attrs: fields}
	if text, ok := fields[slog.TimeKey].(string); ok {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			r.Time = t
			delete(fields, slog.TimeKey)
		}
	}
	if text, ok := fields[slog.LevelKey].(string); ok && r.Level.UnmarshalText([]byte(text)) == nil {
		delete(fields, slog.LevelKey)
	}
	if text, ok := fields[slog.MessageKey].(string); ok {
		r.Message = text
		delete(fields, slog.MessageKey)
	}
	return r, true
}
