package plugintest

import "testing"

// TestFoilsPass holds what components are checked with to the same checks.
func TestFoilsPass(t *testing.T) {
	r := Plugin(t, Foil(), Options{})
	for _, c := range Foil().Manifest().Components {
		if got, ok := r.Find(c.Name.String(), "open"); !ok || got.Status != Passed {
			t.Errorf("%s was not opened", c.Name)
		}
	}
	if n := r.Count(Passed); n < 60 {
		t.Errorf("only %d checks passed", n)
	}
}
