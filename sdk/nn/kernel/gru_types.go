package kernel

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by a plan that has been closed.
var ErrClosed = errors.New("kernel: plan is closed")

// ErrOrder is returned (wrapped) by calls that need another call before them, such as Backward without Forward.
var ErrOrder = errors.New("kernel: call out of order")

// ShapeError says that an argument has the wrong size.
type ShapeError struct {
	Op    string // the operation, such as "gru"
	Field string // the argument, such as "X"
	Got   int    // its number of elements, or its value
	Want  string // what is allowed
}

// Error names the argument, what was given and what is allowed.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("kernel: %s: %s: got %d, want %s", e.Op, e.Field, e.Got, e.Want)
}

// GRUConfig is the shape of a GRU plan.
type GRUConfig struct {
	B int // largest number of trials in a call, at least 1
	T int // bins, at least 1
	I int // inputs, 0 or more
	H int // units, at least 1
	O int // channels of the linear readout of the clean state; 0 for none

	Reverse   bool   // walks from bin T-1 to bin 0: the second direction of a bidirectional GRU
	Threads   int    // goroutines that pull shards; 0 means 1
	Inference bool   // keep no tape: forward calls only, in memory that does not grow with T
	Variant   string // instruction set, one of Variants(); empty means Variant()
}

// GRUWeights are the parameters of a GRU and its readout, or their gradients.
//
//	r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
//	z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
//	n = tanh(W_in x + b_in + r*(W_hn h + b_hn))
//	clean = (1-z)*n + z*h,  h' = clean + noise,  y = W_out clean + b_out
//
// It is the GRU of Cho et al. (2014) in PyTorch's form: r multiplies after the recurrent product.
type GRUWeights[F Float] struct {
	Wih  []F // (3H, I), PyTorch's weight_ih; may be nil if I is 0
	Whh  []F // (3H, H), weight_hh
	Bih  []F // (3H), bias_ih; nil is zero
	Bhh  []F // (3H), bias_hh; nil is zero
	Wout []F // (O, H), the readout's weight; needed if O > 0
	Bout []F // (O), its bias; nil is zero
}

// Noise is Gaussian noise added to a state. The zero value adds none.
//
// Generated noise is a function of (Key, trial index, bin, unit) only, see Normals.
type Noise[F Float] struct {
	SD     F      // standard deviation; 0 for no noise
	Key    uint64 // key of the generator
	Values []F    // explicit standard normal numbers instead of generated ones, (B, T, H), or (B, H) for the initial state
}

// GRUInput is what a sequence starts from.
type GRUInput[F Float] struct {
	B         int      // trials in this call, at most the plan's; 0 means the plan's
	X         []F      // (B, T, I); unused by Begin
	H0        []F      // initial state, (B, H), or (H) for one that all trials share; nil is zero. With B = 1 both are the same
	Trials    []uint64 // (B) indices of the trials for generated noise; nil means 0, 1, ..., B-1
	Noise     Noise[F] // added to the state after each step
	InitNoise Noise[F] // added to the initial state
}

// GRUOutput is where results are written; a nil field is not wanted.
type GRUOutput[F Float] struct {
	Y      []F // (B, T, O) readout of the clean state
	States []F // (B, T, H) state after each step, its noise included
	Clean  []F // (B, T, H) the same without the noise of its own step
	Final  []F // (B, H) state after the last step taken (bin T-1, or bin 0 of a Reverse plan), its noise included

	// Stride is the number of elements from a bin to the next in States and Clean, for instance 2H where two directions share an
	// array (the second passes array[H:]); 0 means H.
	Stride int
	// FinalStride is the same from a trial to the next in Final; 0 means H.
	FinalStride int
}

// GRUCotangent holds the gradients of a scalar with respect to a GRUOutput, in the same layout; nil is zero. If only Final is given
// nothing of size (B, T, H) is read.
type GRUCotangent[F Float] struct {
	Y, States, Clean, Final []F
	Stride, FinalStride     int
}

// GRUGradient is where gradients are written; a nil field is not wanted.
type GRUGradient[F Float] struct {
	Weights GRUWeights[F] // summed over the batch
	X       []F           // (B, T, I)
	H0      []F           // (B, H), or (H) summed over the batch if the initial state was shared
	Add     bool          // add to Weights and a shared H0 instead of overwriting them
}

// GRUBin is one bin's results or their cotangents: Y (B, O), State (B, H), Clean (B, H); a nil field is not wanted, or zero.
type GRUBin[F Float] struct {
	Y, State, Clean []F
}

const maxElements = 1 << 48

