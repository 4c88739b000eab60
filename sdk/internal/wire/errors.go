package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// A status travels in an HTTP/2 header, which peers limit to 8 KiB in all, base64 included.
const (
	messageLimit = 1024
	problemLimit = 3072
	hintLimit    = 512 // it may name a file
)

// kinds relates the errors that are told apart by a sentinel to the kind and the status code that carry them.
var kinds = []struct {
	is   error
	kind pluginv1.FailureKind
	code codes.Code
}{
	{component.ErrInvalidArgument, pluginv1.FailureKind_FAILURE_KIND_INVALID_ARGUMENT, codes.InvalidArgument},
	{component.ErrDiverged, pluginv1.FailureKind_FAILURE_KIND_DIVERGED, codes.Aborted},
	{component.ErrNotFound, pluginv1.FailureKind_FAILURE_KIND_NOT_FOUND, codes.NotFound},
	{component.ErrUnavailable, pluginv1.FailureKind_FAILURE_KIND_UNAVAILABLE, codes.Unavailable},
	{component.ErrUnsupported, pluginv1.FailureKind_FAILURE_KIND_UNSUPPORTED, codes.Unimplemented},
	{component.ErrChecksum, pluginv1.FailureKind_FAILURE_KIND_CHECKSUM, codes.DataLoss},
	{tensor.ErrShape, pluginv1.FailureKind_FAILURE_KIND_SHAPE, codes.FailedPrecondition},
}

// ToStatus returns the gRPC error that carries err, which a component of that name has returned. Nil stays nil.
func ToStatus(err error, name string) error {
	if err == nil {
		return nil
	}
	text := cut(err.Error(), messageLimit)
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, text)
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, text)
	}
	f := &pluginv1.Failure{Kind: pluginv1.FailureKind_FAILURE_KIND_INTERNAL, Component: name, Message: text}
	code := codes.Internal
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			f.Kind, code = k.kind, k.code
			break
		}
	}
	var invalid *component.InvalidArgumentError
	var diverged *component.DivergedError
	var internal *component.InternalError
	switch {
	case errors.As(err, &invalid):
		f.Problems = cutProblems(invalid.Problems)
	case errors.As(err, &diverged):
		f.Diverged = &pluginv1.Diverged{Step: diverged.Step, Quantity: cut(diverged.Quantity, 256), Value: diverged.Value, Hint: cut(diverged.Hint, hintLimit)}
	case code == codes.Internal && errors.As(err, &internal):
		if direct, ok := err.(*component.InternalError); ok {
			f.Component, f.Message = direct.Component, cut(direct.Message, messageLimit)
		}
	case code == codes.Internal:
		if s, ok := status.FromError(err); ok {
			// An error of the transport itself, e.g. of a peer that has hung up.
			return s.Err()
		}
	}
	s, detailErr := status.New(code, cut(text, 256)).WithDetails(f)
	if detailErr != nil {
		return status.Error(code, text)
	}
	return s.Err()
}

// FromStatus returns the typed error that a gRPC error carries. Nil and io.EOF stay themselves, and so does what is not a gRPC error.
func FromStatus(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, d := range s.Details() {
		if f, ok := d.(*pluginv1.Failure); ok {
			if typed := fromFailure(f); typed != nil {
				return typed
			}
		}
	}
	message := Clean(s.Message())
	switch s.Code() {
	case codes.Canceled:
		return &remoteError{message, context.Canceled}
	case codes.DeadlineExceeded:
		return &remoteError{message, context.DeadlineExceeded}
	case codes.InvalidArgument:
		return &component.InvalidArgumentError{Problems: []param.Problem{{Message: message}}}
	}
	for _, k := range kinds {
		// FAILED_PRECONDITION alone does not say that it is about a shape.
		if k.code == s.Code() && k.is != tensor.ErrShape {
			return &remoteError{fmt.Sprintf("%v: %s", k.is, message), k.is}
		}
	}
	return &component.InternalError{Component: "plugin", Message: fmt.Sprintf("%s: %s", s.Code(), message)}
}

func fromFailure(f *pluginv1.Failure) error {
	switch f.GetKind() {
	case pluginv1.FailureKind_FAILURE_KIND_INVALID_ARGUMENT:
		if len(f.GetProblems()) > 0 {
			return &component.InvalidArgumentError{Problems: FromProblems(f.GetProblems())}
		}
	case pluginv1.FailureKind_FAILURE_KIND_DIVERGED:
		if d := f.GetDiverged(); d != nil {
			return &component.DivergedError{Step: d.GetStep(), Quantity: Clean(d.GetQuantity()), Value: d.GetValue(), Hint: Clean(d.GetHint())}
		}
	case pluginv1.FailureKind_FAILURE_KIND_INTERNAL:
		return &component.InternalError{Component: line(f.GetComponent()), Message: Clean(f.GetMessage())}
	}
	for _, k := range kinds {
		if k.kind == f.GetKind() {
			return &remoteError{Clean(f.GetMessage()), k.is}
		}
	}
	return nil
}

// remoteError has the message of the other end and is one of the sentinels.
type remoteError struct {
	message string
	is      error
}

func (e *remoteError) Error() string { return e.message }

func (e *remoteError) Unwrap() error { return e.is }

// ToProblems returns the messages of problems.
func ToProblems(problems []param.Problem) []*pluginv1.Problem {
	out := make([]*pluginv1.Problem, len(problems))
	for i, p := range problems {
		out[i] = &pluginv1.Problem{Path: p.Path, Message: p.Message, Hint: p.Hint}
	}
	return out
}

// FromProblems reads the messages of problems; nil for none.
func FromProblems(problems []*pluginv1.Problem) []param.Problem {
	var out []param.Problem
	for _, p := range problems {
		out = append(out, param.Problem{Path: line(p.GetPath()), Message: Clean(p.GetMessage()), Hint: Clean(p.GetHint())})
	}
	return out
}

func cutProblems(problems []param.Problem) []*pluginv1.Problem {
	var out []*pluginv1.Problem
	size := 0
	for i, p := range problems {
		p = param.Problem{Path: cut(p.Path, 256), Message: cut(p.Message, 512), Hint: cut(p.Hint, 256)}
		size += len(p.Path) + len(p.Message) + len(p.Hint) + 12
		if size > problemLimit {
			return append(out, &pluginv1.Problem{Message: fmt.Sprintf("and %d more", len(problems)-i)})
		}
		out = append(out, ToProblems([]param.Problem{p})...)
	}
	return out
}

// cut shortens s to n bytes at most, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "..."
	end := n - len(mark)
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + mark
}
