package interp

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// maxBranchName bounds a branch's name in addresses, which become names of steps on agents.
const maxBranchName = 60

// Parallel implements step.Thread.
func (t *Thread) Parallel(branches []step.Branch, failFast bool) ([]step.Outcome, error) {
	if f := t.p.fatal.Load(); f != nil {
		return nil, f
	}
	if ex := t.takeInterrupt(); ex != nil {
		return nil, ex
	}
	t.flush()
	together := &body{p: t.p, id: t.place(".", "branches"), depth: len(t.bodies) + 1}
	outcomes := make([]step.Outcome, len(branches))
	t.branches = len(branches)
	t.left = nil
	for i, b := range branches {
		child := t.p.spawn(t, t.place("/", "b:"+branchName(b.Name)), together)
		child.begin(func() error {
			v, err := b.Body(child)
			outcomes[i] = step.Outcome{Value: v, Err: err}
			if err != nil && failFast {
				together.fire(failedIn(b.Name))
			}
			return err
		})
	}
	if t.branches > 0 {
		t.pause()
	}
	for _, in := range t.left { // an interruption that no branch had an effect for is this thread's again
		if !in.taken && slices.Contains(t.bodies, in.b) {
			t.pending = append(t.pending, in)
			in.taken = true
		}
	}
	t.left = nil
	if f := t.p.fatal.Load(); f != nil {
		return outcomes, f
	}
	return outcomes, nil
}

func failedIn(branch string) *value.Exception {
	return &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Failed in branch " + branch}}
}

// branchName is the name as it stands in addresses: without slashes, and short.
func branchName(name string) string {
	s := strings.NewReplacer("%", "%25", "/", "%2F", "#", "%23").Replace(name)
	if len(s) <= maxBranchName {
		return s
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(s[:maxBranchName-9], "") + "~" + hex.EncodeToString(sum[:4])
}

// spawn makes a thread that is not yet ready. parent is nil for the main one.
func (p *Program) spawn(parent *Thread, path step.Address, together *body) *Thread {
	t := &Thread{p: p, path: path, parent: parent, wake: make(chan struct{})}
	t.scope = &step.Scope{}
	t.bodies = []*body{p.root}
	if parent != nil {
		t.scope = parent.scope
		t.bodies = append(parent.bodies[:len(parent.bodies):len(parent.bodies)], together)
		t.names, t.at, t.here = parent.names, parent.at, parent.here
	}
	p.threads = append(p.threads, t)
	return t
}

// begin makes the thread ready to run f.
func (t *Thread) begin(f func() error) {
	go func() {
		<-t.wake
		if err := t.guard(f); err != nil {
			t.p.log.Debug("thread ended", "path", string(t.path), "err", err)
		}
		t.end()
	}()
	t.p.ready = append(t.p.ready, t)
}

// guard turns a panic of the interpreter into the program's end: one hostile script must not end the controller.
func (t *Thread) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			t.p.log.Error("interpreter panicked", "path", string(t.path), "panic", r, "stack", string(debug.Stack()))
			cause, ok := r.(error)
			if !ok {
				cause = fmt.Errorf("%v", r)
			}
			err = fmt.Errorf("interpreter: internal error: %w", cause)
			t.p.die(err)
		}
	}()
	return f()
}

// end gives the baton away for good.
func (t *Thread) end() {
	p := t.p
	t.flush()
	t.closeStream()
	p.threads = slices.DeleteFunc(p.threads, func(o *Thread) bool { return o == t })
	if up := t.parent; up != nil {
		up.left = append(up.left, t.pending...)
		if up.branches--; up.branches == 0 {
			p.ready = append(p.ready, up)
		}
	}
	p.yield <- struct{}{}
}

// pause gives the baton away until the scheduler gives it back.
func (t *Thread) pause() {
	t.flush()
	t.p.yield <- struct{}{}
	<-t.wake
}

// settle ends the effect a thread waits for and makes the thread ready.
func (t *Thread) settle(raw []byte, err error) {
	delete(t.p.effects, t.eff.address)
	t.eff.cancel(nil)
	t.eff = nil
	t.result, t.err = raw, err
	t.p.ready = append(t.p.ready, t)
}

// isFatal reports an error that no script can catch and no step may swallow.
func isFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f)
}
