package fleet

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// Probe is a monitor of one's own: a script that is run on the machine now and then, with no lease of the queue's and beside the work.
type Probe struct {
	Command  string        `json:"command"`            // for the machine's sh, or cmd.exe on Windows; it fails when it ends with another exit code than 0
	Interval time.Duration `json:"interval,omitempty"` // between two starts; 0 is a minute
	Value    string        `json:"value,omitempty"`    // regular expression whose first group in the output is a number; "": only the exit code counts
	Below    bool          `json:"below,omitempty"`    // values below the limits are bad, not those above
	Limit    Limit         `json:"limit,omitzero"`     // Action "" is TakeOff; a limit of 0 is none, in the value's unit
}

// Reading is what came of a probe's newest run.
type Reading struct {
	Probe  Probe
	At     time.Time
	Failed string  // why it is bad whatever the value is; "" when it succeeded
	Value  float64 // of a probe that has one
	Text   string  // what it wrote first
}

const (
	probeEvery    = time.Minute
	probeLeast    = 5 * time.Second
	probePatience = time.Minute // for one run, at most; its interval when that is shorter
	probeOutput   = 64 << 10    // bytes of a run's output that are read
	probesMost    = 20          // of a node
)

// CheckProbe says what is wrong with a probe. fault.Invalid.
func CheckProbe(name string, p Probe) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`).MatchString(name) {
		return fault.New(fault.Invalid, "monitors: %q: expected a name of small letters, digits and hyphens, such as docker-ok", name)
	}
	bad := func(what, format string, args ...any) error {
		return fault.New(fault.Invalid, "monitors.%s.%s: %w", name, what, fmt.Errorf(format, args...))
	}
	if strings.TrimSpace(p.Command) == "" || strings.ContainsRune(p.Command, 0) || len(p.Command) > 64<<10 {
		return bad("exec", "expected a script")
	}
	if p.Interval != 0 && p.Interval < probeLeast {
		return bad("interval", "%v: expected at least %v", p.Interval, probeLeast)
	}
	if _, err := regexp.Compile(p.Value); err != nil {
		return bad("value", "%w", err)
	}
	switch l := p.Limit; {
	case l.Action != "" && l.Action != Ignore && l.Action != Warn && l.Action != TakeOff && l.Action != Disconnect:
		return bad("action", "%q: expected ignore, warn, offline or disconnect", l.Action)
	case p.Value == "" && (l.Bad != 0 || l.Warn != 0 || p.Below):
		return bad("bad", "expected value too: without one only the exit code counts")
	case l.Bad != 0 && l.Warn != 0 && p.Below != (l.Warn > l.Bad) && l.Warn != l.Bad:
		return bad("warn", "%d would never be seen beside bad: %d", l.Warn, l.Bad)
	}
	return nil
}

// checkProbes checks all of a node's.
func (r *Roster) checkProbes(probes map[string]Probe) error {
	if len(probes) > probesMost {
		return fault.New(fault.Invalid, "monitors: %d of its own: expected at most %d", len(probes), probesMost)
	}
	for name, p := range probes {
		if err := CheckProbe(name, p); err != nil {
			return err
		}
		if m := r.cfg.Monitors; m != nil && m.Check(map[string]Limit{name: {}}) == nil {
			return fault.New(fault.Invalid, "monitors.%s: there is a monitor of that name already", name)
		}
	}
	return nil
}

// probes are those of a node and what came of them. They outlive a session.
type probes struct {
	changed chan struct{} // holds a token when want has changed

	mu   sync.Mutex
	want map[string]Probe   // guarded by mu
	read map[string]Reading // guarded by mu: of those that are wanted as they were read
}

// set says which are wanted from now on. What was read of another is forgotten.
func (ps *probes) set(want map[string]Probe) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.want = want
	maps.DeleteFunc(ps.read, func(name string, r Reading) bool { return want[name] != r.Probe })
	select {
	case ps.changed <- struct{}{}:
	default:
	}
}

// readings is a copy; nil without any.
func (ps *probes) readings() map[string]Reading {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return maps.Clone(ps.read)
}

func (ps *probes) took(name string, r Reading) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.want[name] != r.Probe {
		return
	}
	if ps.read == nil {
		ps.read = map[string]Reading{}
	}
	ps.read[name] = r
}

// due returns those that are to be started now, and when the next one is; zero is never.
func (ps *probes) due(now time.Time, started map[string]time.Time) (start map[string]Probe, next time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	start = map[string]Probe{}
	for name, p := range ps.want {
		every := p.Interval
		orElse(&every, probeEvery)
		at := started[name].Add(every)
		if _, read := ps.read[name]; !at.After(now) || !read && started[name].IsZero() {
			start[name], at = p, now.Add(every)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return start, next
}

// probe runs the node's probes until ctx ends: one round at once, for which it waits, the rest in the background.
func (s *session) probe(ctx context.Context) {
	started, busy := map[string]time.Time{}, map[string]chan struct{}{}
	round := func() (next time.Time) {
		start, next := s.loop.pulse.probes.due(time.Now(), started)
		for name, p := range start {
			started[name] = time.Now()
			select {
			case <-busy[name]:
			default:
				if busy[name] != nil {
					continue // it still runs
				}
			}
			done := make(chan struct{})
			busy[name] = done
			s.closing.Go(func() {
				defer close(done)
				s.probeOnce(ctx, name, p)
			})
		}
		return next
	}
	next := round()
	for _, done := range busy {
		<-done
	}
	s.closing.Go(func() {
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for {
			timer.Stop()
			if !next.IsZero() {
				timer.Reset(time.Until(next))
			}
			select {
			case <-timer.C:
			case <-s.loop.pulse.probes.changed:
			case <-s.conn.Done():
				return
			case <-ctx.Done():
				return
			}
			next = round()
		}
	})
}

// probeOnce runs one probe to its end. What the machine cannot run now changes nothing.
func (s *session) probeOnce(ctx context.Context, name string, p Probe) {
	patience := min(probePatience, p.Interval)
	if p.Interval == 0 {
		patience = probePatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlowProbe)
	defer cancel()
	r := Reading{Probe: p}
	out, exit, err := s.runProbe(ctx, agent.StepID(name+"/"+strconv.FormatUint(s.runs.Add(1), 10)), p.Command)
	switch {
	case err != nil && context.Cause(ctx) == errSlowProbe:
		r.Failed = fmt.Sprintf("it took longer than %v", patience)
	case err != nil:
		if ctx.Err() == nil {
			s.loop.log.printf("Monitor %s cannot be run: %v", name, err)
		}
		return
	case exit.Lost:
		return
	case exit.Code != 0:
		r.Failed = fmt.Sprintf("exit %d", exit.Code)
	}
	r.At = time.Now()
	r.take(out)
	s.loop.pulse.probes.took(name, r)
}

var errSlowProbe = fault.New(fault.Unavailable, "a probe took too long")

// take reads what a run wrote.
func (r *Reading) take(out []byte) {
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	r.Text = strings.ToValidUTF8(first[:min(len(first), 200)], "")
	if r.Failed != "" || r.Probe.Value == "" {
		return
	}
	m := regexp.MustCompile(r.Probe.Value).FindSubmatch(out) // it was checked
	if m == nil {
		r.Failed = fmt.Sprintf("its output does not match %s", r.Probe.Value)
		return
	}
	value, err := strconv.ParseFloat(string(m[min(1, len(m)-1)]), 64)
	if err != nil {
		r.Failed = fmt.Sprintf("its output has %q where a number should be", m[min(1, len(m)-1)])
		return
	}
	r.Value = value
}

// runProbe runs a script in a lease of the session's own.
func (s *session) runProbe(ctx context.Context, step agent.StepID, script string) ([]byte, agent.Exit, error) {
	m, lease := s.conn.Machine(), agent.Lease{Item: s.own + "probe", Epoch: 1}
	if _, err := m.Open(ctx, agent.OpenRequest{Lease: lease, Job: "probe", Build: "probe", Workspace: "probe", Policy: agent.Hold}); err != nil {
		return nil, agent.Exit{}, err
	}
	r := agent.StartRequest{Lease: lease, Step: step, Interpreter: "sh", Script: []byte("#!/bin/sh\n" + script + "\n"), MaxOutput: probeOutput}
	if s.machine.OS == "windows" {
		r.Interpreter, r.Script = "bat", []byte("@echo off\r\n"+script+"\r\n")
	}
	if err := m.Start(ctx, r); err != nil {
		return nil, agent.Exit{}, err
	}
	var out bytes.Buffer
	exit, err := m.Follow(ctx, lease, step, 0, func(o agent.Output) error {
		out.Write(o.Data)
		return nil
	})
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.r.cfg.Heartbeat)
	defer cancel()
	if err != nil {
		_ = m.Stop(after, agent.StopRequest{Lease: lease, Step: step, Grace: -1, Reason: "the monitor has waited long enough"}) // else it ends with the lease
		_, _ = m.Follow(after, lease, step, 0, func(agent.Output) error { return nil })
	}
	_ = m.Forget(after, lease, step) // else with the lease
	return out.Bytes(), exit, err
}

// firstLook has the node's own monitors look at the machine before anybody uses it, with heartbeats meanwhile, and the next one judges.
func (s *session) firstLook(ctx context.Context) error {
	watched, unwatch := context.WithCancel(ctx)
	s.unwatch = unwatch
	ps := &s.loop.pulse.probes
	if start, _ := ps.due(time.Now(), nil); len(start) == 0 {
		s.probe(watched)
		return nil
	}
	if err := s.alive(watched, func(ctx context.Context) error { s.probe(watched); return nil }); err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, s.r.cfg.ConnectTimeout)
	defer cancel()
	return s.renew(soon, true, false)
}
