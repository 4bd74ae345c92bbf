package step

import (
	"context"
	"time"
)

// Wake says what ends a wait. It must hold on to nothing that belongs to a program: that is what a wait lets go of.
type Wake struct {
	At time.Time // by Run.Now, at the latest; zero is no such time
	// When arranges that ring is called, from a goroutine of its own and once at least, when the wait ends; it may have ended already.
	// cancel takes that back. nil when only At ends the wait.
	When func(ring func()) (cancel func())
}

// Waiter hears of an effect that it does nothing but wait. Wait may be called by any goroutine.
type Waiter interface{ Wait(Wake) (over func()) }

type waiterKey struct{}

// WithWaiter gives an effect's context who hears of its waits.
func WithWaiter(ctx context.Context, w Waiter) context.Context {
	return context.WithValue(ctx, waiterKey{}, w)
}

// Wait tells that the effect of ctx does nothing but wait, until over is called. A run of which all effects wait may leave memory: ctx
// ends then as it does when the controller stops, and the effect runs again, at its address, when the wait ends or something
// else calls the run back. An effect that stays away long should say so.
func Wait(ctx context.Context, w Wake) (over func()) {
	if to, ok := ctx.Value(waiterKey{}).(Waiter); ok {
		return to.Wait(w)
	}
	return func() {}
}

// Alarmed is a Run that may leave memory while its effects wait. It must know when something of it is due that is no effect's: a timeout.
type Alarmed interface {
	// Due has the run be there at a time, by Run.Now. stop takes that back.
	Due(at time.Time) (stop func())
}

// Due tells a run that is Alarmed of a time, and no other.
func Due(r Run, at time.Time) (stop func()) {
	if a, ok := r.(Alarmed); ok {
		return a.Due(at)
	}
	return func() {}
}
