package client

import (
	"context"
	"fmt"
	"io"
	"slices"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
)

// Comparator is a comparator in another process.
type Comparator interface {
	comparator.Comparator
	// Close frees the instance.
	Close(ctx context.Context) error
}

// A comparison of more results and figures than these is none that anybody reads.
const (
	maxResults = 1 << 20
	maxFigures = 1000
)

type remoteComparator struct {
	*instance
	rpc comparatorv1.ComparatorServiceClient
}

func newComparator(i *instance) *remoteComparator {
	return &remoteComparator{i, comparatorv1.NewComparatorServiceClient(i.plugin.conn)}
}

// Compare compares. Subjects with live dynamics are leased to the comparator while it runs.
func (c *remoteComparator) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	subjects := make([]*comparatorv1.Subject, len(req.Subjects))
	for i, s := range req.Subjects {
		m, err := wire.ToSubject(s)
		if err != nil {
			return comparator.Outcome{}, err
		}
		if s.Dynamics != nil {
			l, ok := s.Dynamics.(leasable)
			if !ok {
				return comparator.Outcome{}, component.Invalid("subjects."+s.Label+".dynamics",
					"%T: a comparator in another process can only be given dynamics that are served by a plugin", s.Dynamics)
			}
			lease, release, err := l.grant(ctx, dynamicsMethods())
			if err != nil {
				return comparator.Outcome{}, err
			}
			defer release()
			m.Dynamics = lease
		}
		subjects[i] = m
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Compare(c.outgoing(inner))
	if err != nil {
		return comparator.Outcome{}, typed(ctx, err)
	}
	p := produce(cancel, stream.Recv, func() error {
		for i, s := range req.Subjects {
			if err := sendSubject(stream, subjects[i], s); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	})
	out, err := c.outcome(ctx, stream, report)
	if err = p.finish(err); err != nil {
		return comparator.Outcome{}, err
	}
	return out, nil
}

func sendSubject(stream comparatorv1.ComparatorService_CompareClient, m *comparatorv1.Subject, s comparator.Subject) error {
	if err := stream.Send(&comparatorv1.CompareRequest{Request: &comparatorv1.CompareRequest_Subject{Subject: m}}); err != nil {
		return &wire.SendError{Err: err}
	}
	err := wire.SendSet(s.Train, func(f *tensorv1.Frame) error {
		return stream.Send(&comparatorv1.CompareRequest{Request: &comparatorv1.CompareRequest_Train{Train: f}})
	})
	if err != nil {
		return err
	}
	err = wire.SendSet(s.Valid, func(f *tensorv1.Frame) error {
		return stream.Send(&comparatorv1.CompareRequest{Request: &comparatorv1.CompareRequest_Valid{Valid: f}})
	})
	if err != nil {
		return err
	}
	return wire.SendSet(s.Scored, func(f *tensorv1.Frame) error {
		return stream.Send(&comparatorv1.CompareRequest{Request: &comparatorv1.CompareRequest_Scored{Scored: f}})
	})
}

func (c *remoteComparator) outcome(ctx context.Context, stream comparatorv1.ComparatorService_CompareClient, report component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	var matrices wire.Assembler
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return out, fmt.Errorf("client: %s: %w: the outcome stops before its end", c.name, component.ErrChecksum)
		}
		if err != nil {
			return out, typed(ctx, err)
		}
		switch r := m.GetResponse().(type) {
		case *comparatorv1.CompareResponse_Event:
			if err := wire.Report(r.Event, report); err != nil {
				return out, err
			}
		case *comparatorv1.CompareResponse_Result:
			if len(out.Results) == maxResults {
				return out, component.Invalid("results", "%s sent more than %d", c.name, maxResults)
			}
			out.Results = append(out.Results, wire.FromResult(r.Result))
		case *comparatorv1.CompareResponse_Figure:
			if len(out.Figures) == maxFigures {
				return out, component.Invalid("figures", "%s sent more than %d", c.name, maxFigures)
			}
			f, err := wire.FromFigure(r.Figure)
			if err != nil {
				return out, err
			}
			if slices.ContainsFunc(out.Figures, func(g component.Figure) bool { return g.Name == f.Name }) {
				return out, component.Invalid("figures", "%s sent two that are named %q", c.name, f.Name)
			}
			out.Figures = append(out.Figures, f)
		case *comparatorv1.CompareResponse_Matrices:
			b, _, err := matrices.Push(r.Matrices)
			if err != nil {
				return out, err
			}
			if b != nil {
				if out.Matrices != nil || len(b.Trials) > 0 {
					return out, component.Invalid("matrices", "%s sent blocks of trials: one set of arrays is needed", c.name)
				}
				out.Matrices = b.Arrays
			}
		case *comparatorv1.CompareResponse_Done:
			return out, nil
		}
	}
}
