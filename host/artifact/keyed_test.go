package artifact

import (
	"reflect"
	"testing"
)

func TestKeyed(t *testing.T) {
	r := Record{KeyParts: map[string]string{
		"components.task.component": `"task/nbff"`, "components.task.plugin": `"builtin"`, "components.task.seed": "18446744073709551615",
		"components.task.params.n_bits": "3", "components.task.params.probability": "0.5",
		"components.model.component": `"model/gru"`, "components.model.params.hidden": "64",
		"components.odd.component": "7", "components.odd.seed": "1",
	}}
	k, ok := r.Keyed("task")
	want := Keyed{Component: "task/nbff", Plugin: "builtin", Seed: 1<<64 - 1, Params: map[string]string{"n_bits": "3", "probability": "0.5"}}
	if !ok || !reflect.DeepEqual(k, want) {
		t.Errorf("%+v, %v", k, ok)
	}
	for _, role := range []string{"model", "odd", "simulator", ""} { // no seed, no text, nothing
		if k, ok := r.Keyed(role); ok {
			t.Errorf("%q: %+v", role, k)
		}
	}
	other := Keyed{Component: "task/nbff", Seed: 5, Params: map[string]string{"n_bits": "2", "probability": "0.5", "new": "1"}}
	if d := k.Differences(other); !reflect.DeepEqual(d, []Difference{{"n_bits", "3", "2"}}) {
		t.Errorf("%+v", d)
	}
	if d := k.Differences(k); d != nil {
		t.Errorf("to itself: %+v", d)
	}
	if d := k.Differences(Keyed{Component: "task/multitask"}); !reflect.DeepEqual(d, []Difference{{"", "task/nbff", "task/multitask"}}) {
		t.Errorf("%+v", d)
	}
}
