package recurrent

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// BenchmarkTrainStep takes whole optimiser steps of the production path: forward, readout, mean squared error over every bin, backward, clipping, Adam. Where
// $CTDB_PEER_PYTHON names a Python with PyTorch, testdata/torch_step.py does the same just before, and how many times longer it takes is reported as x-torch-loop
// and x-torch-fused.
func BenchmarkTrainStep(b *testing.B) {
	for _, c := range []struct{ b, t, i, h int }{{256, 500, 3, 64}, {256, 500, 3, 128}, {64, 320, 20, 128}} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("gru/B=%d/T=%d/I=%d/H=%d/threads=%d", c.b, c.t, c.i, c.h, threads), func(b *testing.B) {
				peer := measurePeer(b, c.b, c.t, c.i, c.h, threads)
				spec := task.Spec{Inputs: c.i, Outputs: 3, Bins: c.t, Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
				n := newNetwork[float32](b, spec, c.h, 0, 0)
				d, err := n.load(b.Context(), blocks{Block: trials(c.b, spec, 0, false)}, task.Train, 0, 0)
				if err != nil {
					b.Fatal(err)
				}
				s := train.NewStepper[float32](n, threads, n.config.Training)
				rows := make([]int, c.b)
				for i := range rows {
					rows[i] = i
				}
				for range 2 {
					if _, _, err := s.Step(d, rows, nn.Pass{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				steps, start := 0, time.Now()
				for b.Loop() {
					steps++
					if _, _, err := s.Step(d, rows, nn.Pass{}); err != nil {
						b.Fatal(err)
					}
				}
				ours := 1e3 * time.Since(start).Seconds() / float64(steps)
				for name, ms := range peer {
					b.ReportMetric(ms/ours, "x-torch-"+name)
				}
			})
		}
	}
}

// measurePeer returns PyTorch's milliseconds a step by implementation; nothing where there is no peer to measure.
func measurePeer(b *testing.B, sizes ...int) map[string]float64 {
	b.Helper()
	python := os.Getenv("CTDB_PEER_PYTHON")
	if python == "" {
		return nil
	}
	args := []string{"testdata/torch_step.py"}
	for _, n := range sizes {
		args = append(args, strconv.Itoa(n))
	}
	out, err := exec.CommandContext(b.Context(), python, args...).Output()
	if err != nil {
		b.Fatalf("%s %v: %v", python, args, err)
	}
	var peer struct{ Fused, Loop float64 }
	if err := json.Unmarshal(out, &peer); err != nil {
		b.Fatalf("%s: %v", out, err)
	}
	return map[string]float64{"fused": peer.Fused, "loop": peer.Loop}
}
