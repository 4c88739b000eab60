package kernel

// #include "kernel.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
)

// ErrClosed is returned by a plan that has been closed.
var ErrClosed = errors.New("kernel: plan is closed")

// ErrOrder is returned (wrapped) by calls that need another call before them, such as Backward without Forward.
var ErrOrder = errors.New("kernel: call out of order")

// ShapeError says that an argument has the wrong size.
type ShapeError struct {
	Op    string // the operation, such as "sequence"
	Field string // the argument, such as "X"
	Got   int    // its number of elements, or its value
	Want  string // what is allowed
}

// Error names the argument, what was given and what is allowed.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("kernel: %s: %s: got %d, want %s", e.Op, e.Field, e.Got, e.Want)
}

// Cell says how a state h of H units steps to h', given an input x. Weights are PyTorch's: W (gates*H, I), U (gates*H, H), biases b_i, b_h (gates*H).
type Cell int

// The cells. Clean is the state that the linear readout y = W_out clean + b_out is of.
const (
	// CellGRU is that of Cho et al. (2014) in PyTorch's form: r multiplies after the recurrent product. Gates r, z, n.
	//
	//	r = sigmoid(W_r x + b_ir + U_r h + b_hr)
	//	z = sigmoid(W_z x + b_iz + U_z h + b_hz)
	//	n = tanh(W_n x + b_in + r*(U_n h + b_hn))
	//	clean = (1-z)*n + z*h,  h' = clean + noise
	CellGRU Cell = iota
	// CellTanh, CellReLU and CellLinear are clean = f(W x + b_i + U h + b_h), h' = clean + noise, with f(a) = tanh(a), max(0, a) and a.
	CellTanh
	CellReLU
	CellLinear
	// CellLSTM is that of Hochreiter & Schmidhuber (1997) with forget gates, in PyTorch's form. Gates i, f, g, o. Its state is h, then c: 2H numbers.
	//
	//	i, f, o = sigmoid(...), g = tanh(W_g x + b_ig + U_g h + b_hg)
	//	c' = f*c + i*g,  clean = o*tanh(c'),  h' = clean + noise
	CellLSTM
	// CellLeaky is h' = (1-Gamma) h + Gamma tanh(W x + b_i + U h + b_h + noise), clean = h: it is read out before it steps (Driscoll et al. 2022).
	CellLeaky
	// CellLeakyCompat leaks through the recurrent weights, h' = (1-Gamma) U h + Gamma tanh(W x + b_i + U h + noise), as the published benchmark does. It has no b_h.
	CellLeakyCompat
	// CellNODE is a neural ordinary differential equation (Chen et al. 2018): clean = h + the integral over DT of f([h, x]) with x held, h' = clean + noise. f is
	// a chain of Layers linear maps with Width hidden units between them.
	CellNODE
	// CellLowRank is a leaky network whose connectivity has a low rank (Mastrogiuseppe & Ostojic 2018, equations 1 to 4), and one of full rank where Full says so:
	//
	//	h' = (1-Gamma) h + Gamma (m (n tanh(h)) / H + U tanh(h) + W x + b_i + noise),  clean = tanh(h')
	//
	// Its maps are n (Rank, H), then m (H, Rank), both without a bias; U is Whh. It has no b_h. The readout is of the units' activities, as theirs is.
	CellLowRank
)

var cellNames = [...]string{"gru", "tanh", "relu", "linear", "lstm", "leaky", "leaky-compat", "node", "low-rank"}

// String is the cell's name.
func (c Cell) String() string {
	if c < 0 || int(c) >= len(cellNames) {
		return fmt.Sprintf("cell %d", int(c))
	}
	return cellNames[c]
}

// Gates is the number of blocks of H rows in the weights; 0 for NODE.
func (c Cell) Gates() int {
	switch c {
	case CellGRU:
		return 3
	case CellLSTM:
		return 4
	case CellNODE:
		return 0
	}
	return 1
}

