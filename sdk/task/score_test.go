package task

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestSplits: both splits rise, are four fifths and one fifth, and make up all trials.
func TestSplits(t *testing.T) {
	s := NewSplits([]int{7, 2, 9, 0, 4, 1, 3, 8, 6, 5, 10})
	if want := (Splits{[]int64{0, 1, 2, 3, 4, 7, 8, 9}, []int64{5, 6, 10}}); !reflect.DeepEqual(s, want) {
		t.Fatalf("splits %v, want %v", s, want)
	}
	for n := range 30 {
		s := NewSplits(make([]int, n))
		if train, valid := SplitSizes(n); train != len(s.Train) || valid != len(s.Valid) {
			t.Errorf("of %d trials %d and %d, said are %d and %d", n, len(s.Train), len(s.Valid), train, valid)
		}
	}
	for split, want := range map[Split][]int64{Train: s.Train, Valid: s.Valid, All: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} {
		n, number, err := s.Trials(split)
		var got []int64
		for i := range n {
			got = append(got, number(i))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", split, got, err, want)
		}
		for k := int64(-1); k < 12; k++ {
			if i, ok := Find(n, number, k); ok != slices.Contains(want, k) || ok && want[i] != k {
				t.Errorf("%s: trial %d is found at %d, %v", split, k, i, ok)
			}
		}
	}
	if _, _, err := s.Trials("test"); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("an unknown split gives %v", err)
	}
}

func TestJudge(t *testing.T) {
	number := func(i int) int64 { return int64(10 * i) }
	want := []Array{{"outputs", []int{2}}, {"place", nil}}
	block := func(trials ...int64) tensor.Block {
		y, at := tensor.New32("outputs", len(trials), 2), tensor.New64("place", len(trials))
		for i, k := range trials {
			y.F32[2*i+1], at.F64[i] = float32(k), float64(-k)
		}
		return tensor.Block{Trials: trials, Arrays: tensor.Set{at, y}}
	}
	judge := func(k int64, of []*tensor.Tensor) Judgement {
		if len(of) != 2 || of[0].F32[1] != float32(k) || of[1].F64[0] != float64(-k) || of[0].Shape[0] != 1 {
			t.Errorf("trial %d is judged by %v", k, of)
		}
		return Judgement{Success: 1, Loss: float64(k), Condition: k / 20, Metrics: []float64{math.NaN(), 2}}
	}
	s := Score{MetricNames: []string{"a", "b"}}
	if err := s.Judge(t.Context(), All, 4, number, tensor.Of(block(20, 0), block(30)), want, judge); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Trials, []int64{20, 0, 30}) || !slices.Equal(s.Loss, []float64{20, 0, 30}) || !slices.Equal(s.Condition, []int64{1, 0, 1}) || !slices.Equal(s.Metrics[1], []float64{2, 2, 2}) {
		t.Errorf("score %+v", s)
	}
	if m := s.Measured(); len(m) != 2 || len(m[0].Values) != 0 || m[1].Mean() != 2 {
		t.Errorf("measured %v", m)
	}
	infinite, integer := block(0), block(0)
	infinite.Arrays[1].F32[0] = float32(math.Inf(1))
	integer.Arrays[0] = tensor.NewInt("place", 1)
	for name, blocks := range map[string]tensor.Blocks{
		"not of the split": tensor.Of(block(5)), "beyond it": tensor.Of(block(40)), "given twice": tensor.Of(block(0), block(10, 0)),
		"missing": tensor.Of(tensor.Block{Trials: []int64{0}, Arrays: block(0).Arrays[:1]}), "infinite": tensor.Of(infinite), "integer": tensor.Of(integer),
		"shape": tensor.Of(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.New32("outputs", 1, 3), tensor.New32("place", 1)}}),
	} {
		if err := new(Score).Judge(t.Context(), All, 4, number, blocks, want, func(int64, []*tensor.Tensor) Judgement { return Judgement{} }); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
