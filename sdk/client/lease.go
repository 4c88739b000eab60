package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Leased connects to an instance in another plugin, as a plugin does that was given a lease. Close ends the connection.
type Leased struct {
	conn *grpc.ClientConn
	i    *instance
}

// FromLease dials the owner of a lease. The connection is made with the first call.
func FromLease(l wire.Lease) (*Leased, error) {
	if l.Address == "" {
		return nil, component.Invalid("lease.address", "%s: its plugin cannot be reached from other plugins", l.Component)
	}
	conn, err := Dial(l.Address)
	if err != nil {
		return nil, fmt.Errorf("client: lease of %s: %w", l.Component, err)
	}
	return &Leased{conn, &instance{
		plugin: New(conn, l.Address, l.Token), id: l.Instance, name: l.Component, capabilities: l.Capabilities, lease: &l,
	}}, nil
}

// Task returns the instance as a task, which also is a task.ClosedLoop and a task.CustomLoss where its capabilities say so.
func (l *Leased) Task() task.Task { return newTask(l.i) }

// Dynamics returns the instance as a model's dynamics.
func (l *Leased) Dynamics(ctx context.Context) (model.Dynamics, error) { return newDynamics(ctx, l.i) }

// Close ends the connection.
func (l *Leased) Close() error { return l.conn.Close() }
