//go:build unix

package dsa

import (
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// gauge notes what is held after each unit of each phase, and that progress counts up to the whole.
type gauge struct {
	component.Discard
	mu   sync.Mutex
	held map[string][]float64
	done map[string]int64
	all  map[string]int64
}

func (g *gauge) Progress(p component.Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	g.held[p.Phase] = append(g.held[p.Phase], float64(m.HeapAlloc))
	g.done[p.Phase], g.all[p.Phase] = max(g.done[p.Phase], p.Done), p.Total
}

// TestMatrixOf200: what a matrix of models holds grows by so much a model and so much a pair, which is measured on two and on eight recordings of 3 x 500 x 64 with 20 delays and rank 50; of 200
// that is less than 2 GiB, and not more than the estimate that is shown before a run. Progress counts every pair.
func TestMatrixOf200(t *testing.T) {
	const few, many, models, pairs = 2, 8, 200, 200 * 199 / 2
	run := func(n int) *gauge {
		var req comparator.Request
		for i := range n {
			req.Subjects = append(req.Subjects, comparator.Subject{Label: strconv.Itoa(i), Role: comparator.Fitted, Train: tensor.Set{modes(uint64(i), 3, 500, 64)}})
		}
		g := &gauge{held: map[string][]float64{}, done: map[string]int64{}, all: map[string]int64{}}
		if _, err := open(t, 1, param.Values{"starts": 1, "null": false, "bootstrap": 0, "split_half": false}).Compare(t.Context(), req, g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	a, b := run(few), run(many)
	if want := int64(many * (many - 1) / 2); b.done["pair"] != want || b.all["pair"] != want {
		t.Errorf("progress of pairs ended at %d of %d, want %d", b.done["pair"], b.all["pair"], want)
	}
	last := func(x []float64) float64 { return x[len(x)-1] }
	// Each subject's recording is there from the beginning, its operator from the first phase on.
	recording := 4.0 * 3 * 500 * 64
	perModel := (last(b.held["operator"])-last(a.held["operator"]))/(many-few) + recording
	held := last(a.held["operator"]) + models*perModel
	x := b.held["pair"]
	perPair := max(0, last(x)-x[0]) / float64(len(x)-1)
	later := x[0] + models*((x[0]-a.held["pair"][0])/(many-few)+recording) + pairs*perPair
	t.Logf("%.2f MiB a model, %.0f bytes a pair: %.0f MiB after the operators of 200, %.0f MiB after their pairs", perModel/(1<<20), perPair, held/(1<<20), later/(1<<20))
	if limit := float64(2 << 30); held > limit || later > limit {
		t.Errorf("200 models would hold %.0f and %.0f MiB", held/(1<<20), later/(1<<20))
	}
	// The garbage of one operator comes on top; the estimate has room for both.
	estimate := memory(Params{Delays: 20, Rank: 50, RankBy: "number"}, comparator.Sizes{Data: &model.DataSpec{TrainTrials: 3, Bins: 500}, Subjects: models, Latents: 64}, 1)
	if float64(estimate.Bytes) < held || float64(estimate.Bytes) < later || estimate.Bytes > 2<<30 {
		t.Errorf("estimated are %d MiB", estimate.Bytes>>20)
	}
}

// TestSweepIsInTheEstimate: a sweep over more delays than those compared needs the second moments of their embedding, for each thread, and is then named.
func TestSweepIsInTheEstimate(t *testing.T) {
	sizes := comparator.Sizes{Data: &model.DataSpec{TrainTrials: 3, Bins: 500}, Subjects: 2, Latents: 64}
	p := Params{Delays: 2, Rank: 10, RankBy: "number", SweepDelays: []int{1, 20}, SweepRanks: []int{5}}
	without := memory(p, sizes, 2)
	p.Sweep = true
	with := memory(p, sizes, 2)
	moments := int64(2 * 3 * 8 * (20*64*20*64 - 2*64*2*64))
	if grown := with.Bytes - without.Bytes; grown < moments*9/10 || grown > 2*moments || !slices.Contains(with.Params, "sweep_delays") || slices.Contains(without.Params, "sweep_delays") {
		t.Errorf("the sweep adds %d bytes, want about %d: %v, %v", grown, moments, without, with)
	}
	p.SweepDelays = []int{1}
	if small := memory(p, sizes, 2); slices.Contains(small.Params, "sweep_delays") {
		t.Errorf("a sweep over fewer delays is named: %v", small)
	}
}
