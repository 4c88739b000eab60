// Package opened gives the tests of comparators an instance of one, and what it found.
package opened

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Comparator opens one with some parameters, the others at their defaults.
func Comparator(t testing.TB, f comparator.Factory, env component.Env, values param.Values) comparator.Comparator {
	t.Helper()
	v, problems := f.Info.Params.Resolve(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := f.Open(t.Context(), v, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Find is the first result of a metric and subject.
func Find(t testing.TB, o comparator.Outcome, metric, subject string) component.Result {
	t.Helper()
	for _, r := range o.Results {
		if r.Metric == metric && r.Subject == subject {
			return r
		}
	}
	t.Fatalf("no %s of %s among %d results", metric, subject, len(o.Results))
	return component.Result{}
}
