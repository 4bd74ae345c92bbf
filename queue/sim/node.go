package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
)

// node is a machine with its agent, and what the roster knows of it.
type node struct {
	s         *sim
	name      fleet.NodeName
	labels    []string
	executors int

	// The machine.
	alive  bool
	diedAt time.Duration
	boots  int
	agent  bool // the agent's process is up; steps run on without it
	procs  int  // counts its processes; what was sent to an older one does not arrive
	disk   map[string]*lease
	fence  map[string]uint64 // highest epoch seen of each item
	closed map[agent.Lease]bool

	// The network between it and the controller.
	cutTo, cutFrom bool
	cuts           int

	// The roster's side. session is 0 while there is no connection; far is the one the agent believes in.
	state    fleet.State
	session  uint64
	peer     int // the agent's process at the far end of the session
	sessions uint64
	far      uint64
	missed   int
	heard    time.Duration // of the newest heartbeat of this session that was answered, by the machine; 0 is none
	revision uint64
}

// lease is an open lease on the agent's disk. Its item has one step.
type lease struct {
	id       agent.Lease
	policy   agent.Policy
	deadline time.Duration // of a Kill lease
	expired  bool
	started  bool
	running  bool
	result   string // of the step, once it has ended
	run      int    // counts starts and stops
}

func newNode(s *sim, i int) *node {
	n := &node{
		s: s, name: fleet.NodeName(fmt.Sprintf("n%d", i)), executors: 1 + s.rng.IntN(3), alive: true, agent: true, state: fleet.Offline,
		disk: map[string]*lease{}, fence: map[string]uint64{}, closed: map[agent.Lease]bool{}, boots: 1,
	}
	n.labels = []string{string(n.name), "any"}
	if i%2 == 0 {
		n.labels = append(n.labels, "even")
	}
	slices.Sort(n.labels)
	n.dialLater()
	return n
}

func (n *node) boot() string { return fmt.Sprintf("%s-%d", n.name, n.boots) }

func (n *node) status() fleet.Status {
	return fleet.Status{
		Node: fleet.Node{Name: n.name, Executors: n.executors}, State: n.state, Assigned: n.labels, Revision: n.revision + 1,
		Machine: agent.Description{Boot: n.boot()},
	}
}

func (n *node) changed() {
	n.revision++
	n.s.ctl.changed()
}

func (n *node) setState(st fleet.State) {
	if n.state != st {
		n.state = st
		n.changed()
	}
}

// reconfigure is a person's doing.
func (n *node) reconfigure() {
	n.executors = n.s.rng.IntN(4)
	n.s.logf("%s: has %d executors now", n.name, n.executors)
	n.changed()
}

// dialLater has the agent dial until it is connected.
func (n *node) dialLater() {
	n.s.after(n.s.upTo(3*time.Second), func() {
		if !n.alive || !n.agent || n.far != 0 {
			return
		}
		n.dialLater() // until then
		if n.cutTo || n.cutFrom || !n.s.ctl.up {
			return
		}
		proc := n.procs
		n.s.ctl.enter(n.s.ctl.life, func() {
			if n.far != 0 || !n.agent || n.procs != proc {
				return
			}
			n.disconnected("the current peer is reconnecting")
			n.sessions++
			n.session, n.peer, n.missed, n.heard = n.sessions, proc, 0, 0
			n.s.ctl.beat(n, n.session, true, true)
		})
	})
}

// online is the end of connecting.
func (n *node) online() {
	n.far = n.session
	n.s.logf("%s: online, session %d", n.name, n.session)
	n.setState(fleet.Online)
	for _, x := range n.s.items {
		x.machineUp(n)
	}
}

// disconnected is the roster giving a session up.
func (n *node) disconnected(why string) {
	if n.session == 0 {
		return
	}
	n.s.logf("%s: session %d ended: %s", n.name, n.session, why)
	n.session = 0
	n.setState(fleet.Offline)
	n.hangUp()
}

// hangUp is the agent noticing, after a while, that its connection is gone.
func (n *node) hangUp() {
	n.session = 0
	n.state = fleet.Offline
	n.revision++
	far := n.far
	n.s.after(n.s.upTo(5*time.Second), func() {
		if n.far == far {
			n.far = 0
			n.dialLater()
		}
	})
}

// killAgent is kill -9 of the agent's process; shims and steps live on.
func (n *node) killAgent() {
	if !n.alive || !n.agent {
		return
	}
	n.s.logf("%s: agent killed", n.name)
	n.agent = false
	n.procs++
	n.endSession()
	n.s.after(n.s.upTo(20*time.Second), func() {
		if n.alive {
			n.agent = true
			n.dialLater()
		}
	})
}

// endSession is a connection that both sides see broken.
func (n *node) endSession() {
	n.far = 0
	if session := n.session; session != 0 {
		n.s.ctl.inside(n.s.upTo(time.Second), func() {
			if n.session == session {
				n.disconnected("connection reset")
			}
		})
	}
}

// restart is a machine that goes down and comes up; steps are gone, the disk is not, unless wiped.
func (n *node) restart(wiped bool) {
	if !n.alive {
		return
	}
	n.s.logf("%s: machine restarts, disk wiped %v", n.name, wiped)
	n.down()
	n.s.after(n.s.upTo(60*time.Second), func() {
		if !n.alive && n.diedAt == 0 {
			n.comeUp(wiped)
		}
	})
}

