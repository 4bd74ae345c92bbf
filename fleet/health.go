package fleet

import (
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// A node's health is judged on the goroutine of its session, which is the only one that changes its verdicts; the owner hears
// of it only when a level or what follows has changed.
//
// Two heartbeats without an answer end a session, whatever the monitors say: leases hang on it. They are time-outs of the
// response monitor as well, and so is a first heartbeat that is not answered; five in a row, over however many sessions,
// turn it bad.

// unwell ends a session that a monitor wants ended, or one whose machine could not be set up.
type unwell struct{ cause *OfflineCause }

func (u *unwell) Error() string {
	if u.cause.Kind == CauseSetup {
		return u.cause.Text
	}
	return "a monitor wants it ended: " + u.cause.Text
}

// answered takes the sample of an answered heartbeat.
func (s *session) answered(start, now time.Time, v agent.Vitals) error {
	trip := now.Sub(start)
	sample := Sample{At: now, RoundTrip: trip, Vitals: v, OS: s.machine.OS, Arch: s.machine.Arch}
	if !v.Clock.IsZero() {
		sample.Offset = v.Clock.Sub(start.Add(trip / 2))
	}
	s.loop.pulse.vitals.Store(&v)
	return s.judge(sample)
}

// timedOut takes the sample of a heartbeat without an answer.
func (s *session) timedOut(start time.Time) error {
	now := time.Now()
	return s.judge(Sample{At: now, RoundTrip: now.Sub(start), TimedOut: true, OS: s.machine.OS, Arch: s.machine.Arch})
}

// judge has the monitors look at a sample. Its error is an *unwell.
func (s *session) judge(sample Sample) error {
	p := s.loop.pulse
	sample.Readings = p.probes.readings()
	if p.record != nil {
		p.record.Add(sample)
	}
	m := s.r.cfg.Monitors
	if m == nil {
		return nil
	}
	var limits map[string]Limit
	if l := p.limits.Load(); l != nil {
		limits = *l
	}
	j := m.Judge(p.verdicts, sample, limits)
	changed := !sameLevels(p.verdicts, j.Verdicts)
	p.verdicts = j.Verdicts
	p.shown.Store(new(shown(j.Verdicts)))
	if sameCause(p.cause, j.Cause) {
		j.Cause = p.cause
	} else {
		s.logHealth(j)
		p.cause, changed = j.Cause, true
	}
	if changed {
		s.r.update(s.loop, func(e *entry) {
			if e.unwell = j.Cause; j.Action == Disconnect {
				e.unwell = nil // the end of the session tells
			}
		})
	}
	if j.Action == Disconnect {
		return &unwell{j.Cause}
	}
	return nil
}

// logHealth writes into the node's log that a monitor takes it off, or lets it back.
func (s *session) logHealth(j Judgement) {
	if j.Cause != nil {
		s.loop.log.printf("Monitor %s: %s", j.By, j.Cause.Text)
		return
	}
	s.loop.log.printf("Monitor %s: good again", s.loop.pulse.cause.By)
}

// sameCause compares the causes of two judgements. The text of one that lasts changes with its value: the first stays.
func sameCause(a, b *OfflineCause) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.By == b.By && a.When.Equal(b.When)
}

func sameLevels(a, b map[string]Verdict) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range b {
		if was, ok := a[name]; !ok || was.Level != v.Level || was.Action != v.Action {
			return false
		}
	}
	return true
}

// shown is what people see of verdicts.
func shown(vs map[string]Verdict) map[string]Verdict {
	out := make(map[string]Verdict, len(vs))
	for name, v := range vs {
		v.State = nil
		out[name] = v
	}
	return out
}

// Series returns what a quantity of a node did since a time, of the last 24 hours at most, oldest first. Nothing is kept of it
// over a restart. fault.NotFound.
func (r *Roster) Series(n NodeName, q Quantity, since time.Time) ([]Point, error) {
	v, ok := r.view(n)
	switch {
	case !ok:
		return nil, fault.New(fault.NotFound, "node %s: there is no such node", n)
	case v.pulse.record == nil:
		return nil, nil
	}
	return v.pulse.record.Series(q, since), nil
}
