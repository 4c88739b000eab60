package pipeline

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func block(array string, trials ...int64) tensor.Block {
	t := tensor.New32(array, len(trials), 2).With("Hz", tensor.Trial, tensor.Bin)
	for i := range t.F32 {
		t.F32[i] = float32(trials[i/2])
	}
	return tensor.Block{Trials: trials, Arrays: tensor.Set{t}}
}

// renamed gives for each block one with its only array under another name.
func renamed(name string, in tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range in {
			if err == nil {
				b.Arrays = tensor.Set{b.Arrays[0].Named(name)}
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func TestJoinedKeepsBothSides(t *testing.T) {
	in := tensor.Of(block("inputs", 4, 5), block("inputs", 9))
	out, err := tensor.Collect(joined(in, func(b tensor.Blocks) tensor.Blocks { return renamed("latents", b) }))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(out.Trials, []int64{4, 5, 9}) || !reflect.DeepEqual(out.Arrays.Names(), []string{"latents", "inputs"}) {
		t.Errorf("trials %v, arrays %v", out.Trials, out.Arrays.Names())
	}
	for _, a := range out.Arrays {
		if !reflect.DeepEqual(a.F32, []float32{4, 4, 5, 5, 9, 9}) {
			t.Errorf("%s is %v", a.Name, a.F32)
		}
	}
}

// A model that mixes trials up must not have its latents laid beside another trial's inputs.
func TestJoinedRefusesOtherTrials(t *testing.T) {
	for name, run := range map[string]func(tensor.Blocks) tensor.Blocks{
		"swapped": func(in tensor.Blocks) tensor.Blocks {
			b, err := tensor.Collect(in)
			if err != nil {
				return tensor.Fail(err)
			}
			return tensor.Of(block("latents", b.Trials[1], b.Trials[0]))
		},
		"invented": func(tensor.Blocks) tensor.Blocks { return tensor.Of(block("latents", 4, 5)) },
	} {
		_, err := tensor.Collect(joined(tensor.Of(block("inputs", 4, 5)), run))
		var internal *component.InternalError
		if !errors.As(err, &internal) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestJoinedPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	_, err := tensor.Collect(joined(tensor.Fail(broken), func(b tensor.Blocks) tensor.Blocks { return renamed("latents", b) }))
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestExamples keeps the first trials, or the first of each condition, whatever the blocks, and passes all on.
func TestExamples(t *testing.T) {
	const trials = 100
	numbered, kinds := tensor.Block{}, tensor.NewInt(task.Conditions, trials)
	value := tensor.New32("a", trials, 1)
	for i := range trials {
		numbered.Trials = append(numbered.Trials, int64(3*i))
		kinds.I64[i] = int64(i % 5 / 3)
		value.F32[i] = float32(i)
	}
	numbered.Arrays = tensor.Set{value, kinds}
	for name, c := range map[string]struct {
		spec task.Spec
		want func(i int) bool
		n    int
	}{
		"alike":          {task.Spec{ConditionNames: []string{"one"}}, func(i int) bool { return i < 16 }, 16},
		"two conditions": {task.Spec{ConditionNames: []string{"a", "b"}}, func(i int) bool { return i%5 < 3 && i < 13 || i%5 >= 3 && i < 20 }, 16},
		"many":           {task.Spec{ConditionNames: make([]string, 200)}, func(i int) bool { return i == 0 || i == 3 }, 2},
		"closed loop":    {task.Spec{Loop: &task.Loop{}}, func(i int) bool { return i < 32 }, 32},
	} {
		for _, size := range []int{1, 7, trials} {
			var blocks []tensor.Block
			for from := 0; from < trials; from += size {
				to := min(from+size, trials)
				blocks = append(blocks, tensor.Block{Trials: numbered.Trials[from:to], Arrays: tensor.Set{value.Slice(from, to), kinds.Slice(from, to)}})
			}
			e := newExamples(c.spec)
			passed, err := tensor.Collect(e.from(tensor.Of(blocks...)))
			if err != nil || !reflect.DeepEqual(passed.Trials, numbered.Trials) {
				t.Fatalf("%s: %d trials passed on, error %v", name, len(passed.Trials), err)
			}
			got := e.all()
			if len(got) != c.n {
				t.Errorf("%s, blocks of %d: %d trials kept, want %d", name, size, len(got), c.n)
			}
			for _, b := range got {
				i := int(b.Arrays[0].F32[0])
				if len(b.Trials) != 1 || b.Trials[0] != int64(3*i) || !c.want(i) || b.Check() != nil {
					t.Errorf("%s, blocks of %d: kept %+v", name, size, b)
				}
			}
		}
	}
	broken := errors.New("broken")
	if _, err := tensor.Collect(newExamples(task.Spec{}).from(tensor.Fail(broken))); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestScoredParts takes a score apart by condition, and leaves out what is not finite.
func TestScoredParts(t *testing.T) {
	nan := math.NaN()
	score := task.Score{
		Success: []float64{1, 0, 1, 1}, Condition: []int64{2, 0, 2, 7}, ConditionNames: []string{"Pro", "none", "Anti"},
		MetricNames: []string{"distance", "never", "lost"}, MetricUnits: []string{"m"}, Metrics: [][]float64{{nan, 2, 3, math.Inf(1)}, {nan, nan, nan, nan}},
	}
	got := scoredParts(score)
	want := []string{comparator.SuccessOf + "Pro", comparator.SuccessOf + "Anti", comparator.Measured + "distance", comparator.Measured + "never"}
	if !reflect.DeepEqual(got.Names(), want) || got.Check() != nil {
		t.Fatalf("arrays %v, %v", got.Names(), got.Check())
	}
	if !reflect.DeepEqual(got[0].F64, []float64{0}) || !reflect.DeepEqual(got[1].F64, []float64{1, 1}) || !reflect.DeepEqual(got[2].F64, []float64{2, 3}) || got[2].Unit != "m" || got[3].Len() != 0 {
		t.Errorf("arrays %v %v %v %v", got[0], got[1], got[2], got[3])
	}
	score.Condition = []int64{2, 2, 2, 2}
	if one := scoredParts(score); one[0].Name != comparator.Measured+"distance" {
		t.Errorf("one condition gives %v", one.Names())
	}
}

// TestScoreInTheLog: the log has a network's success, that in each condition, and the means of what the task measures where there are any.
func TestScoreInTheLog(t *testing.T) {
	nan := math.NaN()
	var log bytes.Buffer
	r := running{log: slog.New(slog.NewJSONHandler(&log, nil))}
	r.logScore(task.Score{
		Success: []float64{1, 0, 1, 1}, Condition: []int64{1, 0, 1, 1}, ConditionNames: []string{"Pro", "Anti"},
		MetricNames: []string{"distance", "never"}, MetricUnits: []string{"m"}, Metrics: [][]float64{{nan, 2, 3, nan}, {nan, nan, nan, nan}},
	})
	for _, want := range []string{`"success":0.75,"trials":4`, `"condition":"Anti","success":1,"trials":3`, `"metric":"distance","mean":2.5,"unit":"m","trials":2`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, &log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 4 {
		t.Errorf("the log has %d lines: %s", n, &log)
	}
}

func TestSpool(t *testing.T) {
	s, err := newSpool(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.Block{block("latents", 3, 1), block("latents", 7)}
	for _, b := range want {
		if err := s.write(b); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		var got []tensor.Block
		for b, err := range s.read() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	s.remove()
	if _, err := tensor.Collect(s.read()); err == nil {
		t.Error("a removed spool can be read")
	}
}
