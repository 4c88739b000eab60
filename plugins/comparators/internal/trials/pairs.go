package trials

import "fmt"

// Few is the number of subjects up to which, where there is no truth to measure against, each two of them are results. Of more, results would be thousands, with an interval and a null each: all are in the matrices
// alone, and results are those against one subject.
const Few = 10

// Pairs says which pairs of subjects are results beside the matrices.
type Pairs struct {
	// Subjects is their number.
	Subjects int
	// Anchored is true where the first subject is a truth or recording that has what the comparison takes.
	Anchored bool
	// First is the first subject that has it.
	First int
}

// Reported is whether the pairs of subject i and those after it are results.
func (p Pairs) Reported(i int) bool {
	return i == 0 || !p.Anchored && (p.Subjects <= Few || i == p.First)
}

// Note says what is in the matrices alone, for the result of the pair of subjects i and j, where it is the first result; else it is empty.
func (p Pairs) Note(i, j int, label string) string {
	if p.Anchored || p.Subjects <= Few || i != p.First || j != i+1 {
		return ""
	}
	return fmt.Sprintf("there is no truth, and %d subjects are too many for a result of each two: the values against %s are given, all others are in the matrix", p.Subjects, label)
}

// Join joins reasons.
func Join(a, b string) string {
	if a != "" && b != "" {
		return a + "; " + b
	}
	return a + b
}
