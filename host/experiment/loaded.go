package experiment

import "github.com/ctdb-host/ctdb/sdk/param"

// Problem is what is wrong with what the network is loaded from, or begins with; p.Path is empty or a key of its own, e.g. "load".
func (t *Train) Problem(p param.Problem) Problem {
	return t.place.problem(p.Path, false, p.Message, p.Hint)
}

// Problem is what is wrong with what the spikes come from; p.Path is empty or a key of its own, e.g. "dataset".
func (s *Simulate) Problem(p param.Problem) Problem {
	return s.place.problem(p.Path, false, p.Message, p.Hint)
}

// Problem is what is wrong with what the fit is loaded from, or begins with; p.Path is empty or a key of its own, e.g. "load".
func (f *Fit) Problem(p param.Problem) Problem {
	return f.place.problem(p.Path, false, p.Message, p.Hint)
}
