package agent

import "context"

// Runner is a Machine to which several calls are as dear as one.
type Runner interface {
	// Run is Start, then Follow from offset on. It calls started when it has heard that Start succeeded, soon after that and before
	// sink. After an error without that call nobody knows whether the step was started: Start and Run are idempotent.
	Run(ctx context.Context, r StartRequest, offset int64, started func(), sink func(Output) error) (Exit, error)
}
