// Package value holds the values of a running pipeline, as Groovy has them.
//
// A Value is one of: nil, bool, int64 (Groovy's int and long alike; see Long), *big.Int, *Decimal, float64, string, *GString,
// *List, *Map, *Range, *Regex, *Matcher, *Exception, Callable, Object. Lists and maps are shared by reference and keep the
// order of insertion, so that a program is evaluated the same way each time. Values belong to the program's baton holder:
// nothing here may be used concurrently.
package value

import "slices"

// Value is any value of a program.
type Value any

// Callable is something that can be called with arguments: a closure, a method, a method pointer.
// Only an interpreter makes them; steps pass them back to Thread.Call.
type Callable interface {
	// Arity is the number of parameters; -1 when any number will do.
	Arity() int
}

// Object is a value with properties and methods of its own: env, params, currentBuild, scm, an instance of a class.
type Object interface {
	// TypeName is the class name that messages show: "java.util.Date".
	TypeName() string
	// Property answers a property's value; ok false means that there is none of this name.
	Property(name string) (v Value, ok bool, err error)
	// SetProperty fails with a *Exception when the property cannot be set.
	SetProperty(name string, v Value) error
	// Invoke calls a method; ok false means that there is none of this name.
	Invoke(name string, args []Value) (v Value, ok bool, err error)
}

// Exception is a thrown value. It is an error, so that steps can return one. Class is a Java class name: a catch clause
// matches it by full or simple name or by any of its superclasses (see Classes).
type Exception struct {
	Class   string // "hudson.AbortException", FlowInterrupted, "java.lang.RuntimeException", …
	Message string
	Cause   *Exception
	// Result is set for an interruption: ABORTED, or what the interrupter asked for.
	Result string
	// Causes are an interruption's causes in words: "Aborted by alice", "Timeout has been exceeded".
	Causes []string
	// Tags carry what retry(conditions:) asks about: "agent" (the agent was lost), "nonresumable".
	Tags []string
	// Suppressed are the other branches' failures.
	Suppressed []*Exception
	// Trace is where in the pipeline's text it was thrown: "WorkflowScript:12".
	Trace []string
	// Payload is the object behind a script-defined exception class; nil otherwise.
	Payload Object
}

// Spent is the tag of an interruption that has left the block it was meant for: a timeout that ended its own body. Out there
// it is a failure like others: it is tried again, and caught.
const Spent = "spent"

// Interrupts reports whether e is an interruption that is still on its way out of what it was to end.
func (e *Exception) Interrupts() bool {
	return e.Class == FlowInterrupted && !slices.Contains(e.Tags, Spent)
}

// The classes that steps throw.
const (
	AbortException  = "hudson.AbortException"
	FlowInterrupted = "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException"
)

// Error returns the message, or the class when there is none.
func (e *Exception) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Message
}

// Abort returns the exception of a step that failed in a way its user understands: no stack trace is shown for it.
func Abort(message string) *Exception { return &Exception{Class: AbortException, Message: message} }
