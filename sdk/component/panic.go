package component

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that became an error: on a goroutine of a component's own it would end the whole process. The stack is for the plugin's log, where the server of a call that
// fails with one writes it.
type PanicError struct {
	Value string
	Stack []byte
}

// Error is the panic's own message.
func (e *PanicError) Error() string { return "panic: " + e.Value }

// Recover makes a panic a [*PanicError] of the function that defers it. To be deferred itself: defer component.Recover(&err).
func Recover(err *error) {
	if p := recover(); p != nil {
		*err = &PanicError{fmt.Sprint(p), debug.Stack()}
	}
}