// MaxLayers is the largest number of linear maps of a NODE.
const MaxLayers = 16

// SequenceConfig is the shape of a plan.
type SequenceConfig struct {
	Cell Cell

	B int // largest number of trials in a call, at least 1
	T int // bins, at least 1
	I int // inputs, 0 or more
	H int // units, at least 1
	O int // channels of the linear readout of the clean state; 0 for none

	Gamma float64 // leak of the leaky cells and of the low-rank one, above 0 and at most 1

	Rank int  // of the low-rank cell, at least 1
	Full bool // it has Whh besides

	// Of NODE: Layers linear maps (1 to MaxLayers), with Width hidden units between them, tanh if TanhNet and else rectified; DT is the time of a bin, which
	// Substeps steps (0 means 1) of Euler's method or, if RK4, of the classical method of Runge and Kutta take.
	//
	// Dopri5 is the method of Dormand & Prince (1980) of order 5 instead, in double precision whatever F is. It chooses steps for each trial alone, so that the root mean square over
	// units of error / (ATol + RTol |h|) is at most 1, tries one of DT/Substeps first in every bin, and at most MaxSteps in a bin (0 means 1000): a trial that needs more, or
	// is not finite, is an [*IntegrationError]. Its gradients are those of the accepted steps, their lengths held constant, or with Adjoint those of the continuous adjoint (Chen et
	// al. 2018), integrated to the same tolerances.
	Layers, Width int
	TanhNet       bool
	DT            float64
	Substeps      int
	RK4           bool
	Dopri5        bool
	RTol, ATol    float64
	MaxSteps      int
	Adjoint       bool

	// Recompute keeps, of the tape, the state before every segment of that many bins (rounded up to whole fours) and one segment, whose bins are computed once more on the way back:
	// the same bits in a fraction of the memory, which is least for about the root of T. 0 keeps all. It is without effect with Inference and Dopri5, and there is no closed loop
	// with it. BenchmarkRecompute: a plan of a GRU of 64 units for 16 trials of 500 bins takes 0.7 MB with segments of 16 bins rather than 10.6, of 5000 bins 1.5 MB with 32 rather
	// than 103.9, for about a third more time (on a machine that was busy otherwise).
	Recompute int

	// ShardRows is the number of trials that are taken through at a time, [ShardRows], two or four times as many; 0 means the first. Sums over trials depend on it, in the last digits.
	ShardRows int

	Reverse   bool   // walks from bin T-1 to bin 0: the second direction of a bidirectional network
	Threads   int    // goroutines that pull shards; 0 means 1
	Inference bool   // keep no tape: forward calls only, in memory that does not grow with T
	Variant   string // instruction set, one of Variants(); empty means Variant()
}

// StateSize is the number of elements of a state: H, of an LSTM 2H.
func (c SequenceConfig) StateSize() int {
	if c.Cell == CellLSTM {
		return 2 * c.H
	}
	return c.H
}

// MapCount is the number of linear maps that the weights have: Layers of a NODE, 2 of the low-rank cell, else 0.
func (c SequenceConfig) MapCount() int {
	switch c.Cell {
	case CellNODE:
		return c.Layers
	case CellLowRank:
		return 2
	}
	return 0
}

// Map returns the numbers of results and arguments of linear map l of a NODE or a low-rank cell.
func (c SequenceConfig) Map(l int) (out, in int) {
	if c.Cell == CellLowRank {
		if l == 0 {
			return c.Rank, c.H
		}
		return c.H, c.Rank
	}
	out, in = c.Width, c.Width
	if l == 0 {
		in = c.H + c.I
	}
	if l == c.Layers-1 {
		out = c.H
	}
	return out, in
}

