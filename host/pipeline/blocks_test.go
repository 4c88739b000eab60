package pipeline

import (
	"errors"
	"reflect"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
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

func TestKeepFirst(t *testing.T) {
	blocks := tensor.Of(block("a", 0, 1), block("a", 2, 3), block("a", 4))
	for _, c := range []struct {
		n    int
		want []int64
	}{{0, nil}, {1, []int64{0}}, {3, []int64{0, 1, 2}}, {99, []int64{0, 1, 2, 3, 4}}} {
		var kept []int64
		passed, err := tensor.Collect(keepFirst(blocks, c.n, func(b tensor.Block) error {
			if err := b.Check(); err != nil {
				return err
			}
			kept = append(kept, b.Trials...)
			return nil
		}))
		if err != nil || len(passed.Trials) != 5 || !reflect.DeepEqual(kept, c.want) {
			t.Errorf("first %d: kept %v, passed %v, error %v", c.n, kept, passed.Trials, err)
		}
	}
	full := errors.New("disk full")
	if _, err := tensor.Collect(keepFirst(blocks, 3, func(tensor.Block) error { return full })); !errors.Is(err, full) {
		t.Errorf("error %v", err)
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
