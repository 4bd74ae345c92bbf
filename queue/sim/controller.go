package sim

import (
	"context"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/memory"
)

// controller is a process around the real core. What it has not written dies with it.
type controller struct {
	s      *sim
	ledger *memory.Ledger // outlives the process

	up          bool
	life        int // counts the processes; what an older one planned does not happen
	core        *queue.Core
	pending     []queue.Write
	writing     bool
	wakeAt      time.Duration
	since       time.Duration // of this process, or of the end of its last pause
	pausedUntil time.Duration
	late        []func() // what came while it was paused
	lockedUntil time.Duration
	shown       map[fleet.NodeName]int // executors of the nodes, as the core was last told
}

func newController(s *sim) *controller {
	return &controller{s: s, ledger: memory.New(), shown: map[fleet.NodeName]int{}}
}

func (c *controller) startLater(d time.Duration) {
	life := c.life
	c.s.after(d, func() {
		if !c.up && c.life == life {
			c.start()
		}
	})
}

// start is a new process: it reads the ledger, and those who wait come again by their journals.
func (c *controller) start() {
	c.up, c.core, c.since, c.wakeAt = true, queue.NewCore(c.s.limits()), c.s.now, 0
	c.s.logf("controller: started")
	if err := c.core.SetPolicy(c.s.instant(), c.s.policy); err != nil {
		c.s.broken("policy: %v", err)
	}
	items, rows, err := c.ledger.Load(context.Background())
	if err != nil {
		c.s.broken("load: %v", err)
	}
	last, err := c.ledger.LastNodes(context.Background())
	if err != nil {
		c.s.broken("load: %v", err)
	}
	times, err := c.ledger.Times(context.Background())
	if err != nil {
		c.s.broken("load: %v", err)
	}
	c.core.Restore(c.s.instant(), items, rows, last)
	c.core.RestoreTimes(times)
	for _, n := range c.s.nodes {
		n.disconnected("controller started")
	}
	for _, x := range c.s.items {
		x.resume()
	}
	c.changed()
}

// crash is kill -9, between any two transactions.
func (c *controller) crash(why string) {
	if !c.up {
		return
	}
	c.s.result.Restarts++
	c.s.logf("controller: %s", why)
	c.up, c.core, c.pending, c.writing, c.late, c.pausedUntil = false, nil, nil, false, nil, 0
	c.life++
	c.ledger.Crash()
	for _, n := range c.s.nodes {
		n.hangUp()
	}
}

// pause is SIGSTOP, then SIGCONT.
func (c *controller) pause(d time.Duration) {
	if !c.up || c.pausedUntil > c.s.now {
		return
	}
	c.s.logf("controller: stopped for %v", d)
	c.pausedUntil = c.s.now + d
	life := c.life
	c.s.after(d, func() {
		if c.life != life {
			return
		}
		c.s.logf("controller: goes on")
		c.since = c.s.now
		late := c.late
		c.late = nil
		for _, f := range late {
			f()
		}
		c.turn()
	})
}

// inside plans something that happens in this process, when it runs.
func (c *controller) inside(d time.Duration, f func()) {
	life := c.life
	c.s.after(d, func() { c.enter(life, f) })
}

// enter lets something happen in a process: now, when it goes on, or never.
func (c *controller) enter(life int, f func()) {
	switch {
	case c.life != life || !c.up || c.s.failed != nil:
	case c.pausedUntil > c.s.now:
		c.late = append(c.late, func() { c.enter(life, f) })
	default:
		f()
	}
}

// turn does what Queue.serve does after each call.
func (c *controller) turn() {
	if !c.up || c.s.failed != nil {
		return
	}
	c.core.Place(c.s.instant())
	c.pending = append(c.pending, c.core.Writes()...)
	for _, e := range c.core.Events() {
		c.tell(e)
	}
	if !c.writing && len(c.pending) > 0 {
		c.write()
	}
	c.s.oracle.afterTurn(c.s)
	c.plan()
}

// plan has the core tick in time.
func (c *controller) plan() {
	at, ok := c.core.Next()
	if watch := c.s.now + 5*time.Second; c.core.Watching() && (!ok || watch < at) {
		at, ok = watch, true
	}
	at = max(at, c.s.now)
	if !ok || c.wakeAt > c.s.now && c.wakeAt <= at {
		return
	}
	c.wakeAt = at
	c.inside(at-c.s.now, func() {
		if c.wakeAt == at {
			c.wakeAt = 0
		}
		c.core.Tick(c.s.instant())
		c.turn()
	})
}

// write commits what is pending, transaction by transaction, each after a while.
func (c *controller) write() {
	c.writing = true
	batches := queue.Batches(c.pending)
	c.pending = nil
	c.commit(batches)
}