// SequenceWeights are the parameters of a cell and its readout, or their gradients.
type SequenceWeights[F Float] struct {
	Wih  []F                // (gates*H, I), PyTorch's weight_ih; may be nil if I is 0
	Whh  []F                // (gates*H, H), weight_hh
	Bih  []F                // (gates*H), bias_ih; nil is zero
	Bhh  []F                // (gates*H), bias_hh; nil is zero
	Maps []LinearWeights[F] // of a NODE, in their order, instead of those above; the first one's arguments are h, then x. Of a low-rank cell besides them
	Wout []F                // (O, H), the readout's weight; needed if O > 0
	Bout []F                // (O), its bias; nil is zero

	// Version is another one whenever the values or the arrays are others; of a plan with Packed weights, which looks at nothing else, and 0 is not allowed.
	Version uint64
}

// LinearWeights are the parameters of one linear map, or their gradients.
type LinearWeights[F Float] struct {
	Weight []F // (out, in)
	Bias   []F // (out); nil is zero
}

// Noise is Gaussian noise added to a state. The zero value adds none.
//
// Generated noise is a function of (Key, trial index, bin, unit) only, see Normals.
type Noise[F Float] struct {
	SD     F      // standard deviation; 0 for no noise
	Key    uint64 // key of the generator
	Values []F    // explicit standard normal numbers instead of generated ones, (B, T, H), or (B, H) for the initial state
}

// SequenceInput is what a sequence starts from.
type SequenceInput[F Float] struct {
	B         int      // trials in this call, at most the plan's; 0 means the plan's
	X         []F      // (B, T, I); unused by Begin
	H0        []F      // initial state, (B, StateSize), or (StateSize) for one that all trials share; nil is zero. With B = 1 both are the same
	Trials    []uint64 // (B) indices of the trials for generated noise; nil means 0, 1, ..., B-1
	Noise     Noise[F] // added to the state after each step, of leaky cells before their function
	InitNoise Noise[F] // added to the initial state, of an LSTM to h
}

// SequenceOutput is where results are written; a nil field is not wanted.
type SequenceOutput[F Float] struct {
	Y      []F // (B, T, O) readout of the clean state
	States []F // (B, T, H) state after each step, its noise included
	Clean  []F // (B, T, H) the state that the readout is of, see Cell
	Final  []F // (B, StateSize) state after the last step taken (bin T-1, or bin 0 of a Reverse plan), its noise included

	// Stride is the number of elements from a bin to the next in States and Clean, for instance 2H where two directions share an
	// array (the second passes array[H:]); 0 means H.
	Stride int
	// FinalStride is the same from a trial to the next in Final; 0 means StateSize.
	FinalStride int
}

// SequenceCotangent holds the gradients of a scalar with respect to a SequenceOutput, in the same layout; nil is zero. If only Final is given
// nothing of size (B, T, H) is read.
type SequenceCotangent[F Float] struct {
	Y, States, Clean, Final []F
	Stride, FinalStride     int
	// Truncate cuts the state's cotangent at multiples of that many steps, see CutBackward; 0 never.
	Truncate int
}

// SequenceGradient is where gradients are written; a nil field is not wanted.
type SequenceGradient[F Float] struct {
	Weights SequenceWeights[F] // summed over the batch
	X       []F                // (B, T, I)
	H0      []F                // (B, StateSize), or (StateSize) summed over the batch if the initial state was shared
	Add     bool               // add to Weights and a shared H0 instead of overwriting them
}

const maxElements = 1 << 48

