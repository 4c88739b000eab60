package conformity

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// TestBrokenPluginsFail runs plugins that are each wrong in one way: those checks fail that are to, no others, and the first says what is wrong.
func TestBrokenPluginsFail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctdb-plugin-broken")
	if b, err := exec.Command("go", "build", "-o", path, "./testdata/broken").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, b)
	}
	// One that writes into its own folder has it for itself.
	apart := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.Link(path, apart); err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	atOnce := make(chan struct{}, 5)
	const task, loop, model, simulator, comparator = "task/foil", "task/foil-loop", "model/foil", "simulator/foil", "comparator/foil"
	for _, c := range []struct {
		fault, component string
		// failing are the checks that fail, and message what one of the problems of the first says.
		failing, message string
	}{
		{"none", task, "", ""},
		{"counts", task, "trials", "split train has 40 trials: the spec declares 41"},
		{"no-loss", task, "spec", "has no terms: at least one is needed"},
		{"conditions", task, "trials", `trial 1 has condition 1: 0 to 0 are named`},
		{"nan", task, "trials", `"targets" is NaN at .*: only finite values`},
		{"shape", task, "trials chunking", `"inputs" has shape \[40 16 4\]: \[40 16 3\]`},
		{"late-go", task, "trials", `trial 3 has 17 as "go", which extra_units says is in bins: -1 or a whole number from 0 to 16`},
		{"overlap", task, "trials score", "splits must not overlap"},
		{"unseeded", task, "same-seed trials chunking passes wrong-calls", `promises "deterministic": take every draw from the seed`},
		{"position", task, "chunking trials", "a trial must not depend on which others are in its block"},
		{"pass", task, "passes", "does not say that noise is fresh"},
		{"one-block", task, "chunking", "a block has 40 trials where at most 1 were asked for"},
		{"one-seed", task, "other-seed", "the seed that it is opened with must be what draws come from"},
		{"deaf", task, "cancel drain exit", "has not ended 2s later: look at the context"},
		{"success", task, "score", "success of trial 40 is 1.5: 0 to 1 is needed"},
		{"loss-nan", task, "score", "loss of trial 40 is NaN: a finite number"},
		{"better-loss", task, "score", "the mean loss of the targets themselves"},
		{"forgets-trial", task, "score", "each once and in order, are needed"},
		{"dies", task, "wrong-calls", "did not survive it: .* died: exit status 3"},
		{"claims-loop", task, "open", `it claims "closed-loop" but .* has no Begin`},
		{"custom-loss", task, "loss", "central differences of the loss give"},
		{"vjp-scaled", loop, "vjp vjp-truncate", "in float64 the gradient by action .* central differences give .* at most 1e-05"},
		{"vjp-inputs", loop, "vjp vjp-truncate", "central differences give"},
		{"no-truncate", loop, "vjp-truncate", "truncated to 1 bin, the gradient"},
		{"noisy", loop, "episode", "without noise, episodes with other seeds and passes are not the same"},
		{"any-order", loop, "episode", "step 1 before step 0: it was accepted: an invalid argument is needed"},
		{"leaks", loop, "episode-batch", "trial 0 alone and with 3 others"},
		{"unrecorded", loop, "episode", `"speed" with 4 rows is needed`},
		{"transposed", model, "derivatives", `dF_\d+/dx_\d+ of state \d+ is .* central differences of Step give`},
		{"undriven", model, "derivatives", "Jvp: element"},
		{"float32", model, "dynamics derivatives", "float64 is needed, since the layout says"},
		{"no-inputs", model, "derivatives steps dynamics", `dF_\d+/du_\d+`},
		{"load-less", model, "save-load", "saved, loaded and saved again: array \"readout.weight\""},
		{"load-at-once", model, "wrong-calls", "weights that were refused have changed the model"},
		{"batch-mean", model, "batch rollout", "nothing of a batch"},
		{"chance", model, "same-seed chunking resume", `trained twice with the same seed, with 1 and 3 threads: array "cell.weight_hh"`},
		{"idle", model, "train", "training has changed none of the weights"},
		{"stubborn", model, "cancel resume drain exit", "has not ended 2s later"},
		{"half-checkpoint", model, "resume", "interrupted after the first checkpoint: .* must hold all that training goes on from"},
		{"no-checkpoint", model, "train", `checkpoint "nowhere.bin" is announced, but`},
		{"untrainable", model, "manifest open", "or nobody can train it"},
		{"claims-data", model, "target", `capability "trains-on-data", but for recorded data`},
		{"claims-closed", model, "closed-loop", "not allowed: 3"},
		{"panics", model, "wrong-calls", "panic: 2 weights.*which says that the component failed, not that the call was wrong"},
		{"held-in", simulator, "simulate chunking", "the held-in neurons are the first of all"},
		{"half-spikes", simulator, "simulate chunking", "a count is needed"},
		{"too-many", simulator, "simulate", "they must agree in the mean"},
		{"other-latents", simulator, "simulate chunking", "the latents that come out are not those that went in"},
		{"unfitted", simulator, "wrong-calls", "Simulate before Fit is answered"},
		{"no-reason", comparator, "compare", `result "latent_size" of "truth" is NaN without a reason`},
		{"who", comparator, "compare", "there is no subject of that label"},
		{"no-better", comparator, "compare", "higher, lower or neither"},
		{"interval", comparator, "compare", "two bounds in order"},
		{"none-at-all", comparator, "compare", "at least one, or a reason, is needed"},
		{"needs-all", comparator, "missing wrong-calls", "what cannot be computed is a result with a reason"},
		{"chatty", task, "stdout", `printed "scoring..." to standard output`},
		{"writes", task, "files", `".broken" below \$HOME: the folder that an instance is opened with is the only place`},
		{"writes-here", task, "files", `"scores.txt" below its working folder`},
		{"writes-beside", task, "files", `it has written "scores.cache" in its own folder`},
		{"child", task, "lifeline exit", "1 of the processes that it had started did not"},
		{"stays", task, "exit", "did not exit within 2s"},
		{"outlives", task, "lifeline", "5s later it still runs"},
		{"silent", task, "by-hand", "exits with status 0: 1 is needed"},
		{"nameless", task, "manifest", "component task/foil: a sentence in doc is needed"},
		{"lenient", task, "parameters", "Validate accepts block=many .*: a problem with path params.block is needed"},
		{"pathless", task, "parameters", "the path params.block is needed"},
		{"first-only", task, "parameters", "of many wrong parameters given together"},
		{"trusting", task, "token", "Describe is answered with the token"},
		{"undrained", task, "drain", "after Drain it says that it is ready"},
		{"slow-health", model, "train", "Health while it trains: .* it must be answered at once"},
		{"fickle", task, "manifest", "may depend on nothing but the executable"},
	} {
		// They wait more than they compute.
		done := make(chan struct{})
		var r plugintest.Report
		var err error
		go func() {
			defer close(done)
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			at := path
			if c.fault == "writes-beside" {
				at = apart
			}
			r, err = Run(t.Context(), Options{Path: at, Args: []string{c.fault}, Options: plugintest.Options{Only: []string{c.component}, CancelTime: 2 * time.Second}})
		}()
		cases = append(cases, testCase{c.fault, func(t *testing.T) {
			<-done
			if err != nil {
				t.Fatal(err)
			}
			var failing []string
			problems := map[string][]string{}
			for _, one := range r.Results {
				if one.Status == plugintest.Failed {
					failing = append(failing, one.Check)
					problems[one.Check] = one.Problems
				}
			}
			want := strings.Fields(c.failing)
			first := append(want, "")[0]
			slices.Sort(failing)
			slices.Sort(want)
			if !slices.Equal(failing, want) {
				t.Errorf("checks that fail: %v, want %v\n%v", failing, want, problems)
			}
			if form := regexp.MustCompile(c.message); first != "" && !slices.ContainsFunc(problems[first], form.MatchString) {
				t.Errorf("%s says %q, want %q", first, problems[first], c.message)
			}
		}})
	}
	for _, c := range cases {
		t.Run(c.name, c.test)
	}
}

type testCase struct {
	name string
	test func(t *testing.T)
}
