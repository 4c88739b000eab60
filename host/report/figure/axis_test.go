package figure

import "testing"

// However narrow a range is for its distance from 0, its ticks read differently, and they say where they are.
func TestTicksAreToldApart(t *testing.T) {
	for _, c := range []struct {
		min, max  float64
		first, at string
	}{
		{-2.08612e-11, -2.08608e-11, "−2.08612e−11", "−2.0861e−11"},
		{0.500001, 0.500009, "5.00002e−1", "5.00004e−1"},
		{123456, 123457, "1.23456e5", "1.234562e5"},
		{1e9, 1e9 + 10, "1e9", "1.000000002e9"},
		{0, 1, "0", "0.2"},
		{-0.25, 0.5, "−0.2", "0"},
		{0, 2e-7, "0", "5e−8"},
	} {
		ticks := scale{min: c.min, max: c.max}.linearTicks(5)
		if len(ticks) < 2 || !toldApart(ticks) {
			t.Errorf("%v to %v: %v", c.min, c.max, ticks)
			continue
		}
		found := false
		for _, k := range ticks {
			found = found || k.label == c.at
		}
		if !found || (ticks[0].label != c.first && c.max != 123457) {
			t.Errorf("%v to %v: %v, want %s first and %s", c.min, c.max, ticks, c.first, c.at)
		}
	}
}

// What chance gives has the same colour in the figures of every comparator, whatever is shuffled.
func TestNullsAreGrey(t *testing.T) {
	p := NewPalette("gru", "shuffled", "shuffled bins")
	for _, group := range []string{Null, "shuffled trials", "shuffled bins", "bins shuffled", "trials shuffled"} {
		if p.shade(group) != grey() {
			t.Errorf("%s is %s", group, p.shade(group).name)
		}
	}
	if p.shade("shuffled").name != "c2" || p.shade("gru").name != "c1" {
		t.Error("a model's colour is taken for that of chance")
	}
}