func (c SequenceConfig) check() error {
	if c.Cell < 0 || int(c.Cell) >= len(cellNames) {
		return &ShapeError{"sequence", "Cell", int(c.Cell), fmt.Sprintf("0 to %d", len(cellNames)-1)}
	}
	type field struct {
		name     string
		got, min int
	}
	fields := []field{{"B", c.B, 1}, {"T", c.T, 1}, {"I", c.I, 0}, {"H", c.H, 1}, {"O", c.O, 0}, {"Threads", c.Threads, 0}, {"Recompute", c.Recompute, 0}}
	if n := c.shardRows(); n != ShardRows && n != 2*ShardRows && n != MaxShardRows {
		return &ShapeError{"sequence", "ShardRows", n, fmt.Sprintf("0, %d, %d or %d", ShardRows, 2*ShardRows, MaxShardRows)}
	}
	width, stages := 0, 1
	switch c.Cell {
	case CellLeaky, CellLeakyCompat, CellLowRank:
		if c.Cell == CellLowRank {
			fields = append(fields, field{"Rank", c.Rank, 1})
			width = c.Rank
		}
		if !(c.Gamma > 0 && c.Gamma <= 1) {
			return fmt.Errorf("kernel: sequence: Gamma: got %v, want above 0 and at most 1", c.Gamma)
		}
	case CellNODE:
		fields = append(fields, field{"Layers", c.Layers, 1}, field{"Substeps", c.Substeps, 0})
		if c.Layers > 1 {
			fields = append(fields, field{"Width", c.Width, 1})
		}
		if c.Layers > MaxLayers {
			return &ShapeError{"sequence", "Layers", c.Layers, fmt.Sprintf("at most %d", MaxLayers)}
		}
		if !(c.DT > 0) || math.IsInf(c.DT, 0) {
			return fmt.Errorf("kernel: sequence: DT: got %v, want a positive number", c.DT)
		}
		width, stages = c.Width*c.Layers, max(1, c.Substeps)
		switch {
		case c.Dopri5:
			if c.RK4 {
				return errors.New("kernel: sequence: RK4 and Dopri5: one of them is allowed")
			}
			if c.MaxSteps < 0 || c.MaxSteps > 1<<20 {
				return &ShapeError{"sequence", "MaxSteps", c.MaxSteps, "0 to 2^20"}
			}
			for name, tolerance := range map[string]float64{"RTol": c.RTol, "ATol": c.ATol} {
				if !(tolerance >= 0 && tolerance <= 1) || name == "ATol" && tolerance == 0 {
					return fmt.Errorf("kernel: sequence: %s: got %v, want at most 1 and above 0 (RTol may be 0)", name, tolerance)
				}
			}
			// One step's stages, and the states that the steps of a bin begin at.
			if per := float64(c.shardRows()) * (float64(c.maxSteps())*float64(c.H+17) + 7*float64(3*width)); per > maxElements {
				return fmt.Errorf("kernel: %s: beyond any memory", c)
			}
			width = 0
		case c.RK4:
			stages *= 4
		}
	}
	for _, f := range fields {
		if f.got < f.min {
			return &ShapeError{"sequence", f.name, f.got, fmt.Sprintf("at least %d", f.min)}
		}
		if f.got > 1<<30 {
			return &ShapeError{"sequence", f.name, f.got, "at most 2^30"}
		}
	}
	if per := float64(c.B+c.shardRows()) * float64(c.T+1) * (float64(7*(c.H+16)+c.I+16+c.O) + float64(stages)*float64(2*(c.H+16)+width+16*c.Layers)); per > maxElements {
		return fmt.Errorf("kernel: %s: beyond any memory", c)
	}
	return nil
}

// String names the cell and the sizes.
func (c SequenceConfig) String() string {
	s := fmt.Sprintf("%s/B=%d/T=%d/I=%d/H=%d/O=%d", c.Cell, c.B, c.T, c.I, c.H, c.O)
	if c.Cell == CellNODE {
		s += fmt.Sprintf("/layers=%d/width=%d", c.Layers, c.Width)
	}
	if c.Cell == CellLowRank {
		s += fmt.Sprintf("/rank=%d", c.Rank)
	}
	if c.Reverse {
		s += "/reverse"
	}
	return s
}

