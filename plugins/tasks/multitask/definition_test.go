package multitask

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// seen is a trial as it can be read from its arrays, without noise.
type seen struct {
	rule      Rule
	length    int
	x, y      []float32 // inputs and targets
	durations map[Phase]int
	starts    map[Phase]int
	extra     []float32
}

func (s *seen) in(t, c int) float64  { return float64(s.x[t*inputs+c]) }
func (s *seen) out(t, c int) float64 { return float64(s.y[t*outputs+c]) }

// stimulus reads magnitude and angle of a modality, 0 or 1, in a phase.
func (s *seen) stimulus(p Phase, modality int) (magnitude, angle float64) {
	at := s.starts[p]
	cos, sin := s.in(at, 1+2*modality), s.in(at, 2+2*modality)
	return math.Hypot(cos, sin), math.Atan2(sin, cos)
}

// read takes all trials of an instance without noise apart.
func read(t *testing.T, values param.Values) []*seen {
	t.Helper()
	values["noise"] = 0
	k := open(t, 5, 2, values)
	b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
	spec, err := k.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []*seen
	for i := range b.Trials {
		row := func(name string) []float32 { return b.Arrays.Get(name).Slice(i, i+1).F32 }
		s := &seen{x: row(task.Inputs), y: row(task.Targets), extra: row(task.Extra), durations: map[Phase]int{}, starts: map[Phase]int{Context: 0}}
		s.length = int(b.Arrays.Get(task.Lengths).I64[i])
		for c := ruleInput; c < inputs; c++ {
			if s.x[c] == 1 {
				s.rule = Rule(c - ruleInput)
			}
		}
		if name := spec.ConditionNames[b.Arrays.Get(task.Conditions).I64[i]]; name != s.rule.String() {
			t.Fatalf("trial %d has rule %s and condition %s", i, s.rule, name)
		}
		last := Context
		for column, name := range spec.Extra[:5] {
			if name != Phase(column+1).String() {
				t.Fatalf("column %d of extra is %s", column, name)
			}
			if at := int(s.extra[column]); at >= 0 {
				s.starts[Phase(column+1)] = at
				s.durations[last] = at - s.starts[last]
				last = Phase(column + 1)
			}
		}
		s.durations[last] = s.length - s.starts[last]
		if int(s.extra[5]) != s.length {
			t.Fatalf("trial %d ends at %v, its length is %d", i, s.extra[5], s.length)
		}
		out = append(out, s)
	}
	return out
}

// table are the phases of the families with their durations, as published.
func table() [kinds]map[Phase][2]int {
	return [kinds]map[Phase][2]int{
		delay:    {Context: {15, 34}, Stim1: {10, 74}, Response: {15, 34}},
		memory:   {Context: {15, 34}, Stim1: {10, 79}, Mem1: {10, 79}, Response: {15, 34}},
		react:    {Context: {25, 124}, Response: {15, 84}},
		decision: {Context: {10, 29}, Stim1: {10, 79}, Mem1: {10, 79}, Stim2: {10, 79}, Mem2: {5, 14}, Response: {15, 34}},
		match:    {Context: {10, 29}, Stim1: {10, 79}, Mem1: {10, 79}, Response: {15, 34}},
	}
}

// tied says whether the two modalities of a trial contradict each other to the same degree, so that only rounding says which sum is larger.
func (s *seen) tied() bool {
	return s.rule == ContextIntMultimodal && math.Abs(float64(s.extra[8]+s.extra[9])) < 1e-6
}

// answer is what the definition of a rule asks for, from what can be seen in the inputs: a direction, or none; in a tie that of the target, if it is one of the two.
func (s *seen) answer() (theta float64, responds bool) {
	m1, first := s.stimulus(Stim1, 0)
	switch s.rule {
	case DelayPro, MemoryPro:
		return first, true
	case DelayAnti, MemoryAnti:
		return first + math.Pi, true
	case ReactPro, ReactAnti:
		_, theta = s.stimulus(Response, 0)
		if s.rule == ReactAnti {
			theta += math.Pi
		}
		return theta, true
	case IntMod1, IntMod2, ContextIntMod1, ContextIntMod2, ContextIntMultimodal:
		n1, again := s.stimulus(Stim1, 1)
		m2, second := s.stimulus(Stim2, 0)
		n2, secondAgain := s.stimulus(Stim2, 1)
		evidence := m1 - m2
		switch s.rule {
		case IntMod2, ContextIntMod2:
			evidence = n1 - n2
			first, second = again, secondAgain
		case ContextIntMultimodal:
			evidence += n1 - n2
		}
		if s.tied() {
			toward := math.Atan2(s.out(s.starts[Response], 2), s.out(s.starts[Response], 1))
			if distance(toward, second) < distance(toward, first) {
				return second, true
			}
			return first, true
		}
		if evidence > 0 {
			return first, true
		}
		return second, true
	}
	_, second := s.stimulus(Response, 0)
	same := math.Abs(math.Remainder(second-first, 2*math.Pi))
	category := func(a float64) bool { return a > -1e-5 && a < math.Pi-1e-5 }
	switch s.rule {
	case Match2Sample:
		return second, same < 0.01
	case NonMatch2Sample:
		return second, same > math.Pi-0.01
	case MatchCatPro:
		return second, category(first) == category(second)
	}
	return second, category(first) != category(second)
}

