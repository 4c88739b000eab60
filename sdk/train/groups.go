package train

import (
	"fmt"
	"path"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// ParamGroup gives parameters rates of their own, as torch's param_groups do. Both factors apply to what is in force in an epoch, so that groups follow a schedule.
type ParamGroup struct {
	// Match is a pattern of the parameters' names in the syntax of path.Match, where * is any text: "encoder.*", "*.bias_*". It matches at least one parameter.
	Match string
	// LR multiplies the learning rate. 0 freezes the parameters: they stay as they are, and their gradients do not count in the norm that is clipped.
	LR float64
	// WeightDecay multiplies the weight decay; 0 is none.
	WeightDecay float64
	// Decoupled takes the weight decay from the weights, as AdamW does, rather than adding it to the gradient.
	Decoupled bool
}

// span is a range of the parameters' memory whose elements take the same step. It ends where the next begins, so that it holds whole vectors.
type span struct {
	from, to  int
	ungrouped bool
	group     ParamGroup
}

// optimiser is the span's, of that for all.
func (s span) optimiser(a kernel.Adam) kernel.Adam {
	if s.ungrouped {
		return a
	}
	a.LR *= s.group.LR
	a.WeightDecay *= s.group.WeightDecay
	a.Decoupled = s.group.Decoupled
	return a
}

func (s span) frozen() bool { return !s.ungrouped && s.group.LR == 0 }

// spans cuts the parameters' memory where the group changes. A parameter belongs to the first group that matches its name, or to none.
func spans[F kernel.Float](p *nn.Params[F], groups []ParamGroup) ([]span, error) {
	var e component.InvalidArgumentError
	invalid := func(i int, field, format string, args ...any) {
		e.Problems = append(e.Problems, component.Invalid(fmt.Sprintf("param_groups[%d].%s", i, field), format, args...).(*component.InvalidArgumentError).Problems...)
	}
	for i, g := range groups {
		if !(g.LR >= 0) || !finite(g.LR) {
			invalid(i, "lr", "%v is not allowed: a finite number of at least 0", g.LR)
		}
		if !(g.WeightDecay >= 0) || !finite(g.WeightDecay) {
			invalid(i, "weight_decay", "%v is not allowed: a finite number of at least 0", g.WeightDecay)
		}
		matches := func(q nn.Param[F]) bool { ok, _ := path.Match(g.Match, q.Name); return ok }
		if _, err := path.Match(g.Match, ""); err != nil {
			invalid(i, "match", "%q is not allowed: %v", g.Match, err)
		} else if !slices.ContainsFunc(p.All(), matches) {
			var names []string
			for _, q := range p.All() {
				names = append(names, q.Name)
			}
			invalid(i, "match", "%q matches no parameter; there are %v", g.Match, names)
		}
	}
	if len(e.Problems) > 0 {
		return nil, &e
	}
	var out []span
	last := -2
	for _, q := range p.All() {
		of := slices.IndexFunc(groups, func(g ParamGroup) bool { ok, _ := path.Match(g.Match, q.Name); return ok })
		if of != last {
			s := span{from: q.Offset, ungrouped: of < 0}
			if of >= 0 {
				s.group = groups[of]
			}
			if len(out) > 0 {
				out[len(out)-1].to = q.Offset
			}
			out, last = append(out, s), of
		}
	}
	if len(out) > 0 {
		out[len(out)-1].to = len(p.Flat())
	}
	return out, nil
}
