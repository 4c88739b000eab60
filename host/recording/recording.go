package recording

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Error lists everything that is wrong with a recording or with what is to be made of it.
type Error struct {
	// File is the one that is wrong; empty where an option is.
	File     string
	Problems []string
}

// longBin is a bin's width in seconds above which it is asked whether it is meant in milliseconds.
const longBin = 1

// most is how many problems of a file are told; the others are counted.
const most = 10

func (e *Error) Error() string {
	shown := e.Problems
	if len(shown) > most {
		shown = append(slices.Clone(shown[:most]), fmt.Sprintf("and %d more", len(e.Problems)-most))
	}
	text := strings.Join(shown, "; ")
	if e.File == "" {
		return text
	}
	return e.File + ": " + text
}

func (e *Error) add(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

// err is nil where nothing is wrong.
func (e *Error) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// Recording is what was read: Trials trials of Bins bins, of which those from a trial's length on are 0.
type Recording struct {
	// Files were read; the first holds the spikes.
	Files []string
	// BinWidth in seconds; 0 where it is not known.
	BinWidth float64
	// Neurons are their names, in the order of Counts.
	Neurons []string
	// Trials and Bins are the numbers of both; Lengths (trials) are the valid bins of each trial.
	Trials, Bins int
	Lengths      []int64
	// Counts (trials, bins, neurons) are spikes.
	Counts []float32
	// Others are further arrays with a row for each trial, under the names that a data set has for them.
	Others tensor.Set
	// Conditions are the names of the conditions that the array of them counts; nil where they have none.
	Conditions []string
	// Notes say what was left out and why.
	Notes []string
}

// Division says how neurons and trials are divided.
type Division struct {
	// HeldOut are neurons that models predict and do not see: their names with commas between, or a fraction above 0 and below 1 of all, drawn by Seed. Empty for none.
	HeldOut string
	// Valid is the fraction of the trials that are for validation, drawn by Seed, or where InOrder is set the last ones.
	Valid   float64
	InOrder bool
	Seed    uint64
}

// Summary is what a data set was made of.
type Summary struct {
	File        string   `json:"file"`
	Neurons     int      `json:"neurons"`
	HeldIn      int      `json:"held_in"`
	HeldOut     []string `json:"held_out"`
	TrainTrials int      `json:"train_trials"`
	ValidTrials int      `json:"valid_trials"`
	Bins        int      `json:"bins"`
	Shortest    int      `json:"shortest_trial"`
	BinWidth    float64  `json:"bin_width"`
	Spikes      int64    `json:"spikes"`
	// Silent are the neurons without a spike.
	Silent []string `json:"silent"`
	// Arrays are those besides the spikes.
	Arrays []string `json:"arrays"`
	Notes  []string `json:"notes"`
}

// Write writes the recording as a data set. Held-in neurons come first, in the order of the recording, then the held-out ones. The same recording and division give the same
// bytes.
func (r *Recording) Write(ctx context.Context, path string, d Division) (Summary, error) {
	problems := &Error{}
	order, heldIn := r.divideNeurons(d, problems)
	trials, train := r.divideTrials(d, problems)
	if err := problems.err(); err != nil {
		return Summary{}, err
	}
	if !slices.ContainsFunc(r.Counts, func(n float32) bool { return n > 0 }) {
		return Summary{}, &Error{File: r.Files[0], Problems: []string{"there is not one spike in it"}}
	}
	attributes, err := r.attributes(order, heldIn, d)
	if err != nil {
		return Summary{}, err
	}
	w, err := artifact.CreateDataset(path, artifact.DatasetOptions{Trials: r.Trials, TrainTrials: train, Neurons: len(order), HeldIn: heldIn, Bins: r.Bins,
		BinWidth: r.BinWidth, Counts: true, Attributes: attributes})
	if err != nil {
		return Summary{}, err
	}
	defer w.Abort()
	s := Summary{File: path, Neurons: len(order), HeldIn: heldIn, HeldOut: []string{}, TrainTrials: train, ValidTrials: r.Trials - train, Bins: r.Bins,
		Shortest: int(slices.Min(r.Lengths)), BinWidth: r.BinWidth, Silent: []string{}, Arrays: r.Others.Names(), Notes: append([]string{}, r.Notes...)}
	if r.BinWidth > longBin {
		s.Notes = append(s.Notes, fmt.Sprintf("bins of %v s are long: is that width in milliseconds? seconds are needed", r.BinWidth))
	}
	spikes := make([]int64, len(order))
	rows := max(1, 16<<20/(8*r.Bins*len(order)))
	for from := 0; from < r.Trials; from += rows {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		if err := w.Write(r.block(trials[from:min(from+rows, r.Trials)], order, heldIn, spikes)); err != nil {
			return Summary{}, err
		}
	}
	if err := w.Close(); err != nil {
		return Summary{}, err
	}
	for j, n := range order {
		if j >= heldIn {
			s.HeldOut = append(s.HeldOut, r.Neurons[n])
		}
		if spikes[j] == 0 {
			s.Silent = append(s.Silent, r.Neurons[n])
		}
		s.Spikes += spikes[j]
	}
	return s, nil
}

// block gathers trials, with the neurons in their new order, and counts the spikes of each.
func (r *Recording) block(trials []int, order []int, heldIn int, spikes []int64) tensor.Block {
	n := len(order)
	all, seen := make([]float64, len(trials)*r.Bins*n), make([]float64, len(trials)*r.Bins*heldIn)
	b := tensor.Block{Trials: make([]int64, len(trials))}
	lengths := make([]int64, len(trials))
	for i, k := range trials {
		b.Trials[i], lengths[i] = int64(k), r.Lengths[k]
		for t := range r.Bins {
			from := r.Counts[(k*r.Bins+t)*n:][:n]
			to := all[(i*r.Bins+t)*n:][:n]
			for j, neuron := range order {
				to[j] = float64(from[neuron])
				spikes[j] += int64(from[neuron])
			}
			copy(seen[(i*r.Bins+t)*heldIn:], to[:heldIn])
		}
	}
	b.Arrays = tensor.Set{
		tensor.From64(simulator.Encoded, seen, len(trials), r.Bins, heldIn).With("spikes/bin", tensor.Trial, tensor.Bin, tensor.Neuron),
		tensor.From64(simulator.Reconstructed, all, len(trials), r.Bins, n).With("spikes/bin", tensor.Trial, tensor.Bin, tensor.Neuron),
	}
	if slices.Min(r.Lengths) < int64(r.Bins) {
		b.Arrays = append(b.Arrays, tensor.FromInt(task.Lengths, lengths, len(trials)).With("bin", tensor.Trial))
	}
	for _, t := range r.Others {
		part := *t
		part.Shape = append([]int{len(trials)}, t.Shape[1:]...)
		size := t.Len() / r.Trials
		part.F32, part.F64, part.I64 = gather(t.F32, trials, size), gather(t.F64, trials, size), gather(t.I64, trials, size)
		if name := r.reordered(t.Name); name {
			part.F32 = columns(part.F32, order)
		}
		b.Arrays = append(b.Arrays, &part)
	}
	return b
}

// reordered reports whether an array's last axis is that of the neurons.
func (r *Recording) reordered(name string) bool { return name == simulator.Activity }

func gather[E any](from []E, rows []int, size int) []E {
	if from == nil {
		return nil
	}
	out := make([]E, 0, len(rows)*size)
	for _, k := range rows {
		out = append(out, from[k*size:(k+1)*size]...)
	}
	return out
}

func columns(from []float32, order []int) []float32 {
	out := make([]float32, len(from))
	for i := 0; i < len(from); i += len(order) {
		for j, n := range order {
			out[i+j] = from[i+n]
		}
	}
	return out
}

// divideNeurons returns the neurons in their new order, of which the first ones are held in.
func (r *Recording) divideNeurons(d Division, problems *Error) (order []int, heldIn int) {
	n := len(r.Neurons)
	out := make([]bool, n)
	given := strings.TrimSpace(d.HeldOut)
	fraction, err := strconv.ParseFloat(given, 64)
	named := slices.Index(r.Neurons, given) >= 0
	switch {
	case given == "":
	case err == nil && !named && fraction > 0 && fraction < 1:
		if n < 2 {
			problems.add("--held-out %s: of %d neuron none can be held out", given, n)
			break
		}
		some := min(max(int(math.Round(fraction*float64(n))), 1), n-1)
		for _, i := range random.New(d.Seed, "recording held-out").Perm(n)[:some] {
			out[i] = true
		}
	default:
		for name := range strings.SplitSeq(given, ",") {
			name = strings.TrimSpace(name)
			i := slices.Index(r.Neurons, name)
			if name == "" {
				problems.add("--held-out %q: a name is missing at a comma", given)
				continue
			}
			if i < 0 {
				hint := param.DidYouMean(name, r.Neurons)
				if hint == "" {
					hint = fmt.Sprintf("the neurons are %s", few(r.Neurons))
				}
				problems.add("--held-out %q: there is no neuron of that name, nor is it a fraction above 0 and below 1 (%s)", name, hint)
				continue
			}
			out[i] = true
		}
		if !slices.Contains(out, false) {
			problems.add("--held-out %q: these are all neurons: at least one must be held in", given)
		}
	}
	for i := range out {
		if !out[i] {
			order = append(order, i)
		}
	}
	heldIn = len(order)
	for i := range out {
		if out[i] {
			order = append(order, i)
		}
	}
	return order, heldIn
}

// divideTrials returns the trials in the order of the file, of which the first ones are for training.
func (r *Recording) divideTrials(d Division, problems *Error) (order []int, train int) {
	if !(d.Valid > 0 && d.Valid < 1) {
		problems.add("--valid %v: a fraction above 0 and below 1 is needed", d.Valid)
		return nil, 0
	}
	if r.Trials < 2 {
		problems.add("%s: there is %d trial: at least 2 are needed, one for training and one for validation; a long one can be cut into several by a table of trials", r.Files[0], r.Trials)
		return nil, 0
	}
	train = min(max(r.Trials-int(math.Round(d.Valid*float64(r.Trials))), 1), r.Trials-1)
	if d.InOrder {
		order = make([]int, r.Trials)
		for i := range order {
			order[i] = i
		}
		return order, train
	}
	order = random.New(d.Seed, "recording trials").Perm(r.Trials)
	slices.Sort(order[:train])
	slices.Sort(order[train:])
	return order, train
}

// attributes say what the file was made of.
func (r *Recording) attributes(order []int, heldIn int, d Division) (artifact.Attributes, error) {
	sums := map[string]string{}
	for _, f := range r.Files {
		sum, err := artifact.HashFile(f)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(f)
		if _, taken := sums[name]; taken { // of another folder
			name += " (trials)"
		}
		sums[name] = sum
	}
	names := make([]string, len(order))
	for j, n := range order {
		names[j] = r.Neurons[n]
	}
	origin, err := json.Marshal(map[string]any{"imported": sums, "held_out": d.HeldOut, "valid": d.Valid, "in_order": d.InOrder, "seed": d.Seed, "held_in": heldIn})
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	a := artifact.Labels{BinWidth: r.BinWidth, Conditions: r.Conditions, Neurons: names}.Attributes()
	a["ctdb_origin"] = string(origin)
	return a, nil
}

// few lists names, or the first ones.
func few(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:7], ", "), len(names)-7)
	}
	return strings.Join(names, ", ")
}

// cells is the size of the counts, if that many can be.
func cells(trials, bins, neurons int) (int, bool) {
	const limit = 1 << 33 // 32 GiB of counts
	total := 1
	for _, n := range []int{trials, bins, neurons} {
		if n < 0 || n > 0 && total > limit/n {
			return 0, false
		}
		total *= n
	}
	return total, true
}
