package monitor

import (
	"time"

	"github.com/outwork-build/outwork/fleet"
)

const (
	margin = 1.1              // how much better than its limit a value must be to turn good
	calm   = 60 * time.Second // and for how long
)

// grade says how good a value is, with all limits made stricter by a factor.
type grade func(factor float64) fleet.Level

// below grades a value that should not shrink. A limit of 0 is none.
func below(value float64, l fleet.Limit) grade {
	return func(factor float64) fleet.Level {
		switch {
		case value < float64(l.Bad)*factor:
			return fleet.Bad
		case value < float64(l.Warn)*factor:
			return fleet.Warning
		}
		return fleet.Good
	}
}

// above grades a value that should not grow. A limit of 0 is none.
func above(value float64, l fleet.Limit) grade {
	return func(factor float64) fleet.Level {
		switch {
		case l.Bad > 0 && value > float64(l.Bad)/factor:
			return fleet.Bad
		case l.Warn > 0 && value > float64(l.Warn)/factor:
			return fleet.Warning
		}
		return fleet.Good
	}
}

// settle finds the level after a sample: worse at once, better when it was better by the margin since calm. since is when
// it began to be (State's first number, in seconds since 1970); 0 is not yet.
func settle(v *fleet.Verdict, before fleet.Verdict, now time.Time, g grade) (since float64) {
	first := before.Since.IsZero()
	v.Level, v.Since = before.Level, before.Since
	turn := func(l fleet.Level) {
		if l != before.Level || first {
			v.Level, v.Since = l, now
		}
	}
	plain := g(1)
	if first || weight(plain) >= weight(before.Level) {
		turn(plain)
		return 0
	}
	strict := g(margin)
	if weight(strict) >= weight(before.Level) {
		return 0
	}
	seconds := float64(now.UnixMilli()) / 1000
	if len(before.State) > 0 {
		since = before.State[0]
	}
	if since == 0 || since > seconds {
		since = seconds
	}
	if seconds-since < calm.Seconds() {
		return since
	}
	turn(strict)
	return 0
}

func weight(l fleet.Level) int {
	switch l {
	case fleet.Bad:
		return 2
	case fleet.Warning:
		return 1
	}
	return 0
}

// follow fills in what follows from the level. cause is why a bad one takes the node off.
func follow(v *fleet.Verdict, action fleet.Action, cause string) {
	switch {
	case v.Level == fleet.Bad:
		v.Action, v.Cause = action, cause
	case v.Level == fleet.Warning && action != fleet.Ignore:
		v.Action = fleet.Warn
	}
}

// unmeasured reports whether a sample has no vitals at all.
func unmeasured(s fleet.Sample) bool { return s.TimedOut || s.Vitals.Clock.IsZero() }
