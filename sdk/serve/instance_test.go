package serve

import (
	"context"
	"testing"

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
