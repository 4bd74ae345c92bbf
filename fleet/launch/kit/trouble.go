package kit

import (
	"errors"
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// trouble is an error that knows what to do about it.
type trouble struct {
	err  error
	hint string
}

func (t *trouble) Error() string { return t.err.Error() + "; " + t.hint }
func (t *trouble) Unwrap() error { return t.err }

// Trouble makes an error of a kind with a hint: what to do. The format follows fmt.Errorf.
func Trouble(k fault.Kind, hint, format string, args ...any) error {
	return fault.With(k, &trouble{fmt.Errorf(format, args...), hint})
}

// Tell splits an error into what was found and what to do, "" when it does not say.
func Tell(err error) (text, hint string) {
	if t := (*trouble)(nil); errors.As(err, &t) {
		return t.err.Error(), t.hint
	}
	return err.Error(), ""
}
