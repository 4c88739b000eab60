package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

// row is a line of the table.
type row struct {
	name    string
	threads int
	// flops is the number of floating-point operations of a step, as package steptime counts them; 0 where it does not.
	flops float64
	// peer are the arguments that its peers get, and implementations those of PyTorch that there are. Those in reference are written like the reference's own models; none where the
	// goal is in terms of the fastest peer alone.
	peer, implementations, reference []string
	// libraries are those that the step is written in for peers.
	libraries []string
	open      func() (ours, error)
	// apart opens the same with the task in a process of its own; nil where the step has no task to talk to.
	apart func() (ours, error)
	// goal and apartGoal are as in [result].
	goal, apartGoal float64
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
	many, err := multitaskRow(64, 320, 128, threads)
	if err != nil {
		return nil, err
	}
	rows = append(rows, many)
	for _, trials := range []int{256, 1000} {
		r, err := armRow(trials, 300, 128, threads)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].goal, rows[i].apartGoal = goals(rows[i].name, rows[i].threads)
	}
	return rows, nil
}

// goals are the project's, of a step by its name, whether it is the kernels' alone or the trainer's: how many times faster than its fastest peer it is to be, or than the one that is like the
// reference's where there is one, and how many times as long as in one process it may take in two.
func goals(name string, threads int) (ratio, apart float64) {
	step, _, _ := strings.Cut(strings.TrimPrefix(name, "model/"), ",")
	switch threads {
	case 1:
		return map[string]float64{"gru/B=256/T=500/I=3/H=64": 2.5}[step], 0
	case 2:
		return map[string]float64{
			"gru/B=256/T=500/I=3/H=64":                       4,
			"gru/B=256/T=500/I=3/H=128":                      2.5,
			"gru/B=64/T=320/I=20/H=128":                      3.5,
			"gru/B=64/T=320/I=20/H=128/multitask":            3.5,
			"gru/B=250/T=500/I=50/H=100/O=128/bidirectional": 3,
			"lstm/B=256/T=500/I=3/H=64":                      1.5,
			"rnn/B=256/T=500/I=3/H=64":                       2.2,
			"node/B=256/T=500/I=3/H=3":                       3,
			"sae-gru/B=250/T=500/H=128":                      4.5,
			"sae-node/B=250/T=500/H=10":                      3.5,
			"noisy-gru":                                      8,
			"arm/B=256/T=300/H=128":                          12,
			"arm/B=1000/T=300/H=128":                         8,
		}[step], map[string]float64{"arm/B=256/T=300/H=128": 2.5, "arm/B=1000/T=300/H=128": 1.5}[step]
	}
	return 0, 0
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
	return row{name: c.Name() + ", " + english.Plural(threads, "thread", ""), threads: threads, flops: c.FLOPs(), peer: peerArguments(c, threads), implementations: implementations(c.Sequence.Cell), libraries: []string{torch, jax},
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
