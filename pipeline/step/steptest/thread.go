package steptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Args are the arguments of a call by parameter name.
type Args = map[string]value.Value

// Body is a closure of a test: the body of a block step.
type Body func(t *Thread, args ...value.Value) (value.Value, error)

// Arity implements value.Callable.
func (Body) Arity() int { return -1 }

// Thread implements step.Thread. Like the real one it is used by one goroutine at a time.
type Thread struct {
	w       *World
	ctx     context.Context // ended by interruptions
	path    string
	seq     *int
	at      step.Address
	scope   *step.Scope
	printed map[step.Address]int // lines, to number the prints of an address
}

// Thread starts the program at its top: the sequence of addresses begins again.
func (w *World) Thread() *Thread {
	return &Thread{w: w, ctx: context.Background(), seq: new(int), at: "0", scope: &step.Scope{}, printed: map[step.Address]int{}}
}

// Interrupt returns a thread like t whose effects end with e when cancel is called, as an abort does.
func (t *Thread) Interrupt() (*Thread, func(e *value.Exception)) {
	c := *t
	ctx, cancel := context.WithCancelCause(t.ctx)
	c.ctx = ctx
	return &c, func(e *value.Exception) { cancel(e) }
}

// Scoped returns a thread like t in a scope changed by set.
func (t *Thread) Scoped(set func(*step.Scope)) *Thread {
	c := *t
	c.scope = copyScope(t.scope)
	set(c.scope)
	return &c
}

// OnNode returns a thread like t on an executor of the named node, its lease open on the machine.
func (w *World) OnNode(t *Thread, name string) *Thread {
	n, err := w.node(context.Background(), name, "node/"+name, step.Request{})
	if err != nil {
		w.tb.Fatalf("open a lease on %s: %v", name, err)
	}
	return t.Scoped(func(s *step.Scope) { s.Node = n })
}

// Step calls a step as the interpreter does: arguments get their defaults, the [Pipeline] lines are printed, the address
// grows by one. Unknown, missing and wrongly typed arguments fail the test.
func (t *Thread) Step(s step.Step, args Args, body Body) (value.Value, error) {
	spec := s.Spec()
	c := &step.Call{Args: t.check(spec, args)}
	if body != nil {
		c.Body = body
	}
	*t.seq++
	outer := t.at
	t.at = step.Address(fmt.Sprintf("%s%d", t.path, *t.seq))
	defer func() { t.at = outer }()
	if !spec.Quiet {
		t.Print("[Pipeline] " + spec.Name)
	}
	if spec.NeedsNode && t.scope.Node == nil {
		return nil, &value.Exception{Class: "org.jenkinsci.plugins.workflow.steps.MissingContextVariableException", Message: "Required context class hudson.FilePath is missing"}
	}
	v, err := s.Run(t, c)
	if body != nil && !spec.Quiet {
		t.Print("[Pipeline] // " + spec.Name)
	}
	return v, err
}

func (t *Thread) check(spec step.Spec, args Args) Args {
	out, known := Args{}, map[string]bool{}
	for _, p := range spec.Params {
		known[p.Name] = true
		v, ok := args[p.Name]
		switch {
		case ok:
			out[p.Name] = v
		case p.Required:
			t.w.tb.Fatalf("step %s: missing required parameter %q", spec.Name, p.Name)
		case p.Default != nil:
			out[p.Name] = p.Default
		}
		if n, isInt := out[p.Name].(int); isInt {
			out[p.Name] = int64(n)
		}
	}
	if v, ok := args[spec.Rest]; ok && spec.Rest != "" {
		known[spec.Rest], out[spec.Rest] = true, v
	}
	for name := range args {
		if !known[name] {
			t.w.tb.Fatalf("step %s: unknown parameter %q", spec.Name, name)
		}
	}
	return out
}

