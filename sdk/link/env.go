package link

import (
	"slices"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Env is the environment of one shard.
type Env[F kernel.Float] struct {
	link     *Link
	rows     int
	split    task.Split
	pass     func(nn.Pass) uint64
	party    *party
	from     int // its first row in the party's arrays
	recorded tensor.Set
}

var _ nn.Environment[float32] = (*Env[float32])(nil)

// Begin joins the party of the run's shard, and waits for the others.
func (e *Env[F]) Begin(s nn.EpisodeStart, inputs []F) error {
	if e.party != nil {
		if err := e.End(); err != nil {
			return err
		}
	}
	_, double := any(F(0)).(float64)
	p, from, err := e.link.join(s, e.rows, e.split, e.pass(s.Pass), double)
	if err != nil {
		return err
	}
	e.party, e.from = p, from
	if err := p.meet(nil, p.begin); err != nil {
		_ = e.End()
		return err
	}
	e.put(inputs, p.seen.Inputs, 0)
	return nil
}

// Forward goes through the bins with the others.
func (e *Env[F]) Forward(from, to int, compute func(t int) error, outputs, state, inputs []F) error {
	w := &walk{
		before: func(t int) error {
			if compute != nil {
				if err := compute(t); err != nil {
					return err
				}
			}
			e.get(e.party.actions, outputs, t)
			return nil
		},
		after: func(t int) error {
			p := e.party
			if state != nil {
				e.put(state, p.seen.State, t)
			}
			if t+1 < e.link.spec.Bins {
				e.put(inputs, p.seen.Inputs, t+1)
			}
			if p.records() {
				return e.record(t, p.seen.Recorded)
			}
			return nil
		},
	}
	return e.party.walk(w, func() error { return e.party.forward(from, to) })
}

// Backward goes back over the bins with the others.
func (e *Env[F]) Backward(from, to int, compute func(t int) error, state, inputs, outputs []F) error {
	w := &walk{
		before: func(t int) error {
			p := e.party
			if t+1 < e.link.spec.Bins {
				e.get(p.dInputs, inputs, t+1)
			}
			if state != nil {
				e.get(p.dState, state, t)
			}
			return nil
		},
		after: func(t int) error {
			e.add(outputs, e.party.back, t)
			if compute == nil {
				return nil
			}
			return compute(t)
		},
	}
	// The states of all members have a cotangent, or those of none: their graphs are alike.
	return e.party.walk(w, func() error { return e.party.backward(from, to, state != nil) })
}

// End leaves the party.
func (e *Env[F]) End() error {
	p := e.party
	e.party = nil
	if p == nil {
		return nil
	}
	return p.leave()
}

// Recorded are the arrays that the task recorded in the last run that kept no tape, (rows, T, ...).
func (e *Env[F]) Recorded() tensor.Set { return e.recorded }

// record keeps a bin of what was recorded.
func (e *Env[F]) record(t int, set tensor.Set) error {
	if t == 0 {
		e.recorded = nil
		for _, a := range set {
			shape := append([]int{e.rows, e.link.spec.Bins}, a.Shape[1:]...)
			w := &tensor.Tensor{Name: a.Name, Unit: a.Unit, Shape: shape}
			switch {
			case len(a.Axes) > 0:
				w.Axes = slices.Insert(slices.Clone(a.Axes), 1, tensor.Bin)
			case len(shape) <= 3:
				w.Axes = []string{tensor.Trial, tensor.Bin, tensor.Channel}[:len(shape)]
			}
			switch n := w.Len(); {
			case a.F32 != nil:
				w.F32 = make([]float32, n)
			case a.F64 != nil:
				w.F64 = make([]float64, n)
			default:
				w.I64 = make([]int64, n)
			}
			e.recorded = append(e.recorded, w)
		}
	}
	for i, a := range set {
		w := e.recorded[i]
		if a.Len() != w.Len()/(e.rows*e.link.spec.Bins)*a.Shape[0] || a.DType() != w.DType() {
			return e.party.wrong(t, "recorded %q as %s %v, with other rows or type before", a.Name, a.DType(), a.Shape)
		}
		width := a.Len() / a.Shape[0]
		for r := range e.rows {
			to, from := (r*e.link.spec.Bins+t)*width, (e.from+r)*width
			switch {
			case a.F32 != nil:
				copy(w.F32[to:], a.F32[from:from+width])
			case a.F64 != nil:
				copy(w.F64[to:], a.F64[from:from+width])
			default:
				copy(w.I64[to:], a.I64[from:from+width])
			}
		}
	}
	return nil
}

// bin calls f for the elements of each row of bin t of an array (rows, T, ...) and those of the shard's rows of a.
func bin[F kernel.Float](rows, bins, from, t int, whole []F, a *tensor.Tensor, f func(row []F, i int)) {
	width := len(whole) / (rows * bins)
	for r := range rows {
		f(whole[(r*bins+t)*width:][:width], (from+r)*width)
	}
}

// put writes the shard's rows of a to bin t.
func (e *Env[F]) put(whole []F, a *tensor.Tensor, t int) {
	bin(e.rows, e.link.spec.Bins, e.from, t, whole, a, func(row []F, i int) {
		if a.F32 != nil {
			for k, v := range a.F32[i : i+len(row)] {
				row[k] = F(v)
			}
			return
		}
		for k, v := range a.F64[i : i+len(row)] {
			row[k] = F(v)
		}
	})
}

// add adds the shard's rows of a to bin t.
func (e *Env[F]) add(whole []F, a *tensor.Tensor, t int) {
	bin(e.rows, e.link.spec.Bins, e.from, t, whole, a, func(row []F, i int) {
		if a.F32 != nil {
			for k, v := range a.F32[i : i+len(row)] {
				row[k] += F(v)
			}
			return
		}
		for k, v := range a.F64[i : i+len(row)] {
			row[k] += F(v)
		}
	})
}

// get writes bin t to the shard's rows of a.
func (e *Env[F]) get(a *tensor.Tensor, whole []F, t int) {
	bin(e.rows, e.link.spec.Bins, e.from, t, whole, a, func(row []F, i int) {
		if a.F32 != nil {
			for k, v := range row {
				a.F32[i+k] = float32(v)
			}
			return
		}
		for k, v := range row {
			a.F64[i+k] = float64(v)
		}
	})
}