func (c GRUConfig) check() error {
	for _, f := range []struct {
		name     string
		got, min int
	}{{"B", c.B, 1}, {"T", c.T, 1}, {"I", c.I, 0}, {"H", c.H, 1}, {"O", c.O, 0}, {"Threads", c.Threads, 0}} {
		if f.got < f.min {
			return &ShapeError{"gru", f.name, f.got, fmt.Sprintf("at least %d", f.min)}
		}
		if f.got > 1<<30 {
			return &ShapeError{"gru", f.name, f.got, "at most 2^30"}
		}
	}
	if per := float64(c.B+ShardRows) * float64(c.T+1) * float64(5*(c.H+16)+c.I+16+c.O); per > maxElements {
		return fmt.Errorf("kernel: gru: B %d, T %d, I %d, H %d, O %d: beyond any memory", c.B, c.T, c.I, c.H, c.O)
	}
	return nil
}

func (c GRUConfig) threads() int { return max(1, c.Threads) }

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

// checkGRUWeights checks the sizes of parameters (need) or of gradients, where every field may be nil.
func checkGRUWeights[F Float](c GRUConfig, w GRUWeights[F], need bool) error {
	if need && (c.I > 0 || w.Wih != nil) {
		if err := wantLen("gru", "Wih", w.Wih, 3*c.H*c.I); err != nil {
			return err
		}
	}
	if need {
		if err := wantLen("gru", "Whh", w.Whh, 3*c.H*c.H); err != nil {
			return err
		}
		if c.O > 0 {
			if err := wantLen("gru", "Wout", w.Wout, c.O*c.H); err != nil {
				return err
			}
		}
	}
	return errors.Join(optLen("gru", "Wih", w.Wih, 3*c.H*c.I), optLen("gru", "Whh", w.Whh, 3*c.H*c.H), optLen("gru", "Bih", w.Bih, 3*c.H),
		optLen("gru", "Bhh", w.Bhh, 3*c.H), optLen("gru", "Wout", w.Wout, c.O*c.H), optLen("gru", "Bout", w.Bout, c.O))
}

func (in *GRUInput[F]) check(c GRUConfig, sequence bool) error {
	if in.B == 0 {
		in.B = c.B
	}
	if in.B < 1 || in.B > c.B {
		return &ShapeError{"gru", "B", in.B, fmt.Sprintf("1 to the plan's %d", c.B)}
	}
	if sequence && c.I > 0 {
		if err := wantLen("gru", "X", in.X, in.B*c.T*c.I); err != nil {
			return err
		}
	}
	if in.H0 != nil && len(in.H0) != c.H && len(in.H0) != in.B*c.H {
		return &ShapeError{"gru", "H0", len(in.H0), fmt.Sprintf("%d (one for all trials) or %d elements", c.H, in.B*c.H)}
	}
	return errors.Join(optLen("gru", "Trials", in.Trials, in.B), optLen("gru", "Noise.Values", in.Noise.Values, in.B*c.T*c.H),
		optLen("gru", "InitNoise.Values", in.InitNoise.Values, in.B*c.H))
}

// stridedLen checks an array of n rows of width that lie stride apart; the last row may end early.
func stridedLen[F any](field string, s []F, n, width, stride int) error {
	if s == nil {
		return nil
	}
	if stride < width {
		return &ShapeError{"gru", field + " stride", stride, fmt.Sprintf("at least %d", width)}
	}
	if want := (n-1)*stride + width; len(s) < want || len(s) > n*stride {
		return &ShapeError{"gru", field, len(s), fmt.Sprintf("%d to %d elements", want, n*stride)}
	}
	return nil
}

func (o *GRUOutput[F]) check(c GRUConfig, b int) error {
	if o.Stride == 0 {
		o.Stride = c.H
	}
	if o.FinalStride == 0 {
		o.FinalStride = c.H
	}
	return errors.Join(optLen("gru", "Y", o.Y, b*c.T*c.O), stridedLen("States", o.States, b*c.T, c.H, o.Stride),
		stridedLen("Clean", o.Clean, b*c.T, c.H, o.Stride), stridedLen("Final", o.Final, b, c.H, o.FinalStride))
}

func (g *GRUGradient[F]) check(c GRUConfig, b int, shared bool, sequence bool) error {
	if err := checkGRUWeights(c, g.Weights, false); err != nil {
		return err
	}
	n := b * c.H
	if shared {
		n = c.H
	}
	if !sequence && g.X != nil {
		return &ShapeError{"gru", "X gradient", len(g.X), "nil: it is given bin by bin"}
	}
	return errors.Join(optLen("gru", "X gradient", g.X, b*c.T*c.I), optLen("gru", "H0 gradient", g.H0, n))
}

func (b GRUBin[F]) check(c GRUConfig, n int) error {
	return errors.Join(optLen("gru", "Y", b.Y, n*c.O), optLen("gru", "State", b.State, n*c.H), optLen("gru", "Clean", b.Clean, n*c.H))
}
