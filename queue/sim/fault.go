package sim

import "time"

// fault makes one thing go wrong.
func (s *sim) fault() {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch s.rng.IntN(12) {
	case 0, 1:
		s.ctl.crash("killed")
		s.ctl.startLater(s.upTo(20 * time.Second))
	case 2:
		s.ctl.pause(s.upTo(70 * time.Second))
	case 3:
		s.logf("the ledger is locked")
		s.ctl.lockedUntil = s.now + s.upTo(20*time.Second)
	case 4, 5, 6:
		s.partition(n)
	case 7:
		n.killAgent()
	case 8:
		n.restart(s.one(3))
	case 9:
		n.dieForGood()
	case 10:
		s.skew = time.Duration(s.rng.Int64N(int64(2*time.Hour))) - time.Hour
		s.logf("the wall clock jumps to %v off", s.skew)
	case 11:
		n.reconfigure()
	}
}

// partition cuts a node off, in one direction or both, for 1 to 120 s.
func (s *sim) partition(n *node) {
	s.result.Partitions++
	both := s.one(2)
	to, from := both || s.one(2), true
	if !both && to {
		from = false
	}
	d := s.upTo(120 * time.Second)
	n.cutTo, n.cutFrom = to, from
	s.logf("%s: cut off (to it %v, from it %v) for %v", n.name, to, from, d)
	n.cuts++
	cut := n.cuts
	s.after(d, func() {
		if n.cuts == cut {
			s.logf("%s: not cut off any more", n.name)
			n.cutTo, n.cutFrom = false, false
		}
	})
}

// heal ends all faults. Machines that died for good are replaced by new ones of the same name.
func (s *sim) heal() {
	s.calm = true
	s.logf("no more faults")
	s.ctl.lockedUntil = 0
	if !s.ctl.up {
		s.ctl.startLater(0)
	}
	for _, n := range s.nodes {
		n.cuts++
		n.cutTo, n.cutFrom = false, false
		if n.executors == 0 {
			n.executors = 1
			n.changed()
		}
		if n.diedAt > 0 {
			n.diedAt = 0
			n.comeUp(true)
		}
	}
}
