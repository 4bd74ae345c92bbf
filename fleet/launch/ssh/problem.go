package ssh

import (
	"errors"
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// problem is an error that knows what to do about it.
type problem struct {
	err  error
	hint string
}

func (p *problem) Error() string { return p.err.Error() + "; " + p.hint }
func (p *problem) Unwrap() error { return p.err }

// trouble makes an error of a kind with a hint. The format follows fmt.Errorf.
func trouble(k fault.Kind, hint, format string, args ...any) error {
	return fault.With(k, &problem{fmt.Errorf(format, args...), hint})
}

// tell splits an error into what was found and what to do.
func tell(err error) (text, hint string) {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p.err.Error(), p.hint
	}
	return err.Error(), ""
}
