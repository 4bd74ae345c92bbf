package flow

import (
	"errors"
	"fmt"
	"sort"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Parallel is `parallel(a: { … }, b: { … }, failFast: true)`. Its value is a map from the branches' names to their values.
type Parallel struct{}

// Spec implements step.Step.
func (Parallel) Spec() step.Spec {
	return step.Spec{Name: "parallel", Rest: "branches", Doc: "branches that run at the same time",
		Params: []step.Param{{Name: "failFast", Type: step.Boolean, Default: false}}}
}

// Run implements step.Step.
func (Parallel) Run(t step.Thread, c *step.Call) (value.Value, error) {
	var branches []step.Branch
	if m, ok := c.Args["branches"].(*value.Map); ok {
		for k, v := range m.All() {
			name, _ := value.Text(k)
			body, ok := v.(value.Callable)
			if !ok {
				return nil, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: fmt.Sprintf("Expected a closure for branch %q, found %s", name, value.TypeName(v))}
			}
			branches = append(branches, step.Branch{Name: name, Body: func(t step.Thread) (value.Value, error) {
				return shown(t, name, func() (value.Value, error) { return t.Call(body) })
			}})
		}
	}
	if len(branches) == 0 {
		return nil, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: "No branches to run"}
	}
	v, err := Fork(t, branches, c.Bool("failFast"))
	t.Print("[Pipeline] // parallel") // it has no body by which the caller would know that it is a block
	return v, err
}

// shown makes a branch of a scripted pipeline visible as a part of the build.
func shown(t step.Thread, name string, body func() (value.Value, error)) (value.Value, error) {
	outer := t.Scope()
	mark := &step.Mark{Outer: outer.Mark, Stage: build.Stage{ID: string(t.Address()) + "/" + name, Parent: outer.StageID, Name: name, Kind: "parallel", Node: nodeName(t)}}
	enter(t, mark)
	v, err := t.With(func(sc *step.Scope) { sc.StageID, sc.Mark = mark.Stage.ID, mark }, body)
	leave(t, mark, err)
	return v, err
}

// Fork runs branches with the lines and the error rules of the parallel step, for those that have branches of their own making.
// The caller prints the step's own frame.
func Fork(t step.Thread, branches []step.Branch, failFast bool) (value.Value, error) {
	var first error // by time, which the journal keeps
	framed := make([]step.Branch, len(branches))
	for i, b := range branches {
		t.Print("[Pipeline] { (Branch: " + b.Name + ")")
		framed[i] = step.Branch{Name: b.Name, Body: func(t step.Thread) (value.Value, error) {
			v, err := b.Body(t)
			t.Print("[Pipeline] }")
			if err != nil {
				t.Print("Failed in branch " + b.Name)
				if first == nil {
					first = err
				}
			}
			return v, err
		}}
	}
	outcomes, err := t.Parallel(framed, failFast)
	if err != nil {
		return nil, err
	}
	return join(branches, outcomes, first, failFast)
}

// join makes the value or the error of parallel: with failFast the failure that came first, otherwise the worst one; the
// others are suppressed in it.
func join(branches []step.Branch, outcomes []step.Outcome, first error, failFast bool) (value.Value, error) {
	values := value.NewMap()
	var failures []error
	for i, o := range outcomes {
		if o.Err != nil {
			failures = append(failures, o.Err)
			continue
		}
		values.Put(branches[i].Name, o.Value)
	}
	if len(failures) == 0 {
		return values, nil
	}
	for _, err := range failures {
		var e *value.Exception
		if !errors.As(err, &e) {
			return nil, err // not the author's: the program was stopped, or the farm failed
		}
	}
	sort.SliceStable(failures, func(i, j int) bool { return severity(failures[i]) > severity(failures[j]) })
	thrown := failures[0]
	if failFast && first != nil {
		thrown = first
	}
	var e *value.Exception
	errors.As(thrown, &e)
	out := *e
	out.Suppressed = append([]*value.Exception(nil), e.Suppressed...)
	for _, err := range failures {
		var o *value.Exception
		if err != thrown && errors.As(err, &o) {
			out.Suppressed = append(out.Suppressed, o)
		}
	}
	return nil, &out
}

// severity orders failures: anything else, then AbortException, then interruptions by their result.
func severity(err error) int {
	var e *value.Exception
	errors.As(err, &e)
	switch {
	case e.Class == value.FlowInterrupted:
		n := 2
		for _, r := range []build.Result{build.Success, build.Unstable, build.Failure, build.NotBuilt} {
			if step.ResultOf(e).Worse(r) {
				n++
			}
		}
		return n
	case value.IsA(e.Class, value.AbortException):
		return 1
	}
	return 0
}
