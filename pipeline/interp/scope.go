package interp

import (
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// env is one scope of local variables. Closures keep the scopes around them.
type env struct {
	parent *env
	f      *frame
	names  []string
	vals   []value.Value
	types  []*jenkinsfile.TypeRef // nil, or one for each name: what is assigned is converted to it
}

// frame is one call of a method or closure, or the body of a script.
type frame struct {
	script  *script
	this    value.Value // the script or an instance; nil in a static method
	class   *class      // whose code it is; nil in a script
	closure *Closure    // whose code it is, the innermost; nil in a method
}

func newEnv(parent *env, f *frame) *env { return &env{parent: parent, f: f} }

func (e *env) declare(name string, typ *jenkinsfile.TypeRef, v value.Value) {
	for i, n := range e.names {
		if n == name {
			e.vals[i] = v
			return
		}
	}
	e.names, e.vals = append(e.names, name), append(e.vals, v)
	if typ != nil || e.types != nil {
		for len(e.types) < len(e.names) {
			e.types = append(e.types, nil)
		}
		e.types[len(e.names)-1] = typ
	}
}

// find returns the scope and the slot of a variable, nil when no scope has it.
func (e *env) find(name string) (*env, int) {
	for ; e != nil; e = e.parent {
		for i := len(e.names) - 1; i >= 0; i-- {
			if e.names[i] == name {
				return e, i
			}
		}
	}
	return nil, 0
}

func (e *env) typeAt(i int) *jenkinsfile.TypeRef {
	if i < len(e.types) {
		return e.types[i]
	}
	return nil
}

// Closure is a closure, a method pointer or a function of the interpreter's own.
type Closure struct {
	params   []*jenkinsfile.Param
	implicit bool // no arrow: `it`
	body     *jenkinsfile.Block
	env      *env
	delegate value.Value
	// given says that delegate was set; otherwise it is the owner.
	given    bool
	strategy int64
	curried  []value.Value
	rcurried []value.Value
	native   func(t *Thread, args []value.Value) (value.Value, error)
	arity    int  // of native
	stands   bool // for an interface: every method is a call of it
}

// Resolve strategies, as groovy.lang.Closure numbers them.
const (
	ownerFirst    = 0
	delegateFirst = 1
	ownerOnly     = 2
	delegateOnly  = 3
	toSelf        = 4
)

// Arity implements value.Callable.
func (c *Closure) Arity() int {
	n := c.arity
	if c.native == nil {
		if n = len(c.params); c.implicit {
			n = 1
		}
	}
	if n > 0 {
		n = max(n-len(c.curried)-len(c.rcurried), 0)
	}
	return n
}

// Func makes a Callable of a Go function, to pass to Thread.Call or as a step's body. arity -1 takes any number of arguments.
func Func(arity int, f func(t *Thread, args []value.Value) (value.Value, error)) value.Callable {
	return &Closure{native: f, arity: arity}
}

// Text implements value.Stringer.
func (c *Closure) Text() string { return "WorkflowScript$_run_closure1@1" }

// owner is the closure or object around a closure.
func (c *Closure) owner() value.Value {
	if c.env == nil {
		return nil
	}
	if c.env.f.closure != nil {
		return c.env.f.closure
	}
	return c.env.f.self()
}

// self is this, or the class in a static method.
func (f *frame) self() value.Value {
	if f.this == nil && f.class != nil {
		return &value.Class{Name: f.class.name}
	}
	return f.this
}
