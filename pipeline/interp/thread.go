package interp

import (
	"context"
	"encoding/json"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Program is one run of a script.
type Program struct{}

// New checks the configuration. Nothing runs before Run.
func New(c Config) (*Program, error) { panic("not built") }

// Run evaluates the program to its end. The error is nil; the *value.Exception that nobody caught; ErrStopped when ctx ended
// first (nothing was journalled after that, and the program can be resumed); a *Diverged when the journal does not fit the
// program; a *LimitError; or the farm's own failure. It returns when every goroutine it started has ended.
func (p *Program) Run(ctx context.Context) error { panic("not built") }

// Abort interrupts all that runs, once; finally and post blocks run afterwards. A second call ends the program at once, with
// e as Run's error. From any goroutine.
func (p *Program) Abort(e *value.Exception) { panic("not built") }

// Current is the thread that holds the baton: for the code of Objects, which have no thread of their own.
func (p *Program) Current() *Thread { panic("not built") }

// Thread is one line of execution.
type Thread struct{}

func (t *Thread) Do(e step.Effect) (json.RawMessage, error) { panic("not built") }
func (t *Thread) Call(c value.Callable, args ...value.Value) (value.Value, error) {
	panic("not built")
}
func (t *Thread) Parallel(branches []step.Branch, failFast bool) ([]step.Outcome, error) {
	panic("not built")
}
func (t *Thread) Interruptible(body func(step.Interrupter) (value.Value, error)) (value.Value, error) {
	panic("not built")
}
func (t *Thread) With(set func(*step.Scope), body func() (value.Value, error)) (value.Value, error) {
	panic("not built")
}
func (t *Thread) Scope() *step.Scope { panic("not built") }
func (t *Thread) Block(label string, body func() (value.Value, error)) (value.Value, error) {
	panic("not built")
}
func (t *Thread) Print(line string)     { panic("not built") }
func (t *Thread) Address() step.Address { panic("not built") }
func (t *Thread) Run() step.Run         { panic("not built") }

// Program is the run this thread is part of.
func (t *Thread) Program() *Program { panic("not built") }

// Eval evaluates an expression of the file where the thread stands: with the local variables around the Form's call. names, when
// not nil, answers names for the time of this evaluation, for the closures called in it too.
func (t *Thread) Eval(x jenkinsfile.Expr, names Lookup) (value.Value, error) { panic("not built") }

// Exec runs a block in a scope of its own; its value is that of a return or of the last statement.
func (t *Thread) Exec(b *jenkinsfile.Block, names Lookup) (value.Value, error) { panic("not built") }

// Names answers names from lookup while body runs, in the threads it starts too.
func (t *Thread) Names(lookup Lookup, body func() (value.Value, error)) (value.Value, error) {
	panic("not built")
}

// CallStep calls a step as the script would: its "[Pipeline] name" line, its own address, its arguments checked. body is nil for
// a step without one.
func (t *Thread) CallStep(name string, args map[string]value.Value, body func() (value.Value, error)) (value.Value, error) {
	panic("not built")
}

// Framed runs body as the call of a block step that has no Step behind it: it takes an address and prints "[Pipeline] name"
// before and "[Pipeline] // name" after. Block prints the braces.
func (t *Thread) Framed(name string, body func() (value.Value, error)) (value.Value, error) {
	panic("not built")
}

// Load evaluates another script in the same binding (the `load` step) and returns the value of its last statement; `this` in it
// is an Object with the script's methods.
func (t *Thread) Load(f *jenkinsfile.File) (value.Value, error) { panic("not built") }

// Env is the value of an environment variable as the script sees it now: scope over env.X = … over Run.Base.
func (t *Thread) Env(name string) (string, bool) { panic("not built") }

// SetEnv is `env.name = value`.
func (t *Thread) SetEnv(name, value string) { panic("not built") }

// Func makes a Callable of a Go function, to pass to Thread.Call or as a step's body.
func Func(arity int, f func(t *Thread, args []value.Value) (value.Value, error)) value.Callable {
	panic("not built")
}
