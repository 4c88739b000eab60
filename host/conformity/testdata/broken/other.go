package main

import (
	"context"
	"errors"
	"math"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// wrongSimulator changes the blocks that come out.
type wrongSimulator struct {
	simulator.Simulator
	block   func(b tensor.Block)
	prepare func(ctx context.Context, s simulator.Simulator, trials tensor.Blocks) tensor.Blocks
}

func (s wrongSimulator) Simulate(ctx context.Context, trials tensor.Blocks) tensor.Blocks {
	if s.prepare != nil {
		trials = s.prepare(ctx, s.Simulator, trials)
	}
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range s.Simulator.Simulate(ctx, trials) {
			if err == nil && s.block != nil {
				s.block(b)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func simulates(change func(s *wrongSimulator)) fault {
	return func(p *serve.Plugin) {
		f := &p.Simulators[0]
		open := f.Open
		f.Open = func(ctx context.Context, v param.Values, env component.Env, source simulator.Source) (simulator.Simulator, error) {
			inner, err := open(ctx, v, env, source)
			s := wrongSimulator{Simulator: inner}
			change(&s)
			return s, err
		}
	}
}

// wrongComparator changes an outcome.
type wrongComparator struct {
	comparator.Comparator
	outcome func(req comparator.Request, o *comparator.Outcome) error
}

func (c wrongComparator) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	o, err := c.Comparator.Compare(ctx, req, report)
	if err == nil {
		err = c.outcome(req, &o)
	}
	return o, err
}

func compares(f func(req comparator.Request, o *comparator.Outcome) error) fault {
	return func(p *serve.Plugin) {
		g := &p.Comparators[0]
		open := g.Open
		g.Open = func(ctx context.Context, v param.Values, env component.Env) (comparator.Comparator, error) {
			inner, err := open(ctx, v, env)
			return wrongComparator{inner, f}, err
		}
	}
}

func otherFaults() map[string]fault {
	return map[string]fault{
		"held-in": simulates(func(s *wrongSimulator) { s.block = func(b tensor.Block) { b.Arrays.Get(simulator.Encoded).F32[0]++ } }),
		"half-spikes": simulates(func(s *wrongSimulator) {
			s.block = func(b tensor.Block) {
				b.Arrays.Get(simulator.Encoded).F32[0] += 0.5
				b.Arrays.Get(simulator.Reconstructed).F32[0] += 0.5
			}
		}),
		"too-many": simulates(func(s *wrongSimulator) {
			s.block = func(b tensor.Block) {
				for _, name := range []string{simulator.Encoded, simulator.Reconstructed} {
					for i := range b.Arrays.Get(name).F32 {
						b.Arrays.Get(name).F32[i] *= 2
					}
				}
			}
		}),
		"other-latents": simulates(func(s *wrongSimulator) {
			s.block = func(b tensor.Block) {
				for i, a := range b.Arrays {
					if a.Name == simulator.Latents {
						b.Arrays[i] = a.Clone()
						b.Arrays[i].F32[0]++
					}
				}
			}
		}),
		"unfitted": simulates(func(s *wrongSimulator) {
			s.prepare = func(ctx context.Context, inner simulator.Simulator, trials tensor.Blocks) tensor.Blocks {
				all, err := tensor.Collect(trials)
				if err != nil {
					return tensor.Fail(err)
				}
				if _, err := inner.Fit(ctx, tensor.Of(all)); err != nil {
					return tensor.Fail(err)
				}
				return tensor.Of(all)
			}
		}),
		"no-reason": compares(func(_ comparator.Request, o *comparator.Outcome) error {
			o.Results[0].Value, o.Results[0].Reason = math.NaN(), ""
			return nil
		}),
		"who":       compares(func(_ comparator.Request, o *comparator.Outcome) error { o.Results[0].Subject = "somebody"; return nil }),
		"no-better": compares(func(_ comparator.Request, o *comparator.Outcome) error { o.Results[0].Better = ""; return nil }),
		"interval": compares(func(_ comparator.Request, o *comparator.Outcome) error {
			o.Results[0].Low, o.Results[0].High = 2, 1
			return nil
		}),
		"none-at-all": compares(func(_ comparator.Request, o *comparator.Outcome) error { o.Results = nil; return nil }),
		"needs-all": compares(func(req comparator.Request, _ *comparator.Outcome) error {
			if req.Subjects[0].Dynamics == nil {
				return errors.New("no dynamics")
			}
			return nil
		}),
	}
}
