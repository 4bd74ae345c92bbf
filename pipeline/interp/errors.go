package interp

import (
	"errors"
	"fmt"

	"github.com/outwork-build/outwork/pipeline/step"
)

// ErrStopped ends a program whose context ended: it can be resumed. It is also the cause of the effects' contexts then: an
// effect leaves what it started running, to be attached to again.
var ErrStopped = errors.New("the program was stopped before its end; it can be resumed")

// Diverged says that a program did other things on replay than its journal tells.
type Diverged struct {
	Address          step.Address
	Journal, Program string // name and hash, or what is missing, on either side
}

func (d *Diverged) Error() string {
	return fmt.Sprintf("non-deterministic pipeline, cannot resume: at %s the journal has %s, the program now has %s", d.Address, d.Journal, d.Program)
}

// LimitError ends a script that used more than its Limits. It cannot be caught by the script.
type LimitError struct {
	What string // "steps", "bytes"
	Max  int64
	At   string // "WorkflowScript:12"
}

func (l *LimitError) Error() string {
	return fmt.Sprintf("the pipeline used more than its limit of %d %s (at %s)", l.Max, l.What, l.At)
}
