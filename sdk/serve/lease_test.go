package serve_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestLeaseNeedsAnAddress hands on what cannot be reached.
func TestLeaseNeedsAnAddress(t *testing.T) {
	a, b := inMemory(t), inMemory(t)
	ctx := context.Background()
	point := openPoint(t, a.Plugin, nil)
	spec, err := point.Spec(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.OpenModel(ctx, name(component.Model, "linear"), nil, testEnv, targetOf(spec))
	if err != nil {
		t.Fatal(err)
	}
	var invalid *component.InvalidArgumentError
	if _, err := m.Train(ctx, trainOn(point), nil); !errors.As(err, &invalid) || invalid.Problems[0].Path != "lease.address" {
		t.Errorf("a task that nobody can reach gives %v", err)
	}
	c, err := b.OpenComparator(ctx, name(component.Comparator, "jacobian"), nil, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	req := comparator.Request{Subjects: []comparator.Subject{{Label: "x", Role: comparator.Fitted, Dynamics: &linearDynamics{}}}}
	if _, err := c.Compare(ctx, req, nil); !errors.As(err, &invalid) || invalid.Problems[0].Path != "subjects.x.dynamics" {
		t.Errorf("dynamics of this process give %v", err)
	}
}

// TestLeaseEndsWithTheCall has a comparator that keeps the dynamics it was lent.
func TestLeaseEndsWithTheCall(t *testing.T) {
	a, b := onSocket(t), onSocket(t)
	ctx := context.Background()
	m := openLinear(t, a.Plugin, nil)
	d, err := m.Dynamics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := comparator.Request{Subjects: []comparator.Subject{{Label: "x", Role: comparator.Fitted, Dynamics: d}}}
	x := tensor.New64("x", 1, 3)
	for _, p := range []*peer{a, b} {
		c, err := p.OpenComparator(ctx, name(component.Comparator, "jacobian"), nil, testEnv)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Compare(ctx, req, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, direct := a.probe.kept.Load().(kept).Dynamics.(*linearDynamics); !direct {
		t.Error("a model in the same plugin is not called directly")
	}
	if _, err := b.probe.kept.Load().(kept).Step(ctx, x, nil); !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("dynamics that were lent give %v after the call", err)
	}
	if _, err := d.Step(ctx, x, nil); err != nil {
		t.Error(err)
	}
}

// TestTokens calls past the SDK, with the tokens that others might have.
func TestTokens(t *testing.T) {
	p := inMemory(t)
	plugin, tasks := pluginv1.NewPluginServiceClient(p.conn), taskv1.NewTaskServiceClient(p.conn)
	with := func(token, instance string) context.Context {
		return metadata.AppendToOutgoingContext(context.Background(), "ctdb-token", token, "ctdb-instance", instance)
	}
	open := func(failure string) string {
		v := map[string]*pluginv1.Value{"failure": {Value: &pluginv1.Value_String_{String_: failure}}}
		m, err := plugin.Open(with("secret", ""), &pluginv1.OpenRequest{Component: "task/wave", Params: v})
		if err != nil {
			t.Fatal(err)
		}
		return m.GetInstance()
	}
	one, other := open("none"), open("hang")
	grant := func(instance string, methods ...string) (string, error) {
		m, err := plugin.Grant(with("secret", ""), &pluginv1.GrantRequest{Instance: instance, Methods: methods})
		return m.GetToken(), err
	}
	lease, err := grant(one, taskv1.TaskService_Spec_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	spec := func(token, instance string) error {
		_, err := tasks.Spec(with(token, instance), &taskv1.SpecRequest{})
		return err
	}
	trials := func(token, instance string) error {
		s, err := tasks.Trials(with(token, instance), &taskv1.TrialsRequest{Split: taskv1.Split_SPLIT_TRAIN})
		for err == nil {
			_, err = s.Recv()
		}
		return err
	}
	describe := func(token string) error {
		_, err := plugin.Describe(with(token, ""), &pluginv1.DescribeRequest{})
		return err
	}
	grantFails := func(instance string, methods ...string) error {
		_, err := grant(instance, methods...)
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		want codes.Code
	}{
		{"the root token", spec("secret", one), codes.OK},
		{"the lease's method", spec(lease, one), codes.OK},
		{"no token", spec("", one), codes.Unauthenticated},
		{"a wrong token", describe("guess"), codes.Unauthenticated},
		{"another method", trials(lease, one), codes.PermissionDenied},
		{"another instance", spec(lease, other), codes.PermissionDenied},
		{"the plugin itself", describe(lease), codes.PermissionDenied},
		{"an instance that is not", spec("secret", "task/wave#99"), codes.NotFound},
		{"a lease of one that is not", grantFails("task/wave#99", taskv1.TaskService_Spec_FullMethodName), codes.NotFound},
		{"a lease of the plugin's methods", grantFails(one, pluginv1.PluginService_Open_FullMethodName), codes.InvalidArgument},
		{"a lease of other services", grantFails(one, "/plugin.GRPCController/Shutdown"), codes.InvalidArgument},
	} {
		if c := status.Code(tt.err); c != tt.want {
			t.Errorf("%s gives %v, want %v", tt.name, tt.err, tt.want)
		}
	}

	// Revoking a token ends what runs on it.
	lease, err = grant(other, taskv1.TaskService_Trials_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tasks.Trials(with(lease, other), &taskv1.TrialsRequest{Split: taskv1.Split_SPLIT_TRAIN})
	if err == nil {
		_, err = s.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plugin.Revoke(with("secret", ""), &pluginv1.RevokeRequest{Token: lease}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call whose lease has been revoked ends with %v", err)
	}
	if err := trials(lease, other); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a revoked token gives %v", err)
	}
}
