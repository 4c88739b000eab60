package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// dropped are the arrays of a rollout that a data set does not hold: how much an error counts in training, and the whole state.
var dropped = []string{task.Weights, model.State}

// simulate rolls a trained model out over fresh trials and turns its latents into a data set of spikes.
func (r *running) simulate(ctx context.Context) error {
	tk, err := r.openTask(ctx, roleTask)
	if err != nil {
		return err
	}
	spec, err := tk.Spec(ctx)
	if err != nil {
		return r.failed(roleTask, "spec", err)
	}
	m, err := r.openTrained(ctx, roleModel, model.Target{Task: &spec}, r.path("weights"))
	if err != nil {
		return err
	}

	// The latents are rolled out once and spooled, since they are read twice: the simulator first learns their mean and scale. So
	// the stored latents are the very ones that made the spikes, even of a model that cannot repeat itself.
	spool, err := newSpool(ctx, r.scratch)
	if err != nil {
		return err
	}
	defer spool.remove()
	trials := 0
	latents := 0
	blocks := rollout(ctx, m, tk, model.RolloutRequest{Seed: r.seed(roleTask), Noise: true, Split: task.All}, tk.Trials(ctx, task.TrialRequest{Split: task.All}))
	for b, err := range blocks {
		if err != nil {
			return r.failed(roleModel, "rollout", err)
		}
		b.Arrays = slices.DeleteFunc(b.Arrays, func(t *tensor.Tensor) bool { return slices.Contains(dropped, t.Name) })
		z := b.Arrays.Get(model.Latents)
		if z == nil {
			return fmt.Errorf("%s: its rollout gave no latents, so nothing can be simulated from it", r.use(roleModel).Component)
		}
		latents = z.Shape[len(z.Shape)-1]
		if trials == 0 {
			if err := r.roomFor(b, spec.TrainTrials+spec.ValidTrials); err != nil {
				return err
			}
		}
		trials += len(b.Trials)
		if err := spool.write(b); err != nil {
			return err
		}
		r.progress("rollout", int64(trials), int64(spec.TrainTrials+spec.ValidTrials))
	}

	sim, err := r.openSimulator(ctx, roleSimulator, simulator.Source{Latents: latents, Bins: spec.Bins, Task: &spec})
	if err != nil {
		return err
	}
	mapping, err := sim.Fit(ctx, spool.read())
	if err != nil {
		return r.failed(roleSimulator, "fit", err)
	}
	out, err := sim.Spec(ctx)
	if err != nil {
		return r.failed(roleSimulator, "spec", err)
	}
	w, err := artifact.CreateDataset(filepath.Join(r.dir, artifact.DatasetFile), artifact.DatasetOptions{
		Trials: trials, HeldIn: out.HeldIn, Neurons: out.Neurons, Bins: out.To - out.From, FirstBin: out.From, BinWidth: spec.BinWidth, Counts: out.Counts,
		Attributes: r.attributes(out.FileName, spec),
	})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.Constants(mapping); err != nil {
		return err
	}
	done := 0
	for b, err := range sim.Simulate(ctx, spool.read()) {
		if err != nil {
			return r.failed(roleSimulator, "simulation", err)
		}
		if err := w.Write(b); err != nil {
			return err
		}
		done += len(b.Trials)
		r.progress("simulate", int64(done), int64(trials))
	}
	return w.Close()
}

// roomFor checks that the disk has room for so many trials like those of a block, which the spool takes as they are.
func (r *running) roomFor(b tensor.Block, trials int) error {
	disk, err := machine.Stat(r.scratch)
	if err != nil || disk.Free == 0 || len(b.Trials) == 0 {
		return nil // not known
	}
	need := int64(0)
	for _, t := range b.Arrays {
		need += int64(len(t.F32))*4 + int64(len(t.F64)+len(t.I64))*8
	}
	need = need / int64(len(b.Trials)) * int64(trials)
	if need > disk.Free {
		return fmt.Errorf("simulating %d trials takes about %s of disk for their latents, and %s has %s: %s: %w", trials, size(need), r.scratch, size(disk.Free), store.MakeRoom, syscall.ENOSPC)
	}
	return nil
}

// attributes are what a data set file says of its origin.
func (r *running) attributes(fileName string, spec task.Spec) artifact.Attributes {
	parts, err := json.Marshal(r.parts)
	if err != nil {
		parts = nil // what has been a key can be marshalled
	}
	a := artifact.NewLabels(spec).Attributes()
	maps.Copy(a, artifact.Attributes{"ctdb_key": r.record.Key, "ctdb_origin": string(parts), "ctdb_benchmark_name": fileName})
	return a
}
