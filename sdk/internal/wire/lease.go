package wire

import (
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Lease says how to reach an instance in another plugin.
type Lease struct {
	// Address as gRPC names it; empty where the owner cannot be dialled.
	Address string
	// Instance within its plugin, and the methods that Token allows.
	Instance string
	Methods  []string
	Token    string
	// Component is the instance's component, for messages; Capabilities what it can do.
	Component    string
	Capabilities []component.Capability
}

// Can reports whether the instance has a capability.
func (l Lease) Can(c component.Capability) bool {
	return component.Info{Capabilities: l.Capabilities}.Can(c)
}

// ToLease returns the message of a lease.
func ToLease(l Lease) *pluginv1.Lease {
	return &pluginv1.Lease{
		Address: l.Address, Instance: l.Instance, Methods: l.Methods, Token: l.Token, Component: l.Component, Capabilities: FromCapabilities(l.Capabilities),
	}
}

// FromLease reads a lease. One without instance or token is an InvalidArgumentError.
func FromLease(m *pluginv1.Lease) (Lease, error) {
	l := Lease{
		Address: m.GetAddress(), Instance: m.GetInstance(), Methods: m.GetMethods(), Token: m.GetToken(), Component: m.GetComponent(),
		Capabilities: ToCapabilities(m.GetCapabilities()),
	}
	if l.Instance == "" || l.Token == "" {
		return l, component.Invalid("lease", "%s: a lease needs an instance and a token", l.Component)
	}
	return l, nil
}
