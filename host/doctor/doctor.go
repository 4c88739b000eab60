// Package doctor examines whether studies can be run here, and how well: the program and its libraries, the processor, memory, plugins, folders and limits. Every
// finding says what is so, and where something should be done, what.
//
// It starts each plugin once. It changes nothing but that it removes what hosts that were killed have left behind, and files that it makes to see whether a folder can be
// written.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/registry"
)

// Level says how bad a finding is.
type Level string

// The levels. Studies run in spite of warnings, with less speed or safety; they do not, or not all of them, where there is a problem.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Problem Level = "problem"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Area groups findings, e.g. "memory"; What is what was looked at, e.g. "available".
	Area  string `json:"area"`
	What  string `json:"what"`
	Level Level  `json:"level"`
	// Detail is what is so.
	Detail string `json:"detail"`
	// Advice is what to do; empty where nothing need be done.
	Advice string `json:"advice,omitempty"`
}

// DefaultPluginTimeout is how long a plugin may take to answer. Those in Python take seconds to import what they need.
const DefaultPluginTimeout = 15 * time.Second

// Subject is what to examine.
type Subject struct {
	// Version of the program.
	Version string
	// Search finds the plugins.
	Search registry.Search
	// Store, Runs and Cache are the folders that are written, Store for results, Runs for runs, Cache for what is remembered of plugins.
	Store, Runs, Cache string
	// Threads are how many a run would keep busy; 0 for as many as the machine has.
	Threads int
	// PluginTimeout is how long a plugin may take; 0 is DefaultPluginTimeout.
	PluginTimeout time.Duration
	// Env looks up an environment variable, as os.LookupEnv does.
	Env func(string) (string, bool)
}

func (s Subject) env(name string) string {
	v, _ := s.Env(name)
	return v
}

// Examine looks at everything at once, and returns what it found in a fixed order. The error is the context's.
func Examine(ctx context.Context, s Subject) ([]Finding, error) {
	if s.PluginTimeout <= 0 {
		s.PluginTimeout = DefaultPluginTimeout
	}
	areas := []func(context.Context, Subject) []Finding{program, processor, memory, plugins, folders, storage, leftovers, limits}
	found := make([][]Finding, len(areas))
	var wg sync.WaitGroup
	for i, examine := range areas {
		wg.Go(func() { found[i] = examine(ctx, s) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	var out []Finding
	for _, f := range found {
		out = append(out, f...)
	}
	return out, nil
}

// Worst is the level of the worst finding.
func Worst(found []Finding) Level {
	worst := OK
	for _, f := range found {
		if f.Level == Problem || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}