// shape is the plan's shape as C takes it.
func (c SequenceConfig) shape() C.ctdb_shape {
	s := C.ctdb_shape{cell: C.int(c.Cell), B: C.int(c.B), T: C.int(c.T), I: C.int(c.I), H: C.int(c.H), O: C.int(c.O), rows: C.int(c.shardRows()), reverse: cBool(c.Reverse),
		inference: cBool(c.Inference), gamma: C.double(c.Gamma), segment: C.int(c.segment())}
	if c.Cell == CellNODE {
		s.layers, s.width, s.tanh_net, s.dt = C.int(c.Layers), C.int(c.Width), cBool(c.TanhNet), C.double(c.DT)
		s.substeps, s.stages = C.int(max(1, c.Substeps)), 1
		switch {
		case c.Dopri5:
			s.adaptive, s.adjoint, s.max_steps, s.first = 1, cBool(c.Adjoint), C.int(c.maxSteps()), C.double(c.DT/float64(max(1, c.Substeps)))
			s.rtol, s.atol, s.stages, s.substeps = C.double(c.RTol), C.double(c.ATol), 7, 1
		case c.RK4:
			s.stages = 4
		}
	}
	if c.Cell == CellLowRank {
		s.layers, s.width, s.full = 2, C.int(c.Rank), cBool(c.Full)
	}
	return s
}

// segment is the number of bins whose tape is kept at a time, 0 where all of it is.
func (c SequenceConfig) segment() int {
	if c.Inference || c.Dopri5 && c.Cell == CellNODE || c.Recompute >= c.T {
		return 0
	}
	if n := (c.Recompute + C.CTDB_FLUSH - 1) / C.CTDB_FLUSH * C.CTDB_FLUSH; n < c.T {
		return n
	}
	return 0
}

func (c SequenceConfig) threads() int { return max(1, c.Threads) }

func (c SequenceConfig) shardRows() int {
	if c.ShardRows == 0 {
		return ShardRows
	}
	return c.ShardRows
}

func (c SequenceConfig) maxSteps() int {
	if c.MaxSteps == 0 {
		return 1000
	}
	return c.MaxSteps
}

func wantLen[F any](op, field string, s []F, n int) error {
	if len(s) != n {
		return &ShapeError{op, field, len(s), fmt.Sprintf("%d elements", n)}
	}
	return nil
}

// optLen is wantLen for an argument that may be left out.
func optLen[F any](op, field string, s []F, n int) error {
	if s == nil {
		return nil
	}
	return wantLen(op, field, s, n)
}

// checkWeights checks the sizes of parameters (need) or of gradients, where every field may be nil.
func checkWeights[F Float](c SequenceConfig, w SequenceWeights[F], need bool) error {
	rows := c.Cell.Gates() * c.H
	if c.Cell == CellNODE {
		if err := errors.Join(wantLen("sequence", "Wih", w.Wih, 0), wantLen("sequence", "Whh", w.Whh, 0), wantLen("sequence", "Bih", w.Bih, 0), wantLen("sequence", "Bhh", w.Bhh, 0)); err != nil {
			return err
		}
	}
	if (c.Cell == CellLeakyCompat || c.Cell == CellLowRank) && len(w.Bhh) != 0 {
		return &ShapeError{"sequence", "Bhh", len(w.Bhh), "none: the cell has one bias"}
	}
	square := c.Cell != CellLowRank || c.Full
	if !square && len(w.Whh) != 0 {
		return &ShapeError{"sequence", "Whh", len(w.Whh), "none: the cell is not Full"}
	}
	maps := 0
	if need || w.Maps != nil {
		maps = c.MapCount()
	}
	if len(w.Maps) != maps {
		return &ShapeError{"sequence", "Maps", len(w.Maps), fmt.Sprintf("%d", maps)}
	}
	for l, m := range w.Maps {
		out, in := c.Map(l)
		name := fmt.Sprintf("Maps[%d].", l)
		if need || m.Weight != nil {
			if err := wantLen("sequence", name+"Weight", m.Weight, out*in); err != nil {
				return err
			}
		}
		if c.Cell == CellLowRank {
			out = 0
		}
		if err := optLen("sequence", name+"Bias", m.Bias, out); err != nil {
			return err
		}
	}
	if need && c.Cell != CellNODE {
		if c.I > 0 || w.Wih != nil {
			if err := wantLen("sequence", "Wih", w.Wih, rows*c.I); err != nil {
				return err
			}
		}
		if square {
			if err := wantLen("sequence", "Whh", w.Whh, rows*c.H); err != nil {
				return err
			}
		}
	}
	if need && c.O > 0 {
		if err := wantLen("sequence", "Wout", w.Wout, c.O*c.H); err != nil {
			return err
		}
	}
	return errors.Join(optLen("sequence", "Wih", w.Wih, rows*c.I), optLen("sequence", "Whh", w.Whh, rows*c.H), optLen("sequence", "Bih", w.Bih, rows),
		optLen("sequence", "Bhh", w.Bhh, rows), optLen("sequence", "Wout", w.Wout, c.O*c.H), optLen("sequence", "Bout", w.Bout, c.O))
}

