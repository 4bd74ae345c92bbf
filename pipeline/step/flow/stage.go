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
	return step.Spec{Name: "stage", Sole: "name", Block: true, Doc: "a named part of the build",
		Params: []step.Param{{Name: "name", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Stage) Run(t step.Thread, c *step.Call) (value.Value, error) {
	name, outer := c.String("name"), t.Scope()
	mark := &step.Mark{Outer: outer.Mark}
	s := build.Stage{ID: string(t.Address()), Parent: outer.StageID, Name: name, Kind: "stage"}
	enter(t, s)
	v, err := block(t, c, name, func(sc *step.Scope) {
		sc.Stage, sc.StageID, sc.Mark = name, s.ID, mark
		sc.Env = append(sc.Env, "STAGE_NAME="+name)
	})
	leave(t, s, mark, err)
	return v, err
}

// enter and leave tell the Run how a stage goes, when it wants to know. A program that was stopped to be resumed leaves its
// stages as they are: only what the author could see ends one.
func enter(t step.Thread, s build.Stage) {
	if r, ok := t.Run().(step.Stages); ok {
		s.State, s.Node = "running", nodeName(t)
		r.Stage(s)
	}
}

func leave(t step.Thread, s build.Stage, mark *step.Mark, err error) {
	r, ok := t.Run().(step.Stages)
	if !ok {
		return
	}
	s.State, s.Node, s.Result = "finished", nodeName(t), build.Worst(mark.Result, step.ResultOf(err))
	switch {
	case err != nil:
		s.Reason = err.Error()
	case mark.Skipped != "":
		s.State, s.Reason, s.Result = "skipped", mark.Skipped, build.NotBuilt
	case s.Result == "":
		s.Result = build.Success
	}
	r.Stage(s)
}

func nodeName(t step.Thread) string {
	if n := t.Scope().Node; n != nil {
		return n.Name
	}
	return ""
}
