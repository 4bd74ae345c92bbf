package shim

import "time"

// stop asks a step's tree to end: TERM now, KILL after grace. Of several stops the earliest KILL holds.
func (s *server) stop(key string, grace time.Duration, reason string) {
	s.mu.Lock()
	r := s.steps[key]
	if r == nil || r.pid == 0 || s.byPID[r.pid] != r {
		s.mu.Unlock()
		return // it has ended; its exit is on the way
	}
	if !r.stopped {
		r.stopped, r.reason = true, reason
	}
	at := time.Now().Add(max(grace, 0))
	if r.kill != nil && r.killAt.Before(at) {
		s.mu.Unlock()
		return
	}
	if r.kill != nil {
		r.kill.Stop()
	}
	first, lease := r.kill == nil, s.lease
	r.killAt = at
	// The timer is not stopped when the step ends: what it left behind is part of its tree and gets its KILL too.
	r.kill = time.AfterFunc(max(grace, 0), func() { s.endStep(lease, r.pid, key, true) })
	s.mu.Unlock()
	if first && grace > 0 {
		go s.endStep(lease, r.pid, key, false)
	}
}

// endStep sends a signal to the tree of one step of a lease, as long as that is the shim's: the next lease may have a step with the
// same key, and close does not let it begin in between.
func (s *server) endStep(lease string, pid int, key string, kill bool) {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.mu.Lock()
	gone := s.lease != lease
	s.mu.Unlock()
	if !gone {
		s.family.endStep(pid, key, kill)
	}
}

// close ends the lease: nothing of it lives when the agent hears closed. It does not give up; a process that the kernel
// cannot end (stuck in a dead mount) keeps the lease in closing until it does.
func (s *server) close(grace time.Duration, reason string) {
	s.mu.Lock()
	key := s.lease
	s.mu.Unlock()
	s.endAll(key, grace, reason)
	s.turning.Lock()
	defer s.turning.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pumps {
		p.close()
	}
	s.family.quieten()
	s.pumps, s.lease, s.deadline, s.expired, s.closing = nil, "", 0, false, false
	s.tell(Message{Kind: KindClosed, Lease: key})
	if s.peer == nil {
		s.leave()
	}
}

// endAll ends every process of the lease named: TERM, then KILL after grace, until none is left and every exit is on disk. Only one
// runs at a time, and close is one of them: so none ever goes on into the next lease of this shim and ends that.
func (s *server) endAll(lease string, grace time.Duration, reason string) {
	s.ending.Lock()
	defer s.ending.Unlock()
	s.mu.Lock()
	if s.lease != lease {
		s.mu.Unlock()
		return
	}
	for _, r := range s.steps {
		if !r.stopped {
			r.stopped, r.reason = true, reason
		}
	}
	s.mu.Unlock()
	until := time.Now().Add(grace)
	asked := false
	for wait := time.Millisecond; !s.settled(); wait = min(2*wait, 50*time.Millisecond) {
		s.family.listen()
		switch {
		case !time.Now().Before(until):
			s.family.endAll(true)
		case !asked:
			s.family.endAll(false)
			asked = true
		}
		select {
		case <-s.family.reaped:
		case <-s.changed:
		case <-time.After(wait):
		}
	}
}

// settled reports whether no process is left and every exit is on disk.
func (s *server) settled() bool {
	if !s.family.empty() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.steps) == 0
}
