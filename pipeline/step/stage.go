package step

import (
	"context"

	"github.com/outwork-build/outwork/build"
)

// Mark is the result that steps gave to a stage while it ran: unstable and catchError mark the stage they stand in, and with it
// every stage around it. Like all a program owns it is used with the baton, by deterministic code.
type Mark struct {
	Outer  *Mark        // of the enclosing stage; nil at the top
	Result build.Result // "" while nothing was marked
	// Skipped says why a stage was entered and left without its work being done; "" for one that was not.
	Skipped string
	// Stage is the record of the stage, as it was last told to Stages; a node block within it sets the node.
	Stage build.Stage
}

// Worsen marks a stage and those around it. A nil Mark is no stage: nothing happens.
func (m *Mark) Worsen(r build.Result) {
	for ; m != nil; m = m.Outer {
		m.Result = build.Worst(m.Result, r)
	}
}

// ShownResult is the key in Scope.Values of the build.Result that currentBuild.result shows inside of a post block.
const ShownResult = "step.shownResult"

// Stages is what a Run implements that shows its stages as they go. Stage is told that a stage was entered (State running) or
// left (finished, skipped); the Run knows order and times. It does not block and is called with the baton, on replay too:
// what is known already stays as it is.
type Stages interface{ Stage(s build.Stage) }

// Learner is what a Run implements that keeps what a pipeline declares about its job.
type Learner interface {
	// Learn makes a change durable, for the builds that follow. From effects only. change may be called again after a conflict
	// and must be pure.
	Learn(ctx context.Context, change func(*build.Properties)) error
	// Declare gives this build the defaults of parameters that it was not given. With the baton, on replay too.
	Declare(ps []build.Parameter)
}
