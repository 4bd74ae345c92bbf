// Package fault is the closed set of error kinds that cross Outwork's borders.
//
// An error gets a kind once, where it is first understood, and keeps it through every wrapping layer. The kind becomes a
// gRPC code in wire/rpc, an HTTP status in server/rest and an exit code in cmd/outwork/cli, each in one place. Errors
// without a kind are Internal. All functions may be called concurrently.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is, for programs. The zero value is Internal.
type Kind uint8

const (
	// Internal is a fault of Outwork itself; the user can do nothing but report it.
	Internal Kind = iota
	// Invalid is bad input: the message says what was wrong, where, and what to do.
	Invalid
	// NotFound is a name that nothing has.
	NotFound
	// Conflict is a request that the present state does not allow (exists already, is running, is finished).
	Conflict
	// Stale is a write with an old epoch. It changed nothing. The caller has lost its lease and must stop.
	Stale
	// Unauthenticated is a missing, wrong or expired credential.
	Unauthenticated
	// Denied is a known caller that may not do this.
	Denied
	// Unavailable is a part that cannot be reached now; the same call may succeed later.
	Unavailable
	// Exhausted is a limit that was reached: queue, quota, disk.
	Exhausted
	// Incompatible is a peer or a data folder of a version outside the compatibility window.
	Incompatible
	// Canceled is work that its caller gave up.
	Canceled
)

var names = [...]string{"internal", "invalid", "not-found", "conflict", "stale", "unauthenticated", "denied", "unavailable", "exhausted", "incompatible", "canceled"}

// String returns the kind's stable lower-case name, as it stands in JSON error bodies.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Parse is the inverse of String; an unknown name is Internal.
func Parse(name string) Kind {
	for i, n := range names {
		if n == name {
			return Kind(i)
		}
	}
	return Internal
}

type kinded struct {
	kind Kind
	err  error
}

func (e *kinded) Error() string { return e.err.Error() }
func (e *kinded) Unwrap() error { return e.err }

// New returns an error of the given kind. The format follows fmt.Errorf, %w included.
func New(k Kind, format string, args ...any) error {
	return &kinded{k, fmt.Errorf(format, args...)}
}

// With gives err a kind, keeping its text. A nil err stays nil.
func With(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kinded{k, err}
}

// Of returns the outermost kind of err: Canceled for a bare context.Canceled, Unavailable for a bare
// context.DeadlineExceeded, Internal for anything that was never given one (nil included).
func Of(err error) Kind {
	var k *kinded
	switch {
	case errors.As(err, &k):
		return k.kind
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// Is reports whether err is of kind k.
func Is(err error, k Kind) bool { return err != nil && Of(err) == k }