func (in *SequenceInput[F]) check(c SequenceConfig, sequence bool) error {
	if in.B == 0 {
		in.B = c.B
	}
	if in.B < 1 || in.B > c.B {
		return &ShapeError{"sequence", "B", in.B, fmt.Sprintf("1 to the plan's %d", c.B)}
	}
	if sequence && c.I > 0 {
		if err := wantLen("sequence", "X", in.X, in.B*c.T*c.I); err != nil {
			return err
		}
	}
	if n := c.StateSize(); in.H0 != nil && len(in.H0) != n && len(in.H0) != in.B*n {
		return &ShapeError{"sequence", "H0", len(in.H0), fmt.Sprintf("%d (one for all trials) or %d elements", n, in.B*n)}
	}
	return errors.Join(optLen("sequence", "Trials", in.Trials, in.B), optLen("sequence", "Noise.Values", in.Noise.Values, in.B*c.T*c.H),
		optLen("sequence", "InitNoise.Values", in.InitNoise.Values, in.B*c.H))
}

// stridedLen checks an array of n rows of width that lie stride apart; the last row may end early.
func stridedLen[F any](field string, s []F, n, width, stride int) error {
	if s == nil {
		return nil
	}
	if stride < width {
		return &ShapeError{"sequence", field + " stride", stride, fmt.Sprintf("at least %d", width)}
	}
	if want := (n-1)*stride + width; len(s) < want || len(s) > n*stride {
		return &ShapeError{"sequence", field, len(s), fmt.Sprintf("%d to %d elements", want, n*stride)}
	}
	return nil
}

func (o *SequenceOutput[F]) check(c SequenceConfig, b int) error {
	if o.Stride == 0 {
		o.Stride = c.H
	}
	if o.FinalStride == 0 {
		o.FinalStride = c.StateSize()
	}
	return errors.Join(optLen("sequence", "Y", o.Y, b*c.T*c.O), stridedLen("States", o.States, b*c.T, c.H, o.Stride),
		stridedLen("Clean", o.Clean, b*c.T, c.H, o.Stride), stridedLen("Final", o.Final, b, c.StateSize(), o.FinalStride))
}

func (g *SequenceGradient[F]) check(c SequenceConfig, b int, shared bool, sequence bool) error {
	if err := checkWeights(c, g.Weights, false); err != nil {
		return err
	}
	n := b * c.StateSize()
	if shared {
		n = c.StateSize()
	}
	if !sequence && g.X != nil {
		return &ShapeError{"sequence", "X gradient", len(g.X), "nil: it is given bin by bin"}
	}
	return errors.Join(optLen("sequence", "X gradient", g.X, b*c.T*c.I), optLen("sequence", "H0 gradient", g.H0, n))
}
