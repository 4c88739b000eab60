package serve

import (
	"context"
	"errors"
	"testing"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
)

// busy is a model whose dynamics wait, as for the end of a training.
type busy struct {
	model.Model
	asked, over chan struct{}
}

func (b busy) Dynamics(context.Context) (model.Dynamics, error) {
	close(b.asked)
	<-b.over
	return nil, component.ErrUnsupported
}

// TestReportsDoNotWaitForDynamics asks a model in training for its dynamics: what the training reports is taken and shown meanwhile, or else it would wait
// for them and they for it.
func TestReportsDoNotWaitForDynamics(t *testing.T) {
	b := busy{asked: make(chan struct{}), over: make(chan struct{})}
	i := &instance{value: b}
	ended := make(chan error)
	go func() {
		_, err := i.live(context.Background())
		ended <- err
	}()
	<-b.asked
	c := &call{}
	i.note(c, component.Progress{Phase: "epoch", Done: 1})
	if r, ok := i.lastReport(); !ok || r.last.Done != 1 {
		t.Errorf("the last report is %+v, %t", r, ok)
	}
	i.forget(c)
	close(b.over)
	if err := <-ended; err == nil {
		t.Error("dynamics that there are not came back")
	}
}

// alive is a model with dynamics.
type alive struct{ model.Model }

func (alive) Dynamics(context.Context) (model.Dynamics, error) { return nil, nil }

// TestLentDynamicsExcludeTraining trains a model whose dynamics a comparator in the same process holds, and lends those of a model in training.
func TestLentDynamicsExcludeTraining(t *testing.T) {
	s := &Server{instances: map[string]*instance{}, calls: map[*call]struct{}{}}
	i := s.add(component.Info{}, alive{})
	_, back, err := s.lend(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	training := &call{method: modelv1.ModelService_Train_FullMethodName, instance: i, ctx: t.Context()}
	s.calls[training] = struct{}{}
	if _, err := s.admit(training); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("training while the dynamics are lent gives %v", err)
	}
	back()
	if _, err := s.admit(training); err != nil {
		t.Errorf("training when they are back gives %v", err)
	}
	if _, _, err := s.lend(t.Context(), i); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("lending them in training gives %v", err)
	}
}
