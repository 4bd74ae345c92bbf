package declarative

import (
	"errors"
	"fmt"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/value"
)

// skip says why stages are entered and not run. The zero value is no reason.
type skip struct{ because string }

func (s skip) set() bool { return s.because != "" }

// stage enters a stage. With vars, the values of a matrix cell's axes, these are in the environment of all that follows.
func (d *driver) stage(t *interp.Thread, s *jenkinsfile.Stage, why skip, vars []string) error {
	return call(t, "stage", map[string]value.Value{"name": s.Name}, func() error {
		if len(vars) == 0 {
			return d.enter(t, s, why)
		}
		return withEnv(t, vars, func() error { return d.enter(t, s, why) })
	})
}

func (d *driver) enter(t *interp.Thread, s *jenkinsfile.Stage, why skip) error {
	if !why.set() && jenkinsfile.Option(d.p.Options, "skipStagesAfterUnstable") != nil && result(t) == build.Unstable {
		why = skip{"earlier stage(s) marking the build as unstable"}
	}
	if why.set() {
		return d.leaveOut(t, s, why)
	}
	return d.evaluate(t, s)
}

// leaveOut prints that a stage is skipped, and enters its children, which are skipped too.
func (d *driver) leaveOut(t *interp.Thread, s *jenkinsfile.Stage, why skip) error {
	text := "Stage \"" + s.Name + "\" skipped due to " + why.because
	t.Print(text)
	t.Scope().Mark.Skipped = text
	return d.children(t, s, why)
}

// children evaluates what stands in a stage instead of steps.
func (d *driver) children(t *interp.Thread, s *jenkinsfile.Stage, why skip) error {
	switch {
	case s.Parallel != nil:
		var branches []step.Branch
		for _, c := range s.Parallel {
			branches = append(branches, d.branch(c, why, nil))
		}
		return d.fork(t, s, branches)
	case s.Matrix != nil:
		var branches []step.Branch
		for _, c := range cells(s.Matrix) {
			branches = append(branches, d.branch(c.stage, why, c.vars))
		}
		return d.fork(t, s, branches)
	}
	return d.sequence(t, s.Stages, why)
}

func (d *driver) branch(s *jenkinsfile.Stage, why skip, vars []string) step.Branch {
	return step.Branch{Name: s.Name, Body: func(t step.Thread) (value.Value, error) {
		return nil, d.stage(t.(*interp.Thread), s, why, vars)
	}}
}

func (d *driver) fork(t *interp.Thread, s *jenkinsfile.Stage, branches []step.Branch) error {
	if len(branches) == 0 {
		return nil
	}
	failFast := s.FailFast || jenkinsfile.Option(d.p.Options, "parallelsAlwaysFailFast") != nil
	_, err := t.Framed("parallel", func() (value.Value, error) { return flow.Fork(t, branches, failFast) })
	return err
}

// evaluate runs a stage that is not skipped: options, agent, when, environment, work, post. Where `when` stands among these is
// the author's choice.
func (d *driver) evaluate(t *interp.Thread, s *jenkinsfile.Stage) error {
	when := s.When
	if when == nil {
		when = &jenkinsfile.When{}
	}
	early := !when.BeforeOptions && (when.BeforeInput || when.BeforeAgent)
	late := !when.BeforeOptions && !early
	return d.guarded(t, s, when.BeforeOptions, func() error {
		return d.withOptions(t, s.Options, func() error {
			return d.guarded(t, s, early, func() error {
				return d.inAgent(t, s.Agent, s.Options, false, func() error {
					return d.guarded(t, s, late, func() error {
						return d.withEnvironment(t, s.Environment, func() error {
							return d.withTools(t, d.toolsOf(s), func() error { return d.work(t, s) })
						})
					})
				})
			})
		})
	})
}

// guarded runs body, or leaves the stage out when this is the place of its conditions and they do not hold.
func (d *driver) guarded(t *interp.Thread, s *jenkinsfile.Stage, here bool, body func() error) error {
	if here && s.When != nil {
		ok, err := d.allHold(t, s.When.Conditions)
		if err != nil {
			return err
		}
		if !ok {
			return d.leaveOut(t, s, skip{"when conditional"})
		}
	}
	return body()
}

// work runs the steps or the children of a stage, and its post conditions.
func (d *driver) work(t *interp.Thread, s *jenkinsfile.Stage) error {
	var err error
	if s.Steps != nil {
		_, err = t.Exec(s.Steps, nil)
		err = noNode(err)
	} else {
		err = d.children(t, s, skip{})
	}
	if s.Post == nil {
		return err
	}
	if err = interrupted(t, err); interp.IsFatal(err) {
		return err
	}
	r := d.reckon(t, t.Scope().Mark, err)
	if satisfied, perr := d.anySatisfied(t, s.Post, r); perr != nil {
		return perr
	} else if !satisfied {
		return err
	}
	t.Print("Post stage")
	return d.conditions(t, s.Post, t.Scope().Mark, err)
}

// noNode says in Declarative's words that a step needs an agent and has none.
func noNode(err error) error {
	var e *value.Exception
	if errors.As(err, &e) && strings.HasSuffix(e.Class, "MissingContextVariableException") && !strings.Contains(e.Message, "agent none") {
		return value.Abort("Attempted to execute a step that requires a node context while ‘agent none’ was specified. Be sure to specify your own ‘node { ... }’ blocks when using ‘agent none’.")
	}
	return err
}

// cell is one combination of a matrix.
type cell struct {
	stage *jenkinsfile.Stage
	vars  []string
}

// cells are the combinations that no exclude takes out, the first axis varying fastest.
func cells(m *jenkinsfile.Matrix) []cell {
	combos := []map[string]string{{}}
	for _, axis := range m.Axes {
		var next []map[string]string
		for _, v := range axis.Values {
			for _, c := range combos {
				with := map[string]string{axis.Name: v}
				for k, x := range c {
					with[k] = x
				}
				next = append(next, with)
			}
		}
		combos = next
	}
	var out []cell
	for _, c := range combos {
		if excluded(m.Excludes, c) {
			continue
		}
		var names, vars []string
		for _, axis := range m.Axes {
			names = append(names, fmt.Sprintf("%s = '%s'", axis.Name, c[axis.Name]))
			vars = append(vars, axis.Name+"="+c[axis.Name])
		}
		s := *m.Cell
		s.Name = "Matrix - " + strings.Join(names, ", ")
		out = append(out, cell{&s, vars})
	}
	return out
}

func excluded(list []*jenkinsfile.Exclude, c map[string]string) bool {
	for _, ex := range list {
		all := true
		for _, axis := range ex.Axes {
			listed := false
			for _, v := range axis.Values {
				listed = listed || v == c[axis.Name]
			}
			all = all && listed != axis.Not
		}
		if all && len(ex.Axes) > 0 {
			return true
		}
	}
	return false
}
