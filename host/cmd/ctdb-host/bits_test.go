package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// bitsStudy has a task-trained model, whose batches are no multiple of a shard, and three data-trained ones that can run side by side.
const bitsStudy = `version: 1
name: bits
seed: 9
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 40, n_trials: 100, switch_prob: 0.1}}
train: {use: %s, params: {hidden: 24, epochs: 200, batch_size: 50, lr: 5.0e-3}}
simulate: {use: simulator/spikes, params: {n_heldin: 8, n_heldout: 2}, task: {params: {n_trials: 90}}}
fit:
  - {name: gru, use: model/sae-gru, params: {latent: 6, encoder_size: 7, epochs: 30, batch_size: 45}}
  - {name: node, use: model/sae-node, params: {latent: 3, hidden: 9, hidden_layers: 2, encoder_size: 7, epochs: 30, batch_size: 45}}
  - {name: lds, use: model/sae-lds, params: {latent: 4, encoder_size: 5, epochs: 30, batch_size: 45}}
compare:
  - {use: comparator/metrics}
  - {use: comparator/shape, params: {bootstrap: 100, rsa_items: 100}}
  - {use: comparator/spectra, params: {bootstrap: 100, exponents: 5}}
  - {use: comparator/fixedpoints, params: {starts: 64}}
`

// TestSameBytesFromTheProgram runs whole studies with other numbers of threads and jobs, one of them interrupted in its trainings and taken up again with other numbers: every file has the
// same bytes.
func TestSameBytesFromTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, model := range []string{"noisy-gru", "node"} {
		t.Run(model, func(t *testing.T) {
			w := *w
			w.t = t
			study := w.write(model+".yaml", fmt.Sprintf(bitsStudy, "model/"+model))
			args := func(n string, threads, jobs int) []string {
				return []string{"run", study, "--store", w.path(model + "-store-" + n), "--out", w.path(model + "-" + n), "--threads", fmt.Sprint(threads), "--jobs", fmt.Sprint(jobs), "--checkpoint-every", "20ms"}
			}
			w.must(args("one", 1, 1)...)
			cmd, out := w.command(args("cut", 3, 2)...)
			w.started(cmd, model+"-cut")
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if status := w.finish(cmd, out); status != 130 {
				t.Errorf("exit status %d, want 130:\n%s", status, out)
			}
			w.must(args("cut", 7, 3)...)
			w.sameRun(model+"-one", model+"-cut")
			w.tidy(model + "-store-cut")
		})
	}
}

// TestVariantIsPartOfTheKey runs a study with the generic kernels, as on a processor without AVX2, into the store of one with the best: nothing that a model makes is taken from there, the
// provenance names the variant, and doctor says what runs.
func TestVariantIsPartOfTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tiny.yaml", tinyStudy)
	with := func(variant string, args ...string) (int, string) {
		t.Helper()
		cmd, out := w.command(args...)
		cmd.Env = append(cmd.Env, kernel.VariantEnv+"="+variant)
		return w.finish(cmd, out), out.String()
	}
	run := func(out, variant string) string {
		t.Helper()
		status, said := with(variant, "run", "tiny.yaml", "--store", "store", "--out", out)
		if status != 0 {
			t.Fatalf("exit status %d\n%s", status, said)
		}
		if got := w.variant(out); got != variant {
			t.Errorf("the provenance says %q, want %q", got, variant)
		}
		return said
	}
	for _, v := range kernel.Variants() {
		if said := run("run-"+v, v); strings.Contains(said, "stored") {
			t.Errorf("with %s, what another variant made is taken for stored:\n%s", v, said)
		}
	}
	if said := run("again", "generic"); strings.Count(said, "stored") < 4 {
		t.Errorf("again, not all is stored:\n%s", said)
	}
	w.sameRun("run-generic", "again")
	if status, said := with("generic", "doctor"); status != 0 || !strings.Contains(said, "generic, ") {
		t.Errorf("exit status %d, want 0 and a word of the generic kernels:\n%s", status, said)
	}
	if status, said := with("sse9", "run", "tiny.yaml", "--store", "store", "--out", "none"); status != 2 || !strings.Contains(said, `variant "sse9"`) {
		t.Errorf("exit status %d, want 2 and the name of the variant:\n%s", status, said)
	}
}

// variant is the kernel variant that a run's provenance names.
func (w *world) variant(run string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.path(run, "provenance.json"))
	var p struct {
		Plugins []struct{ Numerics map[string]string }
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || len(p.Plugins) != 1 {
		w.t.Fatalf("%d plugins, %v", len(p.Plugins), err)
	}
	return p.Plugins[0].Numerics["kernel"]
}
