package retain

import (
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/cron"
)

// always keeps a node online.
type always struct{}

func (always) Decide(time.Time, fleet.Occupation) fleet.Stay {
	return fleet.Stay{Connect: true, Accept: true}
}

// demand brings a node online when work waits for it and takes it off when idle. An idle node for which work waits stays: it
// is about to get it.
type demand struct {
	wait time.Duration // how long work must wait
	idle time.Duration
}

func (d demand) Decide(now time.Time, s fleet.Occupation) fleet.Stay {
	if s.Connected {
		return stayWhileUsed(now, s, d.idle)
	}
	off := fleet.Stay{Accept: true, Cause: idleCause(s.Since)}
	if s.WantedSince.IsZero() && s.Busy == 0 {
		return off
	}
	if at := s.WantedSince.Add(d.wait); s.Busy == 0 && now.Before(at) {
		off.Again = at
		return off
	}
	return fleet.Stay{Connect: true, Accept: true}
}

// stayWhileUsed keeps a connected node until it was idle for a time.
func stayWhileUsed(now time.Time, s fleet.Occupation, idle time.Duration) fleet.Stay {
	stay := fleet.Stay{Connect: true, Accept: true}
	if s.Busy > 0 || !s.WantedSince.IsZero() {
		return stay
	}
	if at := idleSince(s).Add(idle); now.Before(at) {
		stay.Again = at
		return stay
	}
	return fleet.Stay{Cause: idleCause(now)}
}

// idleSince is when a node without work became idle: not before it connected.
func idleSince(s fleet.Occupation) time.Time {
	if s.IdleSince.Before(s.Since) {
		return s.Since
	}
	return s.IdleSince
}

// schedule keeps a node online from each start for a while.
type schedule struct {
	start *cron.Table
	up    time.Duration
	keep  bool // wait for running work at the end
}

func (r schedule) Decide(now time.Time, s fleet.Occupation) fleet.Stay {
	if began := r.start.Prev(now.Add(1)); !began.IsZero() && now.Before(began.Add(r.up)) {
		return fleet.Stay{Connect: true, Accept: true, Again: began.Add(r.up)}
	}
	stay := fleet.Stay{Again: r.start.Next(now)}
	switch {
	case !s.Connected:
		stay.Cause = &fleet.OfflineCause{Kind: CauseSchedule, Text: "Offline according to schedule", When: s.Since}
	default:
		stay.Connect = r.keep && s.Busy > 0
		stay.Cause = &fleet.OfflineCause{Kind: CauseSchedule, Text: "Computer has finished its scheduled uptime", When: now}
	}
	return stay
}

// cloud removes a node that is idle. While it is away it is to come back: what is gone for good its cloud knows.
type cloud struct{ idle time.Duration }

func (c cloud) Decide(now time.Time, s fleet.Occupation) fleet.Stay {
	if !s.Connected {
		return fleet.Stay{Connect: true, Accept: true}
	}
	stay := stayWhileUsed(now, s, c.idle)
	if !stay.Connect {
		stay.Remove = true
	}
	return stay
}

// once gives a node one lease, in all its life. It is a fleet.Counter.
type once struct{ idle time.Duration }

var _ fleet.Counter = once{}

func (once) Counts() {}

func (o once) Decide(now time.Time, s fleet.Occupation) fleet.Stay {
	switch {
	case s.Busy > 0:
		return fleet.Stay{Connect: true, Cause: onceCause("It takes no further work: it is for one build only", now)}
	case s.Done > 0:
		return fleet.Stay{Remove: true, Cause: onceCause("Its one build is done", now)}
	}
	return cloud(o).Decide(now, s)
}

func idleCause(when time.Time) *fleet.OfflineCause {
	return &fleet.OfflineCause{Kind: CauseIdle, Text: "Offline because computer was idle; it will be relaunched when needed.", When: when}
}

func onceCause(text string, when time.Time) *fleet.OfflineCause {
	return &fleet.OfflineCause{Kind: CauseOnce, Text: text, When: when}
}

// sorted lists names for people.
func sorted(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}
