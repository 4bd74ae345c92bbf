package auth

import (
	"context"
	"slices"

	"github.com/outwork-build/outwork/internal/fault"
)

// live is a request under way. A stream is one that may outlive what its caller is allowed.
type live struct {
	plain  string
	id     Identity
	cancel context.CancelCauseFunc
}

type liveKey struct{}

// admit authenticates the caller of a request, and ends the request's context when the token no longer holds, by its time or because somebody
// took away what it allowed. Call done when the request is answered.
func (a *Authority) admit(ctx context.Context, plain string) (_ context.Context, done func(), err error) {
	l := &live{plain: plain}
	for {
		taken := a.taken.Load()
		if l.id, err = a.Authenticate(ctx, plain); err != nil {
			return nil, nil, err
		}
		a.mu.Lock()
		if a.taken.Load() == taken { // or else recheck looked before this request was to be seen
			break
		}
		a.mu.Unlock()
	}
	ctx, l.cancel = context.WithCancelCause(ctx)
	a.live[l] = struct{}{}
	a.mu.Unlock()
	stop := func() {}
	if e := l.id.Token.Expires; !e.IsZero() {
		ctx, stop = context.WithTimeoutCause(ctx, e.Sub(a.cfg.Now()), fault.New(fault.Unauthenticated, "the token expired"))
	}
	return context.WithValue(As(ctx, l.id), liveKey{}, l), func() {
		a.mu.Lock()
		delete(a.live, l)
		a.mu.Unlock()
		stop()
		l.cancel(nil)
	}, nil
}

// recheck ends the requests under way that may no longer be: call it after something was taken from a user, a node or a token. The request
// that ctx belongs to took it, and is answered.
func (a *Authority) recheck(ctx context.Context) {
	own, _ := ctx.Value(liveKey{}).(*live)
	a.mu.Lock()
	a.taken.Add(1)
	all := make([]*live, 0, len(a.live))
	for l := range a.live {
		if l != own {
			all = append(all, l)
		}
	}
	a.mu.Unlock()
	for _, l := range all {
		id, err := a.Authenticate(context.WithoutCancel(ctx), l.plain)
		lost := slices.ContainsFunc(l.id.Scopes, func(s Scope) bool { return !id.May(s) })
		switch {
		case fault.Is(err, fault.Unauthenticated):
			l.cancel(err)
		case err != nil: // the ledger does not answer: what a request asks of it fails by itself
			a.cfg.Log.Warn("cannot tell whether a request under way may go on", "user", l.id.User, "error", err)
		case lost:
			l.cancel(fault.New(fault.Denied, "the user's role has changed"))
		}
	}
}
