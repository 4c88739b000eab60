package artifact

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestLabels writes a task's labels to a file and reads them again; those that no attribute takes are left out, and the file is written all the same.
func TestLabels(t *testing.T) {
	spec := task.Spec{BinWidth: 0.02, InputLabels: []string{"fixation", "größe <1>"}, OutputLabels: []string{"cos"}, Extra: []string{"end"}, ConditionNames: []string{"DelayPro", "ReactPro"}}
	long := spec
	long.InputLabels = []string{strings.Repeat("x", 70000)}
	for name, c := range map[string]struct {
		spec task.Spec
		want Labels
	}{
		"some": {spec, Labels{BinWidth: 0.02, Inputs: spec.InputLabels, Outputs: spec.OutputLabels, Extra: spec.Extra, Conditions: spec.ConditionNames}},
		"loop": {task.Spec{Loop: &task.Loop{StateLabels: []string{"hand x", "hand y"}}, Loss: task.Loss{Terms: []task.Term{{HorizonEpochs: 7}, {}, {HorizonEpochs: 200}}}},
			Labels{State: []string{"hand x", "hand y"}, HorizonEpochs: 200}},
		"none":     {task.Spec{}, Labels{}},
		"too long": {long, Labels{}},
	} {
		path := filepath.Join(t.TempDir(), "a.h5")
		w, err := CreateArrays(path, ArraysOptions{Trials: map[task.Split]int{task.Valid: 1}, Attributes: NewLabels(c.spec).Attributes()})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(task.Valid, tensor.Block{Trials: []int64{3}, Arrays: tensor.Set{tensor.New32("x", 1, 2)}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		a, err := OpenArrays(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Attributes().Labels(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: labels %+v, want %+v", name, got, c.want)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := (Attributes{labelsAttribute: "{"}).Labels(); !reflect.DeepEqual(got, Labels{}) {
		t.Errorf("labels that are no JSON: %+v", got)
	}
}