// Do implements step.Thread.
func (t *Thread) Do(e step.Effect) (json.RawMessage, error) {
	w, a := t.w, t.at
	if e.Key != "" {
		a += step.Address(":" + e.Key)
	}
	key := string(a) + "|" + e.Name + "|" + e.Key
	w.mu.Lock()
	if i, ok := w.index[key]; ok {
		done := w.journal[i]
		w.mu.Unlock()
		return done.answer()
	}
	w.started[key]++
	w.mu.Unlock()

	v, err := t.perform(e, a)
	done := entry{Key: key}
	var exc *value.Exception
	switch {
	case errors.As(err, &exc):
		done.Exc = exc
	case err != nil:
		done.Err = err.Error()
	default:
		if done.Value, err = json.Marshal(v); err != nil {
			w.tb.Errorf("effect %s: its value cannot be journalled: %v", key, err)
		}
	}
	w.mu.Lock()
	w.index[key] = len(w.journal)
	w.journal = append(w.journal, done)
	w.mu.Unlock()
	if e.Forget != nil {
		e.Forget(context.WithoutCancel(t.ctx), a)
	}
	return done.answer()
}

// perform gives the baton away while the effect runs.
func (t *Thread) perform(e step.Effect, a step.Address) (any, error) {
	if t.ctx.Err() != nil {
		return nil, context.Cause(t.ctx)
	}
	if t.path != "" {
		t.w.baton.Unlock()
		defer t.w.baton.Lock()
	}
	return e.Run(t.ctx, a)
}

func (e entry) answer() (json.RawMessage, error) {
	switch {
	case e.Exc != nil:
		return nil, e.Exc
	case e.Err != "":
		return nil, errors.New(e.Err)
	}
	return e.Value, nil
}

// Call implements step.Thread; c must be a Body.
func (t *Thread) Call(c value.Callable, args ...value.Value) (value.Value, error) {
	b, ok := c.(Body)
	if !ok {
		return nil, fmt.Errorf("steptest: cannot call a %T", c)
	}
	return b(t, args...)
}

// Parallel implements step.Thread.
func (t *Thread) Parallel(branches []step.Branch, failFast bool) ([]step.Outcome, error) {
	out := make([]step.Outcome, len(branches))
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	top := t.path == ""
	if !top {
		t.w.baton.Unlock()
		defer t.w.baton.Lock()
	}
	var wg sync.WaitGroup
	for i, b := range branches {
		wg.Go(func() {
			t.w.baton.Lock()
			defer t.w.baton.Unlock()
			c := &Thread{w: t.w, ctx: ctx, path: fmt.Sprintf("%s/b:%s/", strings.TrimSuffix(string(t.at), "/"), b.Name), seq: new(int), scope: t.scope, printed: map[step.Address]int{}}
			c.at = step.Address(c.path + "0")
			out[i].Value, out[i].Err = b.Body(c)
			if out[i].Err != nil && failFast {
				cancel(&value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Failed in branch " + b.Name}})
			}
		})
	}
	wg.Wait()
	return out, nil
}

type interrupter func(error)

func (f interrupter) Interrupt(e *value.Exception) { f(e) }

// Interruptible implements step.Thread.
func (t *Thread) Interruptible(body func(step.Interrupter) (value.Value, error)) (value.Value, error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	outer := t.ctx
	t.ctx = ctx
	defer func() { t.ctx = outer }()
	return body(interrupter(cancel))
}

// With implements step.Thread.
func (t *Thread) With(set func(*step.Scope), body func() (value.Value, error)) (value.Value, error) {
	outer := t.scope
	t.scope = copyScope(outer)
	defer func() { t.scope = outer }()
	set(t.scope)
	return body()
}

func copyScope(s *step.Scope) *step.Scope {
	c := *s
	c.Env = append([]string(nil), s.Env...)
	c.Values = maps.Clone(s.Values)
	if c.Values == nil {
		c.Values = map[string]any{}
	}
	return &c
}

// Scope implements step.Thread.
func (t *Thread) Scope() *step.Scope { return t.scope }

// Block implements step.Thread.
func (t *Thread) Block(label string, body func() (value.Value, error)) (value.Value, error) {
	if label != "" {
		label = " (" + label + ")"
	}
	t.Print("[Pipeline] {" + label)
	v, err := body()
	t.Print("[Pipeline] }")
	return v, err
}

// Print implements step.Thread. Lines are numbered by address, so that a replay prints each once.
func (t *Thread) Print(line string) {
	t.printed[t.at]++
	key := fmt.Sprintf("print %s %d", t.at, t.printed[t.at])
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.w.marks[key] == 0 {
		t.w.marks[key] = 1
		t.w.lines = append(t.w.lines, line+"\n"...)
	}
}

// Address and Run implement step.Thread.
func (t *Thread) Address() step.Address { return t.at }
func (t *Thread) Run() step.Run         { return t.w }
