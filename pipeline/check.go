package pipeline

import (
	"errors"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/declarative"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
)

// Checked is what Check finds in a script.
type Checked struct {
	Declarative bool
	Errors      jenkinsfile.Errors // empty: it would run
	Warnings    jenkinsfile.Errors
}

// Check validates a script as a build would, without running it. strict refuses options and triggers that nobody here knows.
func (r *Runner) Check(script string, strict bool) (Checked, error) {
	var c Checked
	file, err := jenkinsfile.Parse("Jenkinsfile", script)
	if err == nil {
		var model *jenkinsfile.Pipeline
		known := r.known()
		known.Strict = strict
		if model, err = declarative.Model(file, known); model != nil {
			c.Declarative, c.Warnings = true, model.Warnings
		}
	}
	if err != nil && !errors.As(err, &c.Errors) {
		return c, fault.With(fault.Invalid, err)
	}
	return c, nil
}
