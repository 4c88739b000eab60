// Package plugintest holds the conformance suite of plugins: what the protocol and the SDK's interfaces promise, as a list of named checks that say what to mend.
//
// An author runs it in a test of their own, in this process and yet over the real boundary (a socket, and package client at its other end):
//
//	func TestConformance(t *testing.T) {
//		plugintest.Plugin(t, plugin(), plugintest.Options{Params: map[string]param.Values{"task/clicks": {"n_trials": 50}}})
//	}
//
// The host's `ctdb-host plugin check PATH` runs the same checks on an executable in whatever language, and some more on the process. Both call [Run].
//
// What a component needs is made here: a task in open and one in closed loop, recorded trials, a model with dynamics. They are small, and so should the component's
// parameters be: where none are given, known names (n_trials, epochs, hidden, ...) are set to small values as far as the component accepts them.
package plugintest
