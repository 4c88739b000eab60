package multitask

// Rule is one of the fifteen tasks. Its value is the index of its input channel among the rule inputs.
type Rule int

// The rules, in the order of their inputs.
const (
	DelayPro Rule = iota
	DelayAnti
	MemoryPro
	MemoryAnti
	ReactPro
	ReactAnti
	IntMod1
	IntMod2
	ContextIntMod1
	ContextIntMod2
	ContextIntMultimodal
	Match2Sample
	NonMatch2Sample
	MatchCatPro
	MatchCatAnti
	// Rules is how many there are.
	Rules int = iota
)

// ruleNames are those of the parameter tasks, see [Params].
func ruleNames() []string {
	return []string{
		"DelayPro", "DelayAnti", "MemoryPro", "MemoryAnti", "ReactPro", "ReactAnti", "IntMod1", "IntMod2", "ContextIntMod1", "ContextIntMod2",
		"ContextIntMultimodal", "Match2Sample", "NonMatch2Sample", "MatchCatPro", "MatchCatAnti",
	}
}

// String returns the rule's name.
func (r Rule) String() string {
	if r < 0 || int(r) >= Rules {
		return "no rule"
	}
	return ruleNames()[r]
}

// compatConditions are the numbers that the published benchmark gives the first six rules in training sets: Pro before Anti.
func compatConditions() [6]int64 { return [6]int64{0, 3, 1, 4, 2, 5} }

// kind is a family of rules with the same phases.
type kind int

const (
	delay kind = iota
	memory
	react
	decision
	match
	kinds int = iota
)

// kind returns the family of the rule.
func (r Rule) kind() kind {
	switch {
	case r <= DelayAnti:
		return delay
	case r <= MemoryAnti:
		return memory
	case r <= ReactAnti:
		return react
	case r <= ContextIntMultimodal:
		return decision
	}
	return match
}

// Phase is a part of a trial.
type Phase int

// The phases, in the order in which they come. Every trial begins with Context and ends with Response.
const (
	Context Phase = iota
	Stim1
	Mem1
	Stim2
	Mem2
	Response
	// Phases is how many there are.
	Phases int = iota
)

// String returns the phase's name.
func (p Phase) String() string {
	if p < 0 || int(p) >= Phases {
		return "no phase"
	}
	return [...]string{"context", "stim1", "mem1", "stim2", "mem2", "response"}[p]
}

// phases lists those of a family.
func (k kind) phases() []Phase {
	switch k {
	case delay:
		return []Phase{Context, Stim1, Response}
	case memory, match:
		return []Phase{Context, Stim1, Mem1, Response}
	case react:
		return []Phase{Context, Response}
	}
	return []Phase{Context, Stim1, Mem1, Stim2, Mem2, Response}
}
