package flow

import (
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Stage is `stage('Build') { … }`.
type Stage struct{}

// Spec implements step.Step.
func (Stage) Spec() step.Spec {
	return step.Spec{Name: "stage", Sole: "name", Block: true, BodyOptional: true, Doc: "a named part of the build",
		Params: []step.Param{{Name: "name", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Stage) Run(t step.Thread, c *step.Call) (value.Value, error) {
	name, outer := c.String("name"), t.Scope()
	if c.Body == nil { // as it was written before stages had bodies
		t.Print("Using the ‘stage’ step without a block argument is deprecated\nEntering stage " + name + "\nProceeding")
		return nil, nil
	}
	mark := &step.Mark{Outer: outer.Mark, Stage: build.Stage{ID: string(t.Address()), Parent: outer.StageID, Name: name, Kind: "stage", Node: nodeName(t)}}
	enter(t, mark)
	v, err := block(t, c, name, func(sc *step.Scope) {
		sc.Stage, sc.StageID, sc.Mark = name, mark.Stage.ID, mark
		sc.Env = append(sc.Env, "STAGE_NAME="+name)
	})
	leave(t, mark, err)
	return v, err
}

// enter and leave tell the Run how a stage goes, when it wants to know. What a stopped program says on its way out the Run
// does not hear.
func enter(t step.Thread, m *step.Mark) {
	if r, ok := t.Run().(step.Stages); ok {
		m.Stage.State = "running"
		r.Stage(m.Stage)
	}
}

func leave(t step.Thread, m *step.Mark, err error) {
	r, ok := t.Run().(step.Stages)
	if !ok {
		return
	}
	s := m.Stage
	s.State, s.Result = "finished", build.Worst(m.Result, step.ResultOf(err))
	switch {
	case err != nil:
		s.Reason = err.Error()
	case m.Skipped != "":
		s.State, s.Reason, s.Result = "skipped", m.Skipped, build.NotBuilt
	case s.Result == "":
		s.Result = build.Success
	}
	r.Stage(s)
}

// onNode shows that the innermost stage has a node of its own.
func onNode(t step.Thread, name string) {
	if m := t.Scope().Mark; m != nil && m.Stage.Node != name {
		m.Stage.Node = name
		enter(t, m)
	}
}

func nodeName(t step.Thread) string {
	if n := t.Scope().Node; n != nil {
		return n.Name
	}
	return ""
}
