package plugintest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TB is what is needed of a [*testing.T].
type TB interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Plugin checks every component of a plugin. Each check that fails is an error of the test.
func Plugin(t TB, p serve.Plugin, o Options) Report {
	t.Helper()
	each := o.Each
	o.Each = func(r Result) {
		t.Helper()
		name := r.Check
		if r.Component != "" {
			name = r.Component + ": " + name
		}
		switch r.Status {
		case Failed:
			for _, problem := range r.Problems {
				t.Errorf("%s: %s", name, problem)
			}
		default:
			t.Logf("%s: %s in %.2fs: %s", name, r.Status, r.Took.Seconds(), r.Note)
		}
		if each != nil {
			each(r)
		}
	}
	r, err := Run(t.Context(), Local(p), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

// Task checks one task.
func Task(t TB, f task.Factory, o Options) Report {
	t.Helper()
	return Plugin(t, alone(serve.Plugin{Tasks: []task.Factory{f}}), o)
}

// Model checks one model.
func Model(t TB, f model.Factory, o Options) Report {
	t.Helper()
	return Plugin(t, alone(serve.Plugin{Models: []model.Factory{f}}), o)
}

// Simulator checks one simulator.
func Simulator(t TB, f simulator.Factory, o Options) Report {
	t.Helper()
	return Plugin(t, alone(serve.Plugin{Simulators: []simulator.Factory{f}}), o)
}

// Comparator checks one comparator.
func Comparator(t TB, f comparator.Factory, o Options) Report {
	t.Helper()
	return Plugin(t, alone(serve.Plugin{Comparators: []comparator.Factory{f}}), o)
}

func alone(p serve.Plugin) serve.Plugin {
	p.Name, p.Version, p.Doc = "under-test", "1.0.0", "one component under test"
	return p
}

// Local serves a plugin in this process, behind a socket as if it were in another.
func Local(p serve.Plugin) Start {
	return func(context.Context) (Running, error) {
		s, err := serveHere(p, slog.New(slog.DiscardHandler))
		if err != nil {
			return Running{}, fmt.Errorf("plugintest: %w", err)
		}
		return Running{Plugin: s.Plugin, Stop: func(context.Context) error {
			s.stop()
			return nil
		}}, nil
	}
}
