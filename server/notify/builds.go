package notify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Builds is what is read of the builds.
type Builds interface {
	Build(ctx context.Context, id build.ID) (build.Build, error)
	Builds(ctx context.Context, f build.Filter) ([]build.Build, error) // newest first
}

// ledger finds the builds that have ended since it looked last. Its fields are kept over restarts.
type ledger struct {
	Known  bool       `json:"known"`            // it has looked before: without that nothing is news
	Until  time.Time  `json:"until,omitzero"`   // when the newest build that it has seen was accepted
	Recent []build.ID `json:"recent,omitempty"` // seen, and accepted within the slack before Until
	Open   []build.ID `json:"open,omitempty"`   // seen, and not ended then
}

const (
	page  = 50          // builds that are read at first
	slack = time.Minute // by which times of acceptance may be out of order
)

func (l ledger) seen(b build.Build) bool {
	return b.Accepted.Before(l.Until.Add(-slack)) || slices.Contains(l.Recent, b.ID)
}

// look returns what has ended since the last look, oldest first, and the ledger to be kept once that is told.
func (l ledger) look(ctx context.Context, store Builds) (ended []build.Build, next ledger, err error) {
	fresh, err := l.fresh(ctx, store)
	if err != nil {
		return nil, l, err
	}
	next = ledger{Known: true, Until: l.Until, Recent: slices.Clone(l.Recent)}
	for _, id := range l.Open {
		b, err := store.Build(ctx, id)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return nil, l, err
		case b.State == build.Finished:
			ended = append(ended, b)
		default:
			next.Open = append(next.Open, id)
		}
	}
	times := map[build.ID]time.Time{}
	for _, b := range slices.Backward(fresh) {
		times[b.ID] = b.Accepted
		next.Recent = append(next.Recent, b.ID)
		if b.Accepted.After(next.Until) {
			next.Until = b.Accepted
		}
		switch {
		case b.State != build.Finished:
			next.Open = append(next.Open, b.ID)
		case l.Known:
			ended = append(ended, b)
		}
	}
	if next.Until.After(l.Until.Add(slack)) { // all that was recent before is behind the slack
		next.Recent = slices.DeleteFunc(next.Recent, func(id build.ID) bool { return times[id].Before(next.Until.Add(-slack)) })
	}
	return ended, next, nil
}

// fresh are the builds that it has not seen, newest first. The first time these are only the newest, and those that have not ended.
func (l ledger) fresh(ctx context.Context, store Builds) ([]build.Build, error) {
	if !l.Known {
		return l.first(ctx, store)
	}
	bs, err := newest(ctx, store, func([]build.Build) time.Time { return l.Until })
	return slices.DeleteFunc(bs, l.seen), err
}

// newest reads from the newest build back to the slack before a time, which may depend on what was read.
func newest(ctx context.Context, store Builds, until func([]build.Build) time.Time) ([]build.Build, error) {
	for limit := page; ; limit *= 4 {
		bs, err := store.Builds(ctx, build.Filter{Limit: limit})
		if err != nil {
			return nil, fmt.Errorf("notifications: builds: %w", err)
		}
		if len(bs) == 0 {
			return nil, nil
		}
		end := until(bs).Add(-slack)
		past := slices.IndexFunc(bs, func(b build.Build) bool { return b.Accepted.Before(end) })
		switch {
		case past >= 0:
			return bs[:past], nil
		case len(bs) < limit:
			return bs, nil
		}
	}
}

func (l ledger) first(ctx context.Context, store Builds) ([]build.Build, error) {
	bs, err := newest(ctx, store, func(bs []build.Build) time.Time { return bs[0].Accepted })
	if err != nil {
		return nil, err
	}
	open, err := store.Builds(ctx, build.Filter{States: []build.State{build.Queued, build.Running}, Limit: math.MaxInt32})
	if err != nil {
		return nil, fmt.Errorf("notifications: builds: %w", err)
	}
	for _, b := range open {
		if !slices.ContainsFunc(bs, func(o build.Build) bool { return o.ID == b.ID }) {
			bs = append(bs, b)
		}
	}
	return bs, nil
}

// before is the result of a job's finished build before one; "" when there is none.
func before(ctx context.Context, store Builds, id build.ID) (build.Result, error) {
	bs, err := store.Builds(ctx, build.Filter{Job: id.Job, Before: id.Number, States: []build.State{build.Finished}, Limit: 1})
	if err != nil || len(bs) == 0 {
		return "", err
	}
	return bs[0].Result, nil
}
