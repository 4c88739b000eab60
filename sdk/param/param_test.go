package param

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	NBits int       `param:"n_bits" default:"3" min:"1" max:"16" unit:"bit" doc:"number of bits"`
	Noise float64   `param:"noise" default:"0.15" min:"0" doc:"input noise"`
	Rate  float64   `param:"lr" default:"1e-3" above:"0" doc:"learning rate"`
	Link  string    `param:"link" default:"exp" choices:"exp,softplus,sigmoid" doc:"link"`
	On    bool      `param:"compat" default:"false" doc:"published behaviour"`
	Sizes []int     `param:"sizes" default:"1,2" min:"1" doc:"sizes"`
	Gains []float64 `param:"gains" default:"" doc:"gains"`
	Must  string    `param:"must" doc:"has no default"`
}

func TestResolve(t *testing.T) {
	s := MustOf(sample{})
	v, problems := s.Resolve(Values{"n_bits": uint8(4), "noise": 1, "sizes": []any{3, 4.0}, "must": "x"})
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	var got sample
	if err := Decode(v, &got); err != nil {
		t.Fatal(err)
	}
	want := sample{NBits: 4, Noise: 1, Rate: 1e-3, Link: "exp", Sizes: []int{3, 4}, Gains: []float64{}, Must: "x"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestChoicesOfList: of a long list the one entry that is wrong is shown, with the choice that is near it.
func TestChoicesOfList(t *testing.T) {
	s := MustOf(struct {
		Tasks    []string `param:"tasks" default:"DelayPro" choices:"DelayPro,DelayAnti,MemoryPro" doc:"tasks"`
		Effector string   `param:"effector" default:"arm26" choices:"arm26,point-mass" doc:"what moves"`
	}{})
	_, problems := s.Resolve(Values{"tasks": []any{"MemoryPro", "DelyAnti", "Delay"}, "effector": "arm"})
	want := []Problem{
		{"tasks", `"DelyAnti" is not allowed: one of DelayPro, DelayAnti, MemoryPro`, `did you mean "DelayAnti"?`},
		{"effector", `"arm" is not allowed: one of arm26, point-mass`, `did you mean "arm26"?`},
	}
	if !reflect.DeepEqual(problems, want) {
		t.Errorf("%q, want %q", problems, want)
	}
	// Two names that begin so are not told apart; and a longer name of which only the beginning is right is not meant.
	for _, given := range []string{"gru", "noisy-transformer", ""} {
		if n, ok := Nearest(given, []string{"gru-latent-l2", "gru-noisy-latent", "noisy"}); ok {
			t.Errorf("%q is near %q", given, n)
		}
	}
}

// TestUnsigned: what holds no negative number takes none, unless its tags say something else.
func TestUnsigned(t *testing.T) {
	s := MustOf(struct {
		Seed  uint64 `param:"seed" default:"1" doc:"seed"`
		Count uint64 `param:"count" default:"3" min:"2" doc:"count"`
		Link  string `param:"link" default:"b" choices:"a, b" doc:"link"`
	}{})
	_, problems := s.Resolve(Values{"seed": -1, "count": 1, "link": "b"})
	want := []Problem{{"seed", "-1 is not allowed: >= 0", ""}, {"count", "1 is not allowed: >= 2", ""}}
	if !reflect.DeepEqual(problems, want) {
		t.Errorf("%q, want %q", problems, want)
	}
}

func TestResolveReportsEverything(t *testing.T) {
	_, problems := MustOf(sample{}).Resolve(Values{
		"n_bits": 0, "noise": math.NaN(), "lr": 0, "link": "softpuls", "compat": "yes", "sizes": []any{0}, "gains": 3, "n_bit": 1, "zzzzzzzz": 1,
	})
	want := []struct{ path, message, hint string }{
		{"n_bits", "0 is not allowed: 1..16", ""},
		{"noise", "NaN is not allowed: >= 0", ""},
		{"lr", "0 is not allowed: > 0", ""},
		{"link", `"softpuls" is not allowed: one of exp, softplus, sigmoid`, `did you mean "softplus"?`},
		{"compat", `"yes": a bool is needed`, ""},
		{"sizes", "[0] is not allowed: >= 1", ""},
		{"gains", "3: a list of float is needed", ""},
		{"must", "is required: a string", "has no default"},
		{"n_bit", "no such parameter", `did you mean "n_bits"?`},
		{"zzzzzzzz", "no such parameter", "parameters are n_bits, noise, lr, link, compat, sizes, gains, must"},
	}
	if len(problems) != len(want) {
		t.Fatalf("%d problems, want %d: %v", len(problems), len(want), problems)
	}
	for i, w := range want {
		if p := problems[i]; p != (Problem{w.path, w.message, w.hint}) {
			t.Errorf("problem %d is %q, want %q", i, p, w)
		}
	}
}

func TestOfRefusesBadTags(t *testing.T) {
	for name, v := range map[string]any{
		"name": struct {
			A int `param:"A-b" doc:"x"`
		}{},
		"doc": struct {
			A int `param:"a"`
		}{},
		"type": struct {
			A complex128 `param:"a" doc:"x"`
		}{},
		"bound": struct {
			A int `param:"a" doc:"x" min:"one"`
		}{},
		"default outside": struct {
			A int `param:"a" doc:"x" min:"1" default:"0"`
		}{},
		"twice": struct {
			A int `param:"a" doc:"x"`
			B int `param:"a" doc:"x"`
		}{},
		"not a struct": 3,
	} {
		if _, err := Of(v); err == nil || !strings.HasPrefix(err.Error(), "param: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
