package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

// row is a line of the table.
type row struct {
	name    string
	threads int
	// flops is the number of floating-point operations of a step, as package steptime counts them.
	flops float64
	// peer are the arguments that its peers get, and implementations those of PyTorch that there are. Those in reference are written like the reference's own models; none where the
	// goal is in terms of the fastest peer alone.
	peer, implementations, reference []string
	open                             func() (ours, error)
}

// ours takes steps with so many threads, at most those of the row, and returns the seconds of each; the first ones, while memory is first touched, are not among them.
type ours interface {
	steps(ctx context.Context, threads, atMost int, budget time.Duration) ([]float64, error)
	Close() error
}

// publishedRows are the steps of published studies, on so many threads; the smallest also on one.
func publishedRows(threads int) ([]row, error) {
	var rows []row
	small := steptime.Cases()[0]
	for _, c := range steptime.Cases() {
		rows = append(rows, kernelRow(c, threads))
	}
	if threads > 1 {
		rows = append(rows, kernelRow(small, 1))
	}
	for _, w := range []training{
		{model: "gru", trials: 256, bins: 500, channels: 3, given: map[string]any{"hidden": 64, "ic_noise": 0}},
		{model: "gru", trials: 256, bins: 500, channels: 3, given: map[string]any{"hidden": 128, "ic_noise": 0}},
		{model: "lstm", trials: 256, bins: 500, channels: 3, given: map[string]any{"hidden": 64, "ic_noise": 0}},
		{model: "vanilla-rnn", trials: 256, bins: 500, channels: 3, given: map[string]any{"hidden": 64, "ic_noise": 0}},
		{model: "node", trials: 256, bins: 500, channels: 3, given: map[string]any{"latent": 3, "hidden": 128, "layers": 3, "ic_noise": 0}},
		{model: "sae-gru", trials: 250, bins: 500, channels: 3, neurons: 60, heldIn: 50, given: map[string]any{"latent": 128, "encoder_size": 100, "dropout": 0}},
		{model: "sae-node", trials: 250, bins: 500, channels: 3, neurons: 60, heldIn: 50, given: map[string]any{"latent": 10, "encoder_size": 100, "dropout": 0}},
		{model: "noisy-gru", trials: 800, valid: 200, bins: 500, channels: 3, given: map[string]any{"hidden": 64, "batch_size": 256}},
	} {
		r, err := trainingRow(w, threads)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// peerArguments are those that a peer takes a case by.
func peerArguments(c steptime.Case, threads int) []string {
	s := c.Sequence
	cell := map[kernel.Cell]string{kernel.CellGRU: "gru", kernel.CellLSTM: "lstm", kernel.CellTanh: "rnn", kernel.CellNODE: "node"}[s.Cell]
	args := []string{cell}
	add := func(flag string, n int) { args = append(args, flag, strconv.Itoa(n)) }
	add("-B", s.B)
	add("-T", s.T)
	add("-I", s.I)
	add("-H", s.H)
	add("-O", s.O)
	if s.Cell == kernel.CellNODE {
		add("--layers", s.Layers)
		add("--width", s.Width)
	}
	if c.Bidirectional {
		args = append(args, "--bidirectional")
	}
	add("--threads", threads)
	return args
}

// implementations are those that PyTorch has of a sequence.
func implementations(cell kernel.Cell) []string {
	if cell == kernel.CellNODE {
		return []string{"loop"}
	}
	return []string{"fused", "loop"}
}

func kernelRow(c steptime.Case, threads int) row {
	return row{name: c.Name() + ", " + plural(threads, "thread"), threads: threads, flops: c.FLOPs(), peer: peerArguments(c, threads), implementations: implementations(c.Sequence.Cell),
		open: func() (ours, error) {
			s, err := steptime.New(c, threads)
			return kernelSteps{s}, err
		}}
}

// kernelSteps are steps of the kernels.
type kernelSteps struct{ *steptime.Step }

func (k kernelSteps) steps(ctx context.Context, threads, atMost int, budget time.Duration) ([]float64, error) {
	var times []float64
	start := time.Now()
	for i := range untimed + atMost {
		if i == untimed {
			start = time.Now()
		}
		if i >= untimed+3 && time.Since(start) > budget {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := k.Run(threads); err != nil {
			return nil, err
		}
		if i >= untimed {
			times = append(times, time.Since(begin).Seconds())
		}
	}
	return times, nil
}

// untimed is the number of steps before those that are timed.
const untimed = 2
