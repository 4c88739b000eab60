package fixedpoints

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// constant is an input that is held.
type constant struct {
	name  string
	value []float64
	// condition is that of a phase, 0 where inputs are no phases: points are followed from one input to the next within it.
	condition int64
}

// inputsOf are the inputs to search under.
func (c *fixedPoints) inputsOf(req *comparator.Request, e *examined) ([]constant, error) {
	width := e.layout.Inputs
	zero := []constant{{name: "zero", value: make([]float64, width)}}
	switch {
	case c.Inputs == "given":
		if width == 0 || len(c.InputValues)%width != 0 {
			return nil, trials.Omit("%s", ofOtherWidth(len(c.InputValues), width, e.Label))
		}
		var out []constant
		for i := range min(len(c.InputValues)/width, c.MaxInputs) {
			out = append(out, constant{name: fmt.Sprintf("given %d", i+1), value: c.InputValues[i*width : (i+1)*width]})
		}
		e.dropped = len(c.InputValues)/width - len(out)
		return out, nil
	case c.Inputs == "zero" || width == 0:
		return zero, nil
	}
	var all []held
	for _, valid := range []bool{false, true} {
		set, of := e.Train, &req.Subjects[0]
		truth := of.Train
		if valid {
			set, truth = e.Valid, of.Valid
		}
		a := e.recorded(set)
		if a == nil {
			// A model of data that infers no inputs is driven by the known ones.
			a = e.recorded(truth)
		}
		if a == nil {
			continue
		}
		lengths, err := lengthsOf(req, e.Subject, a, valid)
		if err != nil {
			return nil, err
		}
		conditions := set.Get(comparator.Conditions)
		if conditions == nil {
			conditions = truth.Get(comparator.Conditions)
		}
		if conditions != nil && (conditions.I64 == nil || len(conditions.I64) != a.Shape[0]) {
			return nil, trials.Omit("%s: %d conditions of type %s for %d trials", e.Label, conditions.Len(), conditions.DType(), a.Shape[0])
		}
		if conditions == nil && c.Inputs == "conditions" {
			return nil, trials.Omit("%s: the trials have no conditions, whose inputs are asked for", e.Label)
		}
		all = append(all, c.holdings(a, lengths, conditions)...)
	}
	if len(all) == 0 {
		return nil, trials.Omit("%s: no inputs of %d channels are recorded, which are asked for (inputs: %s)", e.Label, width, c.Inputs)
	}
	return c.gather(e, all)
}

// ofOtherWidth says why the values of inputs: given are no inputs of a subject: others may have as many as the values are for.
func ofOtherWidth(values, width int, label string) string {
	if width == 0 {
		return fmt.Sprintf("inputs: given: input_values has %d values, and the dynamics of %s take no inputs", values, label)
	}
	return fmt.Sprintf("inputs: given: input_values has %d values, and the dynamics of %s take %d inputs at a time: a multiple of %d values is needed", values, label, width, width)
}

// held is an input with the number of bins it stands for.
type held struct {
	key   [2]int64
	name  string
	sum   []float64
	bins  float64
	exact bool
}

// holdings are, trial by trial, the summed inputs, or under phases each input that is held.
func (c *fixedPoints) holdings(a *tensor.Tensor, lengths []int, conditions *tensor.Tensor) []held {
	width := a.Shape[2]
	var out []held
	for trial, bins := range lengths {
		condition := int64(0)
		if conditions != nil && c.Inputs != "mean" {
			condition = conditions.I64[trial]
		}
		name := "mean"
		if c.Inputs != "mean" {
			name = fmt.Sprintf("condition %d", condition)
		}
		rows := make([]float64, bins*width)
		for bin := range bins {
			copyRow(rows[bin*width:(bin+1)*width], a, trial*a.Shape[1]+bin)
		}
		if c.Inputs != "phases" {
			h := held{key: [2]int64{condition}, name: name, sum: make([]float64, width), bins: float64(bins)}
			for i, v := range rows {
				h.sum[i%width] += v
			}
			out = append(out, h)
			continue
		}
		phase := int64(0)
		for from := 0; from < bins; {
			to := from + 1
			for to < bins && slices.Equal(rows[to*width:(to+1)*width], rows[from*width:(from+1)*width]) {
				to++
			}
			if to-from >= c.Hold {
				phase++
				out = append(out, held{[2]int64{condition, phase}, fmt.Sprintf("%s phase %d", name, phase), rows[from*width : (from+1)*width], 1, true})
			}
			from = to
		}
	}
	return out
}

// gather makes one input of each key: the mean, or the first that was held.
func (c *fixedPoints) gather(e *examined, all []held) ([]constant, error) {
	of := map[[2]int64]*held{}
	for _, h := range all {
		if g, ok := of[h.key]; !ok {
			of[h.key] = &h
		} else if !h.exact {
			for i, v := range h.sum {
				g.sum[i] += v
			}
			g.bins += h.bins
		}
	}
	keys := slices.SortedFunc(maps.Keys(of), func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	var out []constant
	for _, k := range keys {
		h := of[k]
		value := make([]float64, len(h.sum))
		for i, v := range h.sum {
			value[i] = v / h.bins
		}
		switch {
		case h.bins == 0:
		case !finite(value):
			return nil, trials.Omit("%s: the inputs of %s are not finite", e.Label, h.name)
		case len(out) == c.MaxInputs:
			e.dropped++
		default:
			in := constant{name: h.name, value: value}
			if h.exact {
				in.condition = k[0]
			}
			out = append(out, in)
		}
	}
	if len(out) == 0 {
		return nil, trials.Omit("%s: no input is held for %d bins", e.Label, c.Hold)
	}
	return out, nil
}