func (n *node) comeUp(wiped bool) {
	n.s.logf("%s: machine comes up", n.name)
	n.alive, n.agent = true, true
	n.boots++
	if wiped {
		clear(n.disk)
		clear(n.fence)
		clear(n.closed)
	}
	n.dialLater()
}

// dieForGood is a machine that nobody sees again, half-open connections and all.
func (n *node) dieForGood() {
	if !n.alive || n.s.calm {
		return
	}
	n.s.logf("%s: machine is gone for good", n.name)
	n.s.result.Deaths++
	n.diedAt = n.s.now
	n.down()
}

func (n *node) down() {
	n.alive, n.agent = false, false
	n.procs++
	for _, l := range n.leases() {
		n.stop(l, "machine down")
	}
	n.far = 0
}

// leases lists what is on the disk, by item.
func (n *node) leases() []*lease {
	out := make([]*lease, 0, len(n.disk))
	for _, l := range n.disk {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *lease) int { return strings.Compare(a.id.Item, b.id.Item) })
	return out
}

// renew is agent.Leases.Renew.
func (n *node) renew(held []agent.Lease, answered time.Duration) []agent.Lease {
	if n.s.opts.CountArrival {
		answered = n.s.now
	}
	for _, h := range held {
		if l := n.disk[h.Item]; l != nil && l.id == h && l.policy == agent.Kill && answered > 0 {
			n.arm(l, answered)
		}
	}
	var open []agent.Lease
	for _, l := range n.leases() {
		open = append(open, l.id)
	}
	return open
}

// arm sets the deadline by which a Kill lease must be renewed. The shim keeps it, whatever becomes of the agent.
func (n *node) arm(l *lease, from time.Duration) {
	if l.deadline >= from+ttl {
		return
	}
	l.deadline = from + ttl
	n.s.at(max(n.s.now, l.deadline), func() {
		if n.disk[l.id.Item] == l && n.s.now >= l.deadline && !l.expired {
			n.s.logf("%s: lease %s epoch %d ran out", n.name, l.id.Item, l.id.Epoch)
			l.expired = true
			n.stop(l, "ran out")
		}
	})
}

// open is agent.Leases.Open.
func (n *node) open(id agent.Lease, policy agent.Policy) bool {
	if id.Epoch < n.fence[id.Item] || n.closed[id] {
		return false
	}
	if l := n.disk[id.Item]; l != nil {
		if l.id == id {
			return true
		}
		n.closeLease(l.id, "a higher epoch came")
	}
	n.fence[id.Item] = id.Epoch
	n.s.logf("%s: lease %s epoch %d opened", n.name, id.Item, id.Epoch)
	l := &lease{id: id, policy: policy}
	n.disk[id.Item] = l
	if policy == agent.Kill {
		n.arm(l, n.s.now)
	}
	return true
}

// start is agent.Steps.Start: idempotent, and refused without the lease.
func (n *node) start(id agent.Lease, d time.Duration) bool {
	l := n.disk[id.Item]
	if l == nil || l.id != id || l.expired && !l.started {
		return false
	}
	if l.started {
		return true
	}
	l.started, l.running = true, true
	l.run++
	run := l.run
	n.s.oracle.started(n.s, n.name, id)
	n.s.after(d, func() {
		if l.running && l.run == run {
			n.end(l, "success")
		}
	})
	return true
}

// closeLease is agent.Leases.Close.
func (n *node) closeLease(id agent.Lease, why string) {
	if l := n.disk[id.Item]; l != nil && l.id == id {
		n.stop(l, why)
		delete(n.disk, id.Item)
	}
	n.closed[id] = true
	n.fence[id.Item] = max(n.fence[id.Item], id.Epoch)
}

func (n *node) stop(l *lease, why string) {
	if l.running {
		n.s.logf("%s: step of %s epoch %d killed: %s", n.name, l.id.Item, l.id.Epoch, why)
		n.end(l, "killed")
	}
}

func (n *node) end(l *lease, result string) {
	l.running, l.result = false, result
	l.run++
	n.s.oracle.ended(n.s, n.name, l.id)
}

// send carries a message to the agent, as often and as late as it likes, even after the connection was given up. It is lost when
// its agent is another process than the one that the session is with, and may be when the node is cut off.
func (s *sim) send(n *node, f func()) {
	proc := n.peer
	s.carry(func() {
		if n.alive && n.agent && n.procs == proc {
			f()
		}
	}, &n.cutTo)
}

// reply carries an answer back. Nobody sends it again once the agent is gone: then it arrives soon or never.
func (s *sim) reply(n *node, f func()) {
	proc, sent := n.procs, s.now
	s.carry(func() {
		if n.procs == proc || s.now-sent < grace {
			f()
		}
	}, &n.cutFrom)
}

// carry delivers a message, as often as it likes. One that meets a partition is lost, or sent again until that heals.
func (s *sim) carry(f func(), cut *bool) {
	for range s.copies() {
		again := s.one(2)
		var arrive func()
		arrive = func() {
			switch {
			case s.failed != nil:
			case !*cut:
				f()
			case again:
				s.after(s.upTo(5*time.Second), arrive)
			}
		}
		s.after(s.delay(), arrive)
	}
}

func (s *sim) client(id queue.ItemID) *client {
	for _, c := range s.items {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (s *sim) node(name fleet.NodeName) *node {
	for _, n := range s.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}
