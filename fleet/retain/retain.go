// Package retain decides how long nodes stay connected: the kinds of fleet.Retention that people know.
//
//	always    keep it online as much as possible
//	demand    bring it online when work waits for it (inDemandDelay, 0), take it offline when idle (idleDelay, 1m)
//	schedule  bring it online at the times of a crontab (start) for a while (upTime); keepWhenActive lets it finish its work
//	          first; timeZone is where the clock hangs, unless start begins with TZ=
//	cloud     remove it when idle for idle (10m)
//	once      remove it after its first lease, or when it got none for idle (10m)
//
// A time is a number of minutes or has a unit: 10, 90s, 1h30m. The names that these settings have in Jenkins (startTimeSpec,
// upTimeMins, keepUpWhenActive, idleMinutes) are read too. A kind starts nothing and keeps nothing: who calls Decide also acts.
// All may be called concurrently.
package retain

import (
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/cron"
	"github.com/outwork-build/outwork/internal/fault"
)

// Kinds of retention.
const (
	Always   = "always"
	Demand   = "demand"
	Schedule = "schedule"
	Cloud    = "cloud"
	Once     = "once"
)

// Kinds of the offline causes given here.
const (
	CauseIdle     = "idle"
	CauseSchedule = "schedule"
	CauseOnce     = "once" // its one lease ended, or is under way
)

// New makes a retention of its settings. Its errors are fault.Invalid and name the setting.
func New(spec fleet.RetentionSpec) (fleet.Retention, error) {
	s := settings{kind: spec.Kind, given: spec.Config, known: map[string]bool{}}
	var r fleet.Retention
	switch spec.Kind {
	case "", Always:
		r = always{}
	case Demand:
		r = demand{
			wait: s.duration(0, 0, "inDemandDelay"),
			idle: s.duration(time.Minute, time.Minute, "idleDelay"),
		}
	case Schedule:
		r = s.schedule()
	case Cloud:
		r = cloud{idle: s.duration(10*time.Minute, time.Second, "idle", "idleMinutes")}
	case Once:
		r = once{idle: s.duration(10*time.Minute, time.Second, "idle", "idleMinutes")}
	default:
		return nil, fault.New(fault.Invalid, "retention: kind %q: expected %s, %s, %s, %s or %s", spec.Kind, Always, Demand, Schedule, Cloud, Once)
	}
	s.unknown()
	if s.err != nil {
		return nil, s.err
	}
	return r, nil
}

// settings reads a spec and keeps the first error.
type settings struct {
	kind  string
	given map[string]string
	known map[string]bool // names that were asked for
	err   error
}

// value finds a setting under one of its names. key is the one it was found under, or the first.
func (s *settings) value(names ...string) (key, value string, ok bool) {
	key = names[0]
	for _, n := range names {
		s.known[n] = true
		v, has := s.given[n]
		if !has {
			continue
		}
		if ok {
			s.fail(n, "the same as %s: give one of them", key)
		}
		key, value, ok = n, strings.TrimSpace(v), true
	}
	return key, value, ok && value != ""
}

func (s *settings) fail(key, format string, args ...any) {
	if s.err == nil {
		s.err = fault.New(fault.Invalid, "retention "+s.kind+": "+key+": "+format, args...)
	}
}

// maxTime is the longest time of a setting: longer ones are typing errors.
const maxTime = 10 * 365 * 24 * time.Hour

func (s *settings) duration(unset, least time.Duration, names ...string) time.Duration {
	key, text, ok := s.value(names...)
	if !ok {
		return unset
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "m"
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		s.fail(key, "%q: expected a time, such as 10 (minutes), 90s or 1h30m", text)
	case d < least:
		s.fail(key, "%v: expected at least %v", d, least)
	case d > maxTime:
		s.fail(key, "%v: expected at most ten years", d)
	}
	return d
}

func (s *settings) bool(names ...string) bool {
	key, text, ok := s.value(names...)
	if !ok {
		return false
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		s.fail(key, "%q: expected true or false", text)
	}
	return b
}

func (s *settings) schedule() schedule {
	start, text, ok := s.value("start", "startTimeSpec")
	if !ok {
		s.fail(start, "missing: expected a crontab, such as 0 8 * * 1-5")
	}
	up, _, ok := s.value("upTime", "upTimeMins")
	if !ok {
		s.fail(up, "missing: expected how long it stays, such as 600 (minutes) or 10h")
	}
	r := schedule{
		up:   s.duration(0, time.Minute, "upTime", "upTimeMins"),
		keep: s.bool("keepWhenActive", "keepUpWhenActive"),
	}
	options := cron.Options{Zone: time.Local, CatchUp: true} // a window that begins in the gap must not be lost
	key, zone, has := s.value("timeZone")
	if has {
		var err error
		if options.Zone, err = time.LoadLocation(zone); err != nil {
			s.fail(key, "%q: expected a time zone, such as Europe/Berlin", zone)
		}
	}
	if s.err != nil {
		return r
	}
	var err error
	if r.start, err = cron.Parse(text, options); err != nil {
		s.fail(start, "%w", err)
		return r
	}
	if _, named := r.start.Zone(); named && has {
		s.fail(key, "%s begins with TZ= already: give one of them", start)
	}
	if r.start.Next(time.Now()).IsZero() {
		s.fail(start, "%q never comes", text)
	}
	return r
}

func (s *settings) unknown() {
	for key := range s.given {
		if !s.known[key] {
			names := make([]string, 0, len(s.known))
			for n := range s.known {
				names = append(names, n)
			}
			if len(names) == 0 {
				s.fail(key, "there are no settings of this kind")
				continue
			}
			s.fail(key, "no such setting: expected %s", sorted(names))
		}
	}
}
