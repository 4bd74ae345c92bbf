package step

import (
	"errors"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Report returns the lines that the console shows for what ended a body or a build: the message of an AbortException, the causes of
// an interruption, the class, message and places of anything else.
func Report(err error) []string {
	var e *value.Exception
	if !errors.As(err, &e) {
		return []string{"ERROR: " + err.Error()}
	}
	if e.Class == value.FlowInterrupted {
		if len(e.Causes) == 0 && e.Message != "" {
			return []string{e.Message}
		}
		return e.Causes
	}
	if value.IsA(e.Class, value.AbortException) {
		return []string{"ERROR: " + e.Message}
	}
	lines := []string{e.Class}
	if e.Message != "" {
		lines[0] += ": " + e.Message
	}
	for _, at := range e.Trace {
		lines = append(lines, "\tat "+at)
	}
	for c := e.Cause; c != nil; c = c.Cause {
		lines = append(lines, "Caused by: "+c.Class+": "+c.Message)
	}
	return lines
}

// ResultOf is the result that an uncaught error gives to what it ended: an interruption carries its own, all else is FAILURE.
// A nil error gives "".
func ResultOf(err error) build.Result {
	if err == nil {
		return ""
	}
	var e *value.Exception
	if errors.As(err, &e) && e.Class == value.FlowInterrupted {
		if r, err := build.ParseResult(e.Result); err == nil {
			return r
		}
		return build.Aborted
	}
	return build.Failure
}
