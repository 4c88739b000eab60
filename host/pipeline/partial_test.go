package pipeline

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// A limit of time ends a training, and the run goes on with what came of it; the next run goes on with the training, and one without a limit ends with the bytes of one
// that never had any.
func TestLimitOfTime(t *testing.T) {
	h := toyHost(t, 1, 1)
	s := study(t, h, toyStudy, "fit.a.params.steps=2")
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	limited := h
	limited.MaxTime = 2 * time.Hour // of an hour a step
	var keys []string
	for _, steps := range []int64{2, 4} {
		outcomes, err := Run{Study: s, Host: limited, Out: out}.Execute(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !outcomes[0].Stopped || outcomes[0].Status != Done || outcomes[2].Stopped {
			t.Errorf("outcomes %+v", outcomes)
		}
		prov, err := artifact.ReadProvenance(out)
		if err != nil || prov.Status != statusDone || prov.Stages[0].Stopped != "time" || prov.Stages[2].Stopped != "" {
			t.Errorf("provenance %+v, %v", prov, err)
		}
		record, err := artifact.ReadRecord(filepath.Join(out, "train"))
		if err != nil {
			t.Fatal(err)
		}
		if record.Train.Steps != steps || record.Deterministic || record.Key != prov.Stages[0].Key || len(record.Notes) != 1 || !strings.Contains(record.Notes[0], "limit of time") {
			t.Errorf("after %d steps the record says %+v", steps, record)
		}
		keys = append(keys, record.Key)
		g, err := New(s, nil, h)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := g.Plan(t.Context())
		if err != nil || plan[0].Stored || len(plan[0].Changed) != 0 || !strings.Contains(plan[0].Reason, "which goes on") {
			t.Errorf("planned %+v, %v", plan[0], err)
		}
		keys = append(keys, plan[0].Key)
	}
	if len(keys) != 4 || keys[0] == keys[2] || keys[1] != keys[3] || slices.Contains(keys[:1], keys[1]) {
		t.Errorf("keys %v", keys)
	}
	// Whoever is told the same number of steps gets the same entry.
	other := toyHost(t, 1, 1)
	other.Catalog, other.MaxTime = h.Catalog, 2*time.Hour
	twin := filepath.Join(dir, "twin")
	if err := execute(t, Run{Study: s, Host: other, Out: twin}); err != nil {
		t.Fatal(err)
	}
	if record, err := artifact.ReadRecord(filepath.Join(twin, "train")); err != nil || record.Key != keys[0] {
		t.Errorf("key %s, %v, want %s", record.Key, err, keys[0])
	}

	if err := execute(t, Run{Study: s, Host: h, Out: out}); err != nil {
		t.Fatal(err)
	}
	never := toyHost(t, 1, 1)
	never.Catalog = h.Catalog
	whole := filepath.Join(dir, "whole")
	if err := execute(t, Run{Study: s, Host: never, Out: whole}); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, out), tree(t, whole))
	if record, err := artifact.ReadRecord(filepath.Join(out, "train")); err != nil || record.Key != keys[1] {
		t.Errorf("key %s, %v, want %s", record.Key, err, keys[1])
	}
	// A limit that is not reached changes nothing: the result is found, or made anew as it is.
	far := toyHost(t, 1, 1)
	far.Catalog, far.MaxTime = h.Catalog, 7*time.Hour
	for _, limited := range []Host{limited, far} {
		again := filepath.Join(dir, limited.MaxTime.String())
		outcomes, err := Run{Study: s, Host: limited, Out: again}.Execute(t.Context())
		if err != nil || slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Stopped }) {
			t.Errorf("outcomes %+v, %v", outcomes, err)
		}
		if got, want := tree(t, again), tree(t, whole); !reflect.DeepEqual(got, want) {
			same(t, got, want)
		}
	}
}
