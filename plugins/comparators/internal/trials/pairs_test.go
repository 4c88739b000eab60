package trials

import "testing"

// TestPairs counts the pairs that are results: those with the truth; without one all of few subjects, and of many those with the first that can be compared.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		pairs          Pairs
		results, notes int
	}{
		{Pairs{Subjects: 200, Anchored: true}, 199, 0},
		{Pairs{Subjects: 10}, 45, 0},
		{Pairs{Subjects: 200}, 199, 1},
		// Each with the recording, which has nothing to compare, says so; then those with the first model.
		{Pairs{Subjects: 200, First: 1}, 199 + 198, 1},
	} {
		results, notes := 0, 0
		for i := range c.pairs.Subjects {
			for j := i + 1; j < c.pairs.Subjects; j++ {
				if c.pairs.Reported(i) {
					results++
					if c.pairs.Note(i, j, "x") != "" {
						notes++
					}
				}
			}
		}
		if results != c.results || notes != c.notes {
			t.Errorf("%+v: %d results and %d notes, want %d and %d", c.pairs, results, notes, c.results, c.notes)
		}
	}
}
