package steptime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Case is a step to be timed.
type Case struct {
	// Sequence is the cell and its sizes. Threads, Variant, Reverse and Inference are not heeded.
	Sequence kernel.SequenceConfig
	// Bidirectional makes it an encoder: both directions, and the readout of their final states alone. The cell is a GRU or has tanh units.
	Bidirectional bool
}

// What a name leaves unsaid.
const (
	outputs = 3
	layers  = 3
	width   = 128
	nodeDT  = 0.1
)

// cellNames are the cells that can be timed, by the names that they have here.
var cellNames = []struct {
	name string
	cell kernel.Cell
}{{"gru", kernel.CellGRU}, {"rnn", kernel.CellTanh}, {"lstm", kernel.CellLSTM}, {"node", kernel.CellNODE}}

// Cases are the steps that are timed unless others are named: those of published studies, and a GRU of 256 units.
func Cases() []Case {
	c := func(cell kernel.Cell, b, t, i, h int) Case {
		return Case{Sequence: sequence(cell, b, t, i, h)}
	}
	encoder := c(kernel.CellGRU, 250, 500, 50, 100)
	encoder.Bidirectional, encoder.Sequence.O = true, 128
	return []Case{
		c(kernel.CellGRU, 256, 500, 3, 64),
		c(kernel.CellGRU, 256, 500, 3, 128),
		c(kernel.CellGRU, 64, 320, 20, 128),
		c(kernel.CellGRU, 256, 200, 10, 256),
		c(kernel.CellLSTM, 256, 500, 3, 64),
		c(kernel.CellTanh, 256, 500, 3, 64),
		c(kernel.CellNODE, 256, 500, 3, 3),
		encoder,
	}
}

func sequence(cell kernel.Cell, b, t, i, h int) kernel.SequenceConfig {
	s := kernel.SequenceConfig{Cell: cell, B: b, T: t, I: i, H: h, O: outputs}
	if cell == kernel.CellNODE {
		s.Layers, s.Width, s.DT = layers, width, nodeDT
	}
	return s
}

// Name is the case's, such as gru/B=256/T=500/I=3/H=64: batch, bins, inputs, units. What follows only where it differs from 3 outputs, and for a node (rectified units,
// Euler's method) from 3 linear maps that are 128 wide, is /O=, /layers=, /width=, and /bidirectional.
func (c Case) Name() string {
	s := c.Sequence
	name := s.Cell.String()
	for _, known := range cellNames {
		if known.cell == s.Cell {
			name = known.name
		}
	}
	name += fmt.Sprintf("/B=%d/T=%d/I=%d/H=%d", s.B, s.T, s.I, s.H)
	if s.O != outputs {
		name += fmt.Sprintf("/O=%d", s.O)
	}
	if s.Cell == kernel.CellNODE && s.Layers != layers {
		name += fmt.Sprintf("/layers=%d", s.Layers)
	}
	if s.Cell == kernel.CellNODE && s.Width != width {
		name += fmt.Sprintf("/width=%d", s.Width)
	}
	if c.Bidirectional {
		name += "/bidirectional"
	}
	return name
}

// Parse reads a case's name, in which B, T, I and H must stand.
func Parse(name string) (Case, error) {
	parts := strings.Split(name, "/")
	fail := func(format string, args ...any) (Case, error) {
		return Case{}, fmt.Errorf("steptime: case %q: %s", name, fmt.Sprintf(format, args...))
	}
	at := slices.IndexFunc(cellNames, func(known struct {
		name string
		cell kernel.Cell
	}) bool {
		return known.name == parts[0]
	})
	if at < 0 {
		return fail("cell %q: want gru, rnn, lstm or node", parts[0])
	}
	c := Case{Sequence: sequence(cellNames[at].cell, 0, 0, -1, 0)}
	s := &c.Sequence
	fields := map[string]*int{"B": &s.B, "T": &s.T, "I": &s.I, "H": &s.H, "O": &s.O}
	if s.Cell == kernel.CellNODE {
		fields["layers"], fields["width"] = &s.Layers, &s.Width
	}
	given := map[string]bool{}
	for _, p := range parts[1:] {
		key, value, ok := strings.Cut(p, "=")
		field := fields[key]
		switch {
		case given[key]:
			return fail("%s stands there twice", key)
		case p == "bidirectional":
			c.Bidirectional = true
		case !ok || field == nil:
			return fail("%q: want B=, T=, I=, H=, O=, for a node layers= and width=, or bidirectional", p)
		default:
			n, err := strconv.Atoi(value)
			if err != nil {
				return fail("%s=%s: want a whole number", key, value)
			}
			*field = n
		}
		given[key] = true
	}
	for _, key := range []string{"B", "T", "I", "H"} {
		if !given[key] {
			return fail("%s= is missing", key)
		}
	}
	if err := c.check(); err != nil {
		return Case{}, err
	}
	return c, nil
}

// check says what cannot be timed.
func (c Case) check() error {
	s := c.Sequence
	if s.O < 1 {
		return fmt.Errorf("steptime: case %s: O=%d: want at least 1", c.Name(), s.O)
	}
	if c.Bidirectional && s.Cell != kernel.CellGRU && s.Cell != kernel.CellTanh {
		return fmt.Errorf("steptime: case %s: bidirectional: want gru or rnn", c.Name())
	}
	if _, err := kernel.SequenceBytes[float32](s); err != nil {
		return fmt.Errorf("steptime: case %s: %w", c.Name(), err)
	}
	return nil
}

// FLOPs is the number of floating-point operations of a step, as the package's comment counts them.
func (c Case) FLOPs() float64 {
	if !c.Bidirectional {
		return SequenceFLOPs(c.Sequence)
	}
	s := c.Sequence
	readout := 6 * float64(s.B) * float64(2*s.H*s.O)
	s.O = 0
	return 2*SequenceFLOPs(s) + readout
}

// SequenceFLOPs is that of a sequence's forward and backward pass with its readout, without the gradient of the inputs; a third of it is nearly the forward pass alone.
func SequenceFLOPs(s kernel.SequenceConfig) float64 {
	h, in := float64(s.H), float64(s.I)
	products := float64(s.Cell.Gates())*h*(6*h+4*in) + 6*h*float64(s.O)
	stages := float64(max(1, s.Substeps))
	if s.RK4 {
		stages *= 4
	}
	if s.Cell != kernel.CellNODE {
		stages = 1
	}
	for l := range s.MapCount() {
		out, args := s.Map(l)
		products += stages * 6 * float64(out) * float64(args)
		if s.Cell == kernel.CellNODE && l == 0 {
			products -= stages * 2 * float64(out) * in
		}
	}
	return float64(s.B) * float64(s.T) * products
}
