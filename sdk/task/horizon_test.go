package task

import (
	"slices"
	"strings"
	"testing"
)

// TestHorizon holds the curriculum to its definition: the first ceil(T*min(1, epoch/H)) bins, at least 1.
func TestHorizon(t *testing.T) {
	grows := Term{Kind: SquaredError, HorizonEpochs: 200}
	for _, c := range []struct {
		epoch int64
		want  int
	}{{0, 1}, {1, 2}, {2, 3}, {39, 59}, {100, 150}, {199, 299}, {200, 300}, {5000, 300}} {
		if got := grows.Horizon(300, c.epoch); got != c.want {
			t.Errorf("epoch %d: %d bins, want %d", c.epoch, got, c.want)
		}
	}
	if got := (Term{}).Horizon(300, 0); got != 300 {
		t.Errorf("without a horizon %d bins count", got)
	}
	l := Loss{Terms: []Term{{Kind: ActionSquare}, grows}}
	for epochs, want := range map[int64][]string{
		2:   {"term 2 of the loss (squared-error) counts the first 2 of 300 bins", "200 epochs, of which there are 2"},
		200: {"the first 299 of 300 bins"},
		201: nil,
	} {
		short := l.Short(300, epochs)
		if (want == nil) != (len(short) == 0) || len(short) > 1 || slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(short[0], part) }) {
			t.Errorf("%d epochs: %q, want %q", epochs, short, want)
		}
	}
}
