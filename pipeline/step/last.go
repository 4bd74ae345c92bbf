package step

import "context"

type lastKey struct{}

// WithLast gives an effect's context the channel that Last returns.
func WithLast(ctx context.Context, last <-chan struct{}) context.Context {
	return context.WithValue(ctx, lastKey{}, last)
}

// Last is closed when an interrupted effect has no time left to end in good order: the run was ended at once, or the controller
// stops. nil when the context is not that of an effect.
func Last(ctx context.Context) <-chan struct{} {
	last, _ := ctx.Value(lastKey{}).(<-chan struct{})
	return last
}