// check holds a trial against the definition of its rule: phases, what is shown when, fixation and answer, and nothing after the end.
func (s *seen) check(t *testing.T, compat bool) {
	t.Helper()
	ranges := table()[s.rule.kind()]
	if len(ranges) != len(s.durations) {
		t.Fatalf("%s: phases %v", s.rule, s.durations)
	}
	for p, r := range ranges {
		if d := s.durations[p]; d < r[0] || d > r[1] {
			t.Fatalf("%s: %d bins of %s, want %v", s.rule, d, p, r)
		}
	}
	theta, responds := s.answer()
	if (s.extra[10] == 1) != responds {
		t.Fatalf("%s: extra says %v for responds", s.rule, s.extra[10])
	}
	if s.rule.kind() == decision {
		for modality, column := range []int{8, 9} {
			first, _ := s.stimulus(Stim1, modality)
			second, _ := s.stimulus(Stim2, modality)
			if got, want := float64(s.extra[column]), (first-second)/2; math.Abs(got-want) > 1e-5 {
				t.Fatalf("%s: extra says %v for the evidence in modality %d, shown is %v", s.rule, got, modality+1, want)
			}
		}
	}
	// shown is where each modality has a stimulus.
	shown := [2]map[Phase]bool{}
	switch k := s.rule.kind(); k {
	case delay, match:
		shown[0] = map[Phase]bool{Stim1: true, Response: true}
	case memory:
		shown[0] = map[Phase]bool{Stim1: true}
	case react:
		shown[0] = map[Phase]bool{Response: true}
	case decision:
		for m := range 2 {
			if (s.rule != IntMod1 || m == 0) && (s.rule != IntMod2 || m == 1) {
				shown[m] = map[Phase]bool{Stim1: true, Stim2: true}
			}
		}
	}
	inResponse := s.rule.kind() == react || s.rule.kind() == match
	asksFixation := !compat || s.rule.kind() != match || s.rule == Match2Sample
	for p := range ranges {
		for bin := s.starts[p]; bin < s.starts[p]+s.durations[p]; bin++ {
			for m := range 2 {
				if r := math.Hypot(s.in(bin, 1+2*m), s.in(bin, 2+2*m)); (r > 0) != shown[m][p] || s.rule.kind() != decision && r > 0 && math.Abs(r-1) > 1e-6 {
					t.Fatalf("%s: stimulus of magnitude %v in modality %d in %s", s.rule, r, m+1, p)
				}
			}
			wantFixation := p != Response || inResponse
			if (s.in(bin, 0) == 1) != wantFixation {
				t.Fatalf("%s: fixation input %v in %s", s.rule, s.in(bin, 0), p)
			}
			want := [outputs]float64{}
			switch {
			case p != Response && asksFixation:
				want[0] = 1
			case p == Response && responds:
				want[1], want[2] = math.Cos(theta), math.Sin(theta)
			}
			for c, w := range want {
				if math.Abs(s.out(bin, c)-w) > 1e-5 {
					t.Fatalf("%s: target %d is %v in %s, want %v", s.rule, c, s.out(bin, c), p, w)
				}
			}
			for c := ruleInput; c < inputs; c++ {
				if (s.in(bin, c) == 1) != (c-ruleInput == int(s.rule)) {
					t.Fatalf("%s: rule input %d is %v", s.rule, c, s.in(bin, c))
				}
			}
		}
	}
	for i, v := range append(slices.Clone(s.x[s.length*inputs:]), s.y[s.length*outputs:]...) {
		if v != 0 {
			t.Fatalf("%s: element %d after the end is %v", s.rule, i, v)
		}
	}
}

// mean of numbers and its standard error.
func mean(x []float64) (m, se float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	for _, v := range x {
		se += (v - m) * (v - m)
	}
	return m, math.Sqrt(se) / float64(len(x))
}

