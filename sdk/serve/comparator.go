package serve

import (
	"context"
	"fmt"
	"io"
	"sync"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type comparatorServer struct {
	comparatorv1.UnimplementedComparatorServiceServer
	s *Server
}

// Compare compares.
func (c *comparatorServer) Compare(stream comparatorv1.ComparatorService_CompareServer) error {
	ctx := stream.Context()
	v, running, err := called[comparator.Comparator](ctx, "it is not a comparator")
	if err != nil {
		return err
	}
	in := &subjects{s: c.s, ctx: ctx}
	defer in.release()
	if err := in.receive(stream); err != nil {
		return err
	}
	var mu sync.Mutex
	send := func(m *comparatorv1.CompareResponse) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(m)
	}
	out, err := v.Compare(ctx, comparator.Request{Subjects: in.all}, &reporter{call: running, log: c.s.log, send: func(e *pluginv1.Event) error {
		return send(&comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Event{Event: e}})
	}})
	if err != nil {
		return err
	}
	return sendOutcome(out, send)
}

func sendOutcome(out comparator.Outcome, send func(*comparatorv1.CompareResponse) error) error {
	for _, r := range out.Results {
		m, err := wire.ToResult(r)
		if err != nil {
			return err
		}
		if err := send(&comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Result{Result: m}}); err != nil {
			return err
		}
	}
	for _, f := range out.Figures {
		m, err := wire.ToFigure(f)
		if err != nil {
			return err
		}
		if err := send(&comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Figure{Figure: m}}); err != nil {
			return err
		}
	}
	if len(out.Matrices) > 0 {
		err := wire.SendSet(out.Matrices, func(f *tensorv1.Frame) error {
			return send(&comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Matrices{Matrices: f}})
		})
		if err != nil {
			return err
		}
	}
	return send(&comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Done{Done: &comparatorv1.CompareDone{}}})
}

// subjects puts the subjects of a call together.
type subjects struct {
	s        *Server
	ctx      context.Context
	all      []comparator.Subject
	sets     [3]setOf // of the last subject: train, valid, scored
	releases []func()
}

// setOf is a set that is arriving.
type setOf struct {
	assembler wire.Assembler
	set       tensor.Set
	ended     bool
}

func (p *subjects) release() {
	for _, r := range p.releases {
		r()
	}
}

func (p *subjects) receive(stream comparatorv1.ComparatorService_CompareServer) error {
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return p.complete()
		}
		if err != nil {
			return received(p.ctx, err)
		}
		switch r := m.GetRequest().(type) {
		case *comparatorv1.CompareRequest_Subject:
			err = p.begin(r.Subject)
		case *comparatorv1.CompareRequest_Train:
			err = p.frame(0, r.Train)
		case *comparatorv1.CompareRequest_Valid:
			err = p.frame(1, r.Valid)
		case *comparatorv1.CompareRequest_Scored:
			err = p.frame(2, r.Scored)
		}
		if err != nil {
			return err
		}
	}
}

// begin takes the next subject.
func (p *subjects) begin(m *comparatorv1.Subject) error {
	if err := p.complete(); err != nil {
		return err
	}
	path := "subjects." + m.GetLabel()
	s, err := wire.FromSubject(m)
	if err != nil {
		return err
	}
	for _, other := range p.all {
		if other.Label == s.Label {
			return component.Invalid(path, "the label is given twice")
		}
	}
	if m.GetDynamics() != nil {
		d, release, err := p.s.leasedDynamics(p.ctx, m.GetDynamics())
		if err != nil {
			return fmt.Errorf("serve: %s: %w", path, err)
		}
		s.Dynamics = d
		p.releases = append(p.releases, release)
	}
	p.all = append(p.all, s)
	p.sets = [3]setOf{}
	return nil
}

func (p *subjects) frame(which int, f *tensorv1.Frame) error {
	if len(p.all) == 0 {
		return component.Invalid("subjects", "arrays before the first subject")
	}
	s := &p.sets[which]
	b, ended, err := s.assembler.Push(f)
	if err != nil {
		return err
	}
	if b != nil {
		if s.set != nil || len(b.Trials) > 0 {
			return component.Invalid("subjects."+p.all[len(p.all)-1].Label, "one set of arrays is needed, got blocks of trials")
		}
		s.set = b.Arrays
	}
	s.ended = ended
	return nil
}

// complete gives the last subject its arrays, or says that some have not arrived.
func (p *subjects) complete() error {
	if len(p.all) == 0 {
		return nil
	}
	last := &p.all[len(p.all)-1]
	for i, name := range []string{"train", "valid", "scored"} {
		if !p.sets[i].ended {
			return component.Invalid("subjects."+last.Label, "the set of its %s arrays is not complete", name)
		}
	}
	last.Train, last.Valid, last.Scored = p.sets[0].set, p.sets[1].set, p.sets[2].set
	return nil
}
