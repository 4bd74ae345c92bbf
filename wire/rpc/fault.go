package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/internal/fault"
)

// domain marks an ErrorInfo whose reason is a fault kind.
const domain = "outwork.build"

// maxErrorText bounds the text of an error that crosses the wire: it travels in HTTP/2 headers.
const maxErrorText = 4 << 10

// Code returns the gRPC code of a kind.
func Code(k fault.Kind) codes.Code {
	switch k {
	case fault.Invalid:
		return codes.InvalidArgument
	case fault.NotFound:
		return codes.NotFound
	case fault.Conflict:
		return codes.FailedPrecondition
	case fault.Stale:
		return codes.Aborted
	case fault.Unauthenticated:
		return codes.Unauthenticated
	case fault.Denied:
		return codes.PermissionDenied
	case fault.Unavailable:
		return codes.Unavailable
	case fault.Exhausted:
		return codes.ResourceExhausted
	case fault.Incompatible:
		return codes.Unimplemented
	case fault.Canceled:
		return codes.Canceled
	}
	return codes.Internal
}

// kindOf is the way back for statuses that carry no kind: those of gRPC itself and of foreign services.
func kindOf(c codes.Code) fault.Kind {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Invalid
	case codes.NotFound:
		return fault.NotFound
	case codes.FailedPrecondition, codes.AlreadyExists:
		return fault.Conflict
	case codes.Aborted:
		return fault.Stale
	case codes.Unauthenticated:
		return fault.Unauthenticated
	case codes.PermissionDenied:
		return fault.Denied
	case codes.Unavailable, codes.DeadlineExceeded:
		return fault.Unavailable
	case codes.ResourceExhausted:
		return fault.Exhausted
	case codes.Unimplemented:
		return fault.Incompatible
	case codes.Canceled:
		return fault.Canceled
	}
	return fault.Internal
}

// ToStatus turns an error into what a gRPC handler returns. A kind becomes a code and a detail; an error that already is a status
// and has no kind passes as it is; nil stays nil.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	kind := fault.Of(err)
	var own interface{ GRPCStatus() *status.Status }
	if kind == fault.Internal && errors.As(err, &own) {
		return own.GRPCStatus().Err()
	}
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	code := Code(kind)
	if kind == fault.Unavailable && errors.Is(err, context.DeadlineExceeded) {
		code = codes.DeadlineExceeded // so that it is context.DeadlineExceeded on the other side too
	}
	st := status.New(code, text)
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: kind.String()}); err == nil {
		st = with
	}
	return st.Err()
}

// FromStatus turns what a gRPC call returned into an error with a kind. The status stays reachable through status.FromError,
// context.Canceled and context.DeadlineExceeded through errors.Is; the text is the far side's. nil stays nil.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return fault.With(fault.Parse(info.GetReason()), &statusError{st})
		}
	}
	return fault.With(kindOf(st.Code()), &statusError{st})
}

// statusError reads as the message alone: "rpc error: code = …" tells a person nothing.
type statusError struct{ st *status.Status }

func (e *statusError) Error() string {
	if m := e.st.Message(); m != "" {
		return m
	}
	return fmt.Sprintf("failed with %s", e.st.Code())
}

func (e *statusError) GRPCStatus() *status.Status { return e.st }

func (e *statusError) Is(target error) bool {
	switch e.st.Code() {
	case codes.Canceled:
		return target == context.Canceled
	case codes.DeadlineExceeded:
		return target == context.DeadlineExceeded
	}
	return false
}