// within checks the mean to 5 standard errors.
func within(t *testing.T, what string, x []float64, want float64) {
	t.Helper()
	if m, se := mean(x); math.Abs(m-want) > 5*se+1e-12 {
		t.Errorf("%s: mean %v, want %v (standard error %v, n %d)", what, m, want, se, len(x))
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// TestTrialsByDefinition checks every task's trials against its definition, and their statistics: durations uniform over their ranges, all 32 directions as often,
// second stimuli, magnitudes and how often a response is due.
func TestTrialsByDefinition(t *testing.T) {
	for _, compat := range []bool{false, true} {
		trials := map[Rule][]*seen{}
		for _, s := range read(t, param.Values{"n_trials": 600, "compat": compat}) {
			s.check(t, compat)
			trials[s.rule] = append(trials[s.rule], s)
		}
		for r := range Rule(Rules) {
			t.Run(fmt.Sprintf("%s/compat=%t", r, compat), func(t *testing.T) { statistics(t, r, trials[r], compat) })
		}
	}
}

func statistics(t *testing.T, r Rule, trials []*seen, compat bool) {
	if len(trials) != 600 {
		t.Fatalf("%d trials", len(trials))
	}
	of := func(f func(*seen) float64) []float64 {
		var out []float64
		for _, s := range trials {
			out = append(out, f(s))
		}
		return out
	}
	for p, d := range table()[r.kind()] {
		bins := of(func(s *seen) float64 { return float64(s.durations[p]) })
		within(t, p.String(), bins, float64(d[0]+d[1])/2)
		width := float64(d[1] - d[0])
		if low, high := slices.Min(bins), slices.Max(bins); low > float64(d[0])+width/20 || high < float64(d[1])-width/20 {
			t.Errorf("%s has %v to %v bins, want %v", p, low, high, d)
		}
	}
	counts := map[float64]float64{}
	for _, theta := range of(func(s *seen) float64 { return float64(s.extra[6]) }) {
		step := (theta + math.Pi) / (2 * math.Pi / 32)
		if math.Abs(step-math.Round(step)) > 1e-5 {
			t.Fatalf("the first angle is %v", theta)
		}
		counts[math.Round(step)]++
	}
	chi := 0.0
	for i := range 32 {
		e := float64(len(trials)) / 32
		chi += (counts[float64(i)] - e) * (counts[float64(i)] - e) / e
	}
	if chi > 31+5*math.Sqrt(2*31) {
		t.Errorf("chi square of the first angle over 32 directions is %v", chi)
	}
	apart := of(func(s *seen) float64 { return math.Abs(math.Remainder(float64(s.extra[7]-s.extra[6]), 2*math.Pi)) })
	responds := of(func(s *seen) float64 { return bit(s.extra[10] == 1) })
	switch r {
	case Match2Sample, NonMatch2Sample:
		within(t, "responds", responds, 0.5)
		for i, s := range trials {
			d := apart[i]
			if r == NonMatch2Sample {
				d = math.Pi - d
			}
			if s.extra[10] == 0 && d < 9.99*math.Pi/180 {
				t.Fatalf("no response is due, yet the angles are %v rad from it", d)
			}
		}
	case MatchCatPro, MatchCatAnti:
		within(t, "responds", responds, 0.5)
		within(t, "category of the second", of(func(s *seen) float64 { return bit(s.extra[7] >= 0) }), 0.5)
	default:
		within(t, "responds", responds, 1)
	}
	if r.kind() != decision {
		return
	}
	within(t, "angle between stimuli", apart, 3*math.Pi/4)
	if slices.Min(apart) < math.Pi/2-1e-5 {
		t.Errorf("two stimuli are %v rad apart", slices.Min(apart))
	}
	var first, tiedFirst []float64
	for _, s := range trials {
		toward := bit(math.Hypot(s.out(s.length-1, 1)-math.Cos(float64(s.extra[6])), s.out(s.length-1, 2)-math.Sin(float64(s.extra[6]))) < 1e-5)
		if s.tied() {
			tiedFirst = append(tiedFirst, toward)
		} else {
			first = append(first, toward)
		}
	}
	within(t, "toward the first", first, 0.5)
	// Of ties the first stimulus wins those that rounding leaves, and half of the others.
	if m, se := mean(tiedFirst); len(tiedFirst) > 0 && m < 0.5-5*se {
		t.Errorf("%v of %d ties are answered toward the first", m, len(tiedFirst))
	}
	ties := 0.0
	// hidden says whether a modality shows nothing, of which there is no evidence.
	hidden := func(m int) bool { return r == IntMod1 && m == 1 || r == IntMod2 && m == 0 }
	for _, s := range trials {
		for m, c := range []float64{math.Abs(float64(s.extra[8])), math.Abs(float64(s.extra[9]))} {
			if hidden(m) && c == 0 {
				continue
			}
			if hidden(m) || !slices.ContainsFunc([]float64{0.08, 0.16, 0.32}, func(v float64) bool { return math.Abs(c-v) < 1e-6 }) {
				t.Fatalf("evidence %v", c)
			}
		}
		if s.extra[8] == -s.extra[9] || math.Abs(float64(s.extra[8]+s.extra[9])) < 1e-6 {
			ties++
		}
	}
	if tie := ties / 600; hidden(0) || hidden(1) {
		if ties > 0 {
			t.Errorf("%v trials without evidence", ties)
		}
	} else if r == ContextIntMultimodal && !compat && tie > 0 || (r != ContextIntMultimodal || compat) && math.Abs(tie-1.0/6) > 5*math.Sqrt(5.0/36/600) {
		t.Errorf("%v of the trials have no larger stimulus", tie)
	}
	for m := range 2 {
		if hidden(m) {
			continue
		}
		sums := of(func(s *seen) float64 {
			a, _ := s.stimulus(Stim1, m)
			b, _ := s.stimulus(Stim2, m)
			return (a + b) / 2
		})
		within(t, "mean magnitude", sums, 1)
		if slices.Min(sums) < 0.8-1e-6 || slices.Max(sums) > 1.2+1e-6 {
			t.Errorf("mean magnitudes are %v to %v", slices.Min(sums), slices.Max(sums))
		}
	}
}

// TestSubsetsAndWeights counts trials of each task in both splits.
func TestSubsetsAndWeights(t *testing.T) {
	k := open(t, 2, 1, param.Values{"tasks": []string{"MatchCatAnti", "DelayPro", "IntMod1"}, "weights": []float64{3, 1, 0}, "n_trials": 100})
	for split, want := range map[task.Split]map[int64]int{task.Train: {14: 180, 0: 60}, task.Valid: {14: 45, 0: 15}} {
		got := map[int64]int{}
		for _, c := range collect(t, k.Trials(t.Context(), task.TrialRequest{Split: split})).Arrays.Get(task.Conditions).I64 {
			got[c]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has conditions %v, want %v", split, got, want)
		}
	}
	// Any run of trials has about its share of each task.
	for at, n := range []int{4, 8, 40} {
		counts := [3]int{}
		for _, i := range schedule([]float64{0.5, 0, 1.5}, n) {
			counts[i]++
		}
		if counts[0] != n/4 || counts[1] != 0 {
			t.Errorf("run %d of %d trials has %v", at, n, counts)
		}
	}
	// Rare tasks, and weights that are no short binary fractions.
	counts := [3]float64{}
	for _, i := range schedule([]float64{0.1, 0.7, 0.2}, 100_000) {
		counts[i]++
	}
	if math.Abs(counts[0]-1e4) > 2 || math.Abs(counts[1]-7e4) > 2 {
		t.Errorf("counts %v", counts)
	}
	for prob, want := range map[float64]int{0: 0, 1: 40} {
		due := 0
		for _, s := range read(t, param.Values{"tasks": []string{"Match2Sample"}, "n_trials": 40, "match_prob": prob}) {
			due += int(s.extra[10])
		}
		if due != want {
			t.Errorf("match_prob %v: a response is due in %d trials of 40", prob, due)
		}
	}
}

// TestConditions checks how conditions are numbered.
func TestConditions(t *testing.T) {
	plain := []string{"DelayPro", "DelayAnti", "MemoryPro", "MemoryAnti", "ReactPro", "ReactAnti", "IntMod1"}
	for _, c := range []struct {
		compat bool
		mode   string
		want   []string
	}{
		{false, "training", plain}, {false, "simulation", plain}, {true, "simulation", plain},
		{true, "training", []string{"DelayPro", "MemoryPro", "ReactPro", "DelayAnti", "MemoryAnti", "ReactAnti", "IntMod1"}},
	} {
		k := open(t, 0, 1, param.Values{"compat": c.compat, "mode": c.mode, "n_trials": 5})
		spec, err := k.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := spec.ConditionNames[:7]; !slices.Equal(got, c.want) || (len(spec.Simulation) > 0) != c.compat {
			t.Errorf("compat %t, %s: conditions %v, simulation %v", c.compat, c.mode, got, spec.Simulation)
		}
		b := collect(t, k.Trials(t.Context(), task.TrialRequest{Split: task.All}))
		for i, cond := range b.Arrays.Get(task.Conditions).I64 {
			x := b.Arrays.Get(task.TrueInputs).Slice(i, i+1).F32
			if rule := slices.Index(x[ruleInput:inputs], 1); spec.ConditionNames[cond] != Rule(rule).String() {
				t.Fatalf("compat %t, %s: a trial of %s has condition %s", c.compat, c.mode, Rule(rule), spec.ConditionNames[cond])
			}
		}
	}
}