func (c *controller) commit(batches [][]queue.Write) {
	if len(batches) == 0 {
		c.writing = false
		c.turn()
		return
	}
	c.inside(c.s.upTo(30*time.Millisecond)+max(0, c.lockedUntil-c.s.now), func() {
		stale := c.apply(batches[0])
		c.s.oracle.ledger(c.s, batches[0])
		// It is on disk; the process may die before it hears so.
		c.inside(c.s.upTo(5*time.Millisecond), func() {
			for _, w := range batches[0] {
				var err error
				if stale[w.Row.Grant] {
					err = fault.New(fault.Stale, "stale")
				}
				c.core.Written(c.s.instant(), w, 0, err)
			}
			c.turn()
			if c.up {
				c.commit(batches[1:])
			}
		})
	})
}

// apply makes a batch durable.
func (c *controller) apply(batch []queue.Write) map[queue.Grant]bool {
	ctx := context.Background()
	var rows []queue.LeaseRow
	for _, w := range batch {
		rows = append(rows, w.Row)
	}
	stale := map[queue.Grant]bool{}
	switch batch[0].Op {
	case queue.PutOp:
		for _, w := range batch {
			_ = c.ledger.PutItem(ctx, w.Item)
		}
	case queue.SetOp:
		refused, _ := c.ledger.SetLease(ctx, rows)
		for _, r := range refused {
			stale[r.Grant] = true
		}
	case queue.GrantOp:
		if err := c.ledger.Grant(ctx, rows); err != nil {
			c.s.broken("the ledger refuses a grant: %v", err)
		}
	case queue.DropOp:
		for _, w := range batch {
			_ = c.ledger.DropItem(ctx, w.Item.ID)
		}
	case queue.TimeOp:
		for _, w := range batch {
			_ = c.ledger.PutTimes(ctx, []queue.WorkTimes{w.Times})
		}
	}
	return stale
}

// tell passes an event on.
func (c *controller) tell(e queue.Event) {
	c.s.oracle.event(c.s, e)
	x := c.s.client(e.Grant.Item)
	switch e.Kind {
	case queue.Granted:
		c.s.logf("queue: %s epoch %d on %s/%d", e.Grant.Item, e.Grant.Epoch, e.Grant.Node, e.Grant.Executor)
		c.inside(0, func() { x.granted(e.Grant) })
	case queue.Lost:
		c.s.logf("queue: %s epoch %d on %s is lost", e.Grant.Item, e.Grant.Epoch, e.Grant.Node)
		c.inside(0, func() { x.lost(e.Grant) })
	}
}

// changed shows the core the fleet.
func (c *controller) changed() {
	if !c.up {
		return
	}
	c.inside(0, func() {
		var all []fleet.Status
		for _, n := range c.s.nodes {
			all = append(all, n.status())
		}
		c.core.SetFleet(c.s.instant(), all)
		for _, st := range all {
			c.shown[st.Node.Name] = st.Node.Executors
		}
		c.turn()
	})
}

// beat sends a heartbeat of a session, as fleet's session.beat does.
func (c *controller) beat(n *node, session uint64, named, first bool) {
	if n.session != session {
		return
	}
	var held []agent.Lease
	if named {
		held = c.core.Held(c.s.instant(), n.name)
	}
	answered, sent, known := false, c.s.now, n.heard
	c.s.send(n, func() {
		open, boot, heard := n.renew(held, known), n.boot(), c.s.now
		c.s.reply(n, func() {
			c.inside(0, func() {
				if answered || n.session != session || c.s.now-sent >= beatEvery {
					return
				}
				answered = true
				n.missed, n.heard = 0, heard
				c.renewed(n, fleet.Renewal{Node: n.name, Session: session, Boot: boot, First: first, Held: held, Open: open})
			})
		})
	})
	c.inside(beatEvery, func() {
		switch {
		case n.session != session:
		case answered:
			if !first {
				c.inside(max(0, sent+beatEvery-c.s.now), func() { c.beat(n, session, true, false) })
			}
		case first:
			n.disconnected("no answer to the first heartbeat")
		default:
			if n.missed++; n.missed == 2 {
				n.disconnected("two heartbeats were not answered")
				return
			}
			c.beat(n, session, false, false)
		}
	})
}

func (c *controller) renewed(n *node, r fleet.Renewal) {
	garbage := c.core.Renewed(c.s.instant(), r)
	c.turn()
	if !c.up {
		return
	}
	for _, l := range garbage {
		c.s.logf("%s: lease %s epoch %d is garbage", n.name, l.Item, l.Epoch)
		c.s.send(n, func() { n.closeLease(l, "garbage") })
	}
	if r.First {
		n.online()
		c.beat(n, r.Session, true, false) // at once: the first has prolonged nothing
	}
}
