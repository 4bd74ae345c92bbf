package pipeline

import (
	"context"

	"github.com/outwork-build/outwork/build"
)

// Wait returns the record of a build when it has finished.
func (r *Runner) Wait(ctx context.Context, id build.ID) (build.Build, error) {
	changed, cancel := r.Subscribe()
	defer cancel()
	for {
		b, err := r.c.Builds.Build(ctx, id)
		if err != nil || b.State == build.Finished {
			return b, err
		}
		select {
		case <-ctx.Done():
			return b, context.Cause(ctx)
		case <-changed:
		}
	}
}
