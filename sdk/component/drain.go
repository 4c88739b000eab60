package component

import "context"

type drainKey struct{}

// WithDrain returns a context from which [Draining] returns the given channel. Package serve calls it for every call on an instance.
func WithDrain(ctx context.Context, draining <-chan struct{}) context.Context {
	return context.WithValue(ctx, drainKey{}, draining)
}

// Draining returns a channel that is closed when the plugin is asked to come to an end: a long call may then finish what it is at, take a checkpoint and return
// an error that wraps ErrUnavailable. One that takes no notice is cancelled through its context a little later. Nil, which never
// is ready, where nobody can ask.
func Draining(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return c
}
