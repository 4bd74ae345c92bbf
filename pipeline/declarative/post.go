package declarative

import (
	"context"
	"encoding/json"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// History is what a Run implements that knows the builds before its own.
type History interface {
	// LastCompleted returns the result of the newest build before this one that has finished; "" when there is none. From effects only.
	LastCompleted(ctx context.Context) (build.Result, error)
}

// reckoning is what post conditions are judged by.
type reckoning struct {
	now    build.Result
	before func() (build.Result, error) // of the last completed build; "" none
}

// reckon combines the build's result, the stage's and the error's. The build before is looked up when a condition asks, once.
func (d *driver) reckon(t *interp.Thread, m *step.Mark, err error) reckoning {
	r := build.Worst(result(t), step.ResultOf(err))
	if m != nil {
		r = build.Worst(r, m.Result)
	}
	return reckoning{r, func() (build.Result, error) { return d.lastCompleted(t) }}
}

func (d *driver) lastCompleted(t *interp.Thread) (build.Result, error) {
	h, ok := t.Run().(History)
	if !ok {
		return "", nil
	}
	if d.last != nil {
		return *d.last, nil
	}
	raw, err := t.Do(step.Effect{Name: "declarative.previous", Run: func(ctx context.Context, _ step.Address) (any, error) { return h.LastCompleted(ctx) }})
	if err != nil {
		return "", err
	}
	var r build.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return "", err
	}
	d.last = &r
	return r, nil
}

// satisfied says whether a post condition holds.
func (r reckoning) satisfied(condition string) (bool, error) {
	switch condition {
	case "always", "cleanup":
		return true, nil
	case "aborted":
		return r.now == build.Aborted, nil
	case "success":
		return r.now == build.Success, nil
	case "unsuccessful":
		return r.now != build.Success, nil
	case "unstable":
		return r.now == build.Unstable, nil
	case "failure":
		return r.now == build.Failure, nil
	case "notBuilt":
		return r.now == build.NotBuilt, nil
	}
	last, err := r.before()
	switch condition {
	case "changed":
		return last != r.now, err
	case "fixed":
		return r.now == build.Success && (last == build.Failure || last == build.Unstable), err
	case "regression":
		return last != "" && r.now.Worse(last), err
	}
	return false, err
}

func (d *driver) anySatisfied(t *interp.Thread, p *jenkinsfile.Post, r reckoning) (bool, error) {
	for _, b := range p.Blocks {
		if ok, err := r.satisfied(b.Condition); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// rootPost is the post section of the pipeline: a stage of its own, when a condition holds.
func (d *driver) rootPost(t *interp.Thread, err error) error {
	if d.p.Post == nil {
		return err
	}
	if err = interrupted(t, err); interp.IsFatal(err) {
		return err
	}
	ok, perr := d.anySatisfied(t, d.p.Post, d.reckon(t, nil, err))
	if perr != nil || !ok {
		if perr != nil {
			return perr
		}
		return err
	}
	return call(t, "stage", map[string]value.Value{"name": "Declarative: Post Actions"}, func() error {
		return d.conditions(t, d.p.Post, nil, err)
	})
}

// interrupted is how a body ended: an interruption that nothing in it has seen is its end too.
func interrupted(t *interp.Thread, err error) error {
	if err != nil {
		return err
	}
	return t.Interrupted()
}

// conditions runs the blocks whose conditions hold, in Jenkins' order, each judged by the result at that moment. An error in a
// block is printed and remembered, and the others follow. It returns the first error: the one it was given, if any.
func (d *driver) conditions(t *interp.Thread, p *jenkinsfile.Post, m *step.Mark, err error) error {
	for _, name := range jenkinsfile.PostOrder() {
		for _, b := range p.Blocks {
			if b.Condition != name {
				continue
			}
			if err = interrupted(t, err); interp.IsFatal(err) {
				return err
			}
			r := d.reckon(t, m, err)
			ok, perr := r.satisfied(name)
			if perr == nil && ok {
				perr = d.block(t, b, r.now)
			}
			if interp.IsFatal(perr) {
				return perr
			}
			if perr != nil {
				t.Print("Error when executing " + name + " post condition:")
				for _, line := range step.Report(perr) {
					t.Print(line)
				}
				if err == nil {
					err = perr
				}
			}
		}
	}
	return err
}

// block runs one post block, in which currentBuild.result reads as what it was judged by.
func (d *driver) block(t *interp.Thread, b *jenkinsfile.PostBlock, shown build.Result) error {
	_, err := t.With(func(s *step.Scope) {
		if s.Values == nil {
			s.Values = map[string]any{}
		}
		s.Values[step.ShownResult] = shown
	}, func() (value.Value, error) {
		_, err := t.Exec(b.Steps, nil)
		return nil, noNode(err)
	})
	return err
}
