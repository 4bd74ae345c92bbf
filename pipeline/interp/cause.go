package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// cause is one reason of an interruption, as FlowInterruptedException.causes lists them.
type cause string

// TypeName implements value.Object: the class is known by the words.
func (c cause) TypeName() string {
	switch {
	case c == "Timeout has been exceeded":
		return "org.jenkinsci.plugins.workflow.steps.TimeoutStepExecution$ExceededTimeout"
	case strings.HasPrefix(string(c), "Aborted by "):
		return "jenkins.model.CauseOfInterruption$UserInterruption"
	case strings.HasPrefix(string(c), "Failed in branch "):
		return "org.jenkinsci.plugins.workflow.cps.steps.ParallelStep$FailFastCause"
	}
	return "jenkins.model.CauseOfInterruption"
}

// Property implements value.Object.
func (c cause) Property(name string) (value.Value, bool, error) {
	switch name {
	case "shortDescription":
		return string(c), true, nil
	case "user", "userId":
		if by, ok := strings.CutPrefix(string(c), "Aborted by "); ok {
			return by, true, nil
		}
	}
	return nil, false, nil
}

// SetProperty implements value.Object: a cause cannot be changed.
func (c cause) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.ReadOnlyPropertyException", Message: "Cannot set readonly property: " + name + " for class: " + c.TypeName()}
}

// Invoke implements value.Object.
func (c cause) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	rest, ok := strings.CutPrefix(name, "get")
	switch {
	case len(args) > 0:
	case name == "toString":
		return c.TypeName() + ": " + string(c), true, nil
	case ok && rest != "":
		return c.Property(strings.ToLower(rest[:1]) + rest[1:])
	}
	return nil, false, nil
}
