package declarative

import (
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
)

// Model is jenkinsfile.Model, and finds besides, before anything runs, what a model says that this package cannot do, and labels
// that are no expressions. The error is a jenkinsfile.Errors with all that is wrong.
func Model(f *jenkinsfile.File, known jenkinsfile.Known) (*jenkinsfile.Pipeline, error) {
	return jenkinsfile.ModelWith(f, known, func(p *jenkinsfile.Pipeline) jenkinsfile.Errors {
		c := checker{file: f}
		c.agent(p.Agent)
		c.stages(p.Stages)
		return c.errs
	})
}

type checker struct {
	file *jenkinsfile.File
	errs jenkinsfile.Errors
}

func (c *checker) fail(n jenkinsfile.Node, format string, args ...any) {
	c.errs = append(c.errs, c.file.Error(n.Span().Start, format, args...))
}

func (c *checker) stages(list []*jenkinsfile.Stage) {
	for _, s := range list {
		if s.Input != nil {
			c.fail(s.Input, "input in stage %q is not supported", s.Name)
		}
		c.agent(s.Agent)
		if s.Matrix != nil {
			c.stages([]*jenkinsfile.Stage{s.Matrix.Cell})
			continue
		}
		c.stages(s.Children())
	}
}

func (c *checker) agent(a *jenkinsfile.Agent) {
	if a == nil {
		return
	}
	switch a.Kind {
	case "any", "none":
	case "label", "node":
		c.label(a.Field("label"))
	default:
		c.fail(a, "agent %s is not supported", a.Kind)
	}
}

// label checks an expression that is written out; others are checked when they are evaluated.
func (c *checker) label(x jenkinsfile.Expr) {
	lit, ok := x.(*jenkinsfile.Lit)
	if !ok {
		return
	}
	text, ok := lit.Value.(string)
	if !ok || text == "" {
		return
	}
	if _, err := label.Parse(text); err != nil {
		c.fail(lit, "Invalid label expression %v", err)
	}
}
