package queue

import (
	"cmp"
	"fmt"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

// Core is the queue's state machine, without goroutines, clocks, disks and networks: every method takes the time, and what is
// to be done outside waits in Writes and Events. Queue wraps it for use; queue/sim drives it through thousands of bad days.
// It is not safe for concurrent use.
//
// The one who drives it hands Writes to the ledger in order and reports each to Written; calls Place after every change; and
// calls Tick at Next at the latest, and well within each Limits.Grace while Watching.
type Core struct {
	limits   Limits
	items    map[ItemID]*item
	board    *board
	nodes    map[fleet.NodeName]fleet.Status
	leases   map[fleet.NodeName]map[ItemID]*item // leased and held ones, by node
	ended    []*item                             // in the order of their end; some may be alive again
	restored []*item                             // that Restore brought; nil once unclaimed ones were given up
	waiting  int                                 // items in phase waiting, on the board or not
	arrivals uint64
	writeNo  uint64
	writes   []Write
	events   []Event
	seen     time.Duration                // when the core last ran
	checkAt  time.Duration                // no lease runs out before; 0 is never
	giveUpAt time.Duration                // when unclaimed items are given up; 0 is never
	idle     map[fleet.NodeName]time.Time // when the last lease of a node ended that has none now
	done     map[fleet.NodeName]int       // leases that ended on a node, but for those never opened
	resting  []rest                       // nodes that gave a lease back, the first to end first
	quiet    quiet
	stats    Stats
	decided  decisions
}

// Limits are the times and counts of Config, all set.
type Limits struct {
	TTL, Grace, HoldWindow, KeepEnded, Unclaimed time.Duration
	Rest                                         time.Duration // of a node that gave a lease back; 0 is none
	MaxWaiting                                   int
}

// Instant is one moment by two clocks. Leases live by Mono, which never jumps; Wall is for display only.
type Instant struct {
	Mono time.Duration
	Wall time.Time
}

// Stats counts what a Core has done.
type Stats struct {
	Submitted, Refused, Granted, Returned, Released, Lost, Held, Recovered, Forgiven uint64
}

// phase is where an item is.
//
//	waiting ──Place──▶ granting ──ledger──▶ leased ◀──▶ held
//	   ▲                                      │           │
//	   └──Submit── ended ◀──ledger── losing ◀─┴───────────┘
//
// Release, Return and Withdraw lead from granting, leased and held straight to ended, Return on to waiting.
type phase uint8

const (
	waiting  phase = iota
	granting       // the ledger is writing the lease; nobody has heard of it
	leased
	held
	losing // the ledger is writing that it is lost; nobody has heard of that
	ended
)

// item is an Item and its newest lease.
type item struct {
	Item
	expr    *label.Expr
	waiter  waiter
	phase   phase
	claimed bool      // submitted since the controller started
	since   time.Time // of phase
	arrived time.Duration

	row   LeaseRow // the newest lease; its Epoch is 0 before the first
	lost  bool     // ended by loss
	endAt time.Duration

	heard  time.Duration // when the agent last knew that this lease is held, at the latest
	heldAt time.Duration
	opened bool // the agent has listed it as open

	timed    bool          // Opened was told, by this controller
	openedAt time.Duration // when, if timed
	silent   bool          // the lease was held at some time: how long it took says little
}

// Write is one thing for the ledger to keep.
type Write struct {
	No    uint64
	Op    Op
	Item  Item      // for PutOp and DropOp; of TimeOp, its ID
	Row   LeaseRow  // for GrantOp and SetOp
	Times WorkTimes // for TimeOp
}

// Op is the Ledger's method that a Write asks for.
type Op uint8

const (
	PutOp Op = iota
	SetOp
	GrantOp
	DropOp
	TimeOp
)

// Event is something that others wait for.
type Event struct {
	Kind  EventKind
	Grant Grant          // of Granted, Lost and Ended
	Node  fleet.NodeName // of Idled
}

// EventKind says what happened.
type EventKind uint8

const (
	Granted   EventKind = iota // the lease is durable
	Lost                       // the loss is durable
	Ended                      // the lease was released or returned: it will not be lost
	Withdrawn                  // the item was withdrawn; only Grant.Item is set
	Idled                      // a draining node holds no lease any more
)

// NewCore returns a core with nothing in it and the default policy.
func NewCore(l Limits) *Core {
	r, _ := Policy{}.compile() // the zero value is right
	return &Core{
		limits: l, items: map[ItemID]*item{}, board: newBoard(r),
		nodes: map[fleet.NodeName]fleet.Status{}, leases: map[fleet.NodeName]map[ItemID]*item{},
		idle: map[fleet.NodeName]time.Time{}, done: map[fleet.NodeName]int{},
	}
}

// SetPolicy has a policy decide from now on. What was placed stays where it is.
func (c *Core) SetPolicy(now Instant, p Policy) error {
	r, err := p.compile()
	if err != nil {
		return fault.With(fault.Invalid, fmt.Errorf("scheduling policy: %w", err))
	}
	c.wake(now)
	c.board = c.board.ruled(r)
	return nil
}

const maxID = 512 // bytes, as agent.Lease says

// Submit puts an item into the queue; see Queue.Submit. It returns the grant if the item is leased already.
func (c *Core) Submit(now Instant, it Item) (g Grant, granted bool, err error) {
	c.wake(now)
	if it.ID == "" || len(it.ID) > maxID {
		return Grant{}, false, fault.New(fault.Invalid, "queue item %q: expected an id of 1 to %d bytes", it.ID, maxID)
	}
	expr, err := label.Parse(it.Label)
	if err != nil {
		return Grant{}, false, fmt.Errorf("queue item %s: label: %w", it.ID, err)
	}
	if it.Policy == "" {
		it.Policy = agent.Hold
	}
	old := c.items[it.ID]
	if old != nil && old.phase != ended && old.phase != losing {
		return c.claim(old, it, expr)
	}
	if old != nil && old.Policy == agent.Hold && (old.lost || old.phase == losing) {
		return Grant{}, false, fmt.Errorf("queue item %s: epoch %d: %w", it.ID, old.row.Epoch, ErrLost)
	}
	if c.waiting >= c.limits.MaxWaiting {
		c.stats.Refused++
		return Grant{}, false, fault.New(fault.Exhausted, "queue item %s: %d items wait already, which is the limit", it.ID, c.waiting)
	}
	if it.Waiting.IsZero() {
		it.Waiting = now.Wall
	}
	c.stats.Submitted++
	x := &item{Item: it, expr: expr, claimed: true, arrived: now.Mono}
	if old != nil {
		x.row = LeaseRow{Grant: old.row.Grant}
	}
	c.add(x)
	c.write(Write{Op: PutOp, Item: it})
	c.wait(now, x)
	return Grant{}, false, nil
}

// add makes an item known, behind all that were before.
func (c *Core) add(x *item) {
	c.arrivals++
	x.waiter = waiter{id: x.ID, seq: c.arrivals}
	c.items[x.ID] = x
}

// claim finds an item that is there already. After a restart its first submission is what places it, or gives it its lease.
func (c *Core) claim(x *item, it Item, expr *label.Expr) (Grant, bool, error) {
	if !x.claimed {
		it.Waiting = x.Waiting
		x.Item, x.expr, x.claimed = it, expr, true
		c.write(Write{Op: PutOp, Item: it})
		if x.phase == waiting {
			c.post(x)
		}
	}
	return x.row.Grant, x.phase == leased || x.phase == held, nil
}

// wait makes an item wait in the place it has.
func (c *Core) wait(now Instant, x *item) {
	x.phase, x.since = waiting, now.Wall
	c.waiting++
	if x.claimed {
		c.post(x)
	}
}

// post puts a waiting item on the board.
func (c *Core) post(x *item) {
	x.waiter.affinity, x.waiter.work, x.waiter.job, x.waiter.priority = x.Affinity, x.work(), string(x.Build.Job), x.Priority
	c.board.add(&x.waiter, x.expr, x.Node)
}

// work is what the item's duration is remembered by.
func (x *item) work() string { return cmp.Or(x.Work, x.Affinity) }

// unwait takes an item out of phase waiting.
func (c *Core) unwait(x *item) {
	c.waiting--
	if x.waiter.class != nil {
		c.board.remove(&x.waiter)
	}
}

// Withdraw takes an item out of the queue. A lease that the ledger is still writing ends at once: nobody has heard of it.
func (c *Core) Withdraw(now Instant, id ItemID) error {
	c.wake(now)
	x := c.items[id]
	switch {
	case x == nil || x.phase == ended:
		return fault.New(fault.NotFound, "queue item %s: it does not wait", id)
	case x.phase == waiting:
		c.unwait(x)
		c.retire(now, x)
	case x.phase == granting:
		c.finish(now, x, LeaseDone)
		c.bury(now, x)
	default:
		return fault.New(fault.Conflict, "queue item %s: it has been granted", id)
	}
	c.emit(Event{Kind: Withdrawn, Grant: Grant{Item: id}})
	return nil
}

// retire ends an item that waited; without any lease there is no epoch to remember.
func (c *Core) retire(now Instant, x *item) {
	x.phase, x.since, x.lost = ended, now.Wall, false
	if x.row.Epoch > 0 {
		c.bury(now, x)
		return
	}
	c.forget(x)
}

// current finds the item of a grant that is its newest and has not ended.
func (c *Core) current(g Grant) (*item, error) {
	x := c.items[g.Item]
	if x == nil || x.row.Epoch != g.Epoch || x.phase != leased && x.phase != held {
		return nil, fault.New(fault.Stale, "queue item %s: epoch %d: the lease has ended", g.Item, g.Epoch)
	}
	return x, nil
}

// Release ends a lease in good order. The slot is free at once: a new lease of it is written after this end, so the ledger
// never has two. It returns the number of the write that makes the end durable.
func (c *Core) Release(now Instant, g Grant) (uint64, error) {
	c.wake(now)
	x, err := c.current(g)
	if err != nil {
		return 0, err
	}
	c.stats.Released++
	no := c.finish(now, x, LeaseDone)
	c.bury(now, x)
	c.learn(now, x)
	c.emit(Event{Kind: Ended, Grant: g})
	return no, nil
}

// learn remembers how long work took that has ended in good order: well or not, the queue does not know. What was opened before
// the controller started is left out: the clock that does not jump has begun anew.
func (c *Core) learn(now Instant, x *item) {
	if work := x.work(); work != "" && x.timed && !x.silent {
		w := c.board.times.learn(work, x.row.Node, now.Mono-x.openedAt)
		c.write(Write{Op: TimeOp, Item: Item{ID: x.ID}, Times: *w})
	}
}

// Return ends a lease that was never opened on the machine; its item waits again in its old place. The node rests: whatever
// refused the lease would refuse the next one, while others may take it.
func (c *Core) Return(now Instant, g Grant) (uint64, error) {
	c.wake(now)
	x, err := c.current(g)
	if err != nil {
		return 0, err
	}
	if x.opened {
		return 0, fault.New(fault.Conflict, "queue item %s: epoch %d: the lease was opened, its work may have begun", g.Item, g.Epoch)
	}
	no := c.requeue(now, x)
	c.emit(Event{Kind: Ended, Grant: g})
	c.rest(now, g.Node)
	return no, nil
}

// requeue ends the lease of an item that waits again.
func (c *Core) requeue(now Instant, x *item) uint64 {
	c.stats.Returned++
	no := c.finish(now, x, LeaseDone)
	if c.done[x.row.Node] > 0 {
		c.done[x.row.Node]-- // its work never began there
	}
	c.wait(now, x)
	return no
}

// finish ends a lease: the slot is free, the ledger is told. The caller sets what the item is next if not ended.
func (c *Core) finish(now Instant, x *item, s LeaseState) uint64 {
	g := x.row.Grant
	x.row.State, x.row.Ended = s, now.Wall
	x.phase, x.since, x.lost, x.opened = ended, now.Wall, s == LeaseLost, false
	c.board.vacate(g.Node, g.Executor, g.Item)
	if on := c.leases[g.Node]; on[g.Item] == x {
		delete(on, g.Item)
		if len(on) == 0 {
			delete(c.leases, g.Node)
		}
	}
	c.vacated(now, g.Node)
	c.idled(g.Node)
	return c.write(Write{Op: SetOp, Row: x.row})
}

// idled tells about a draining node without leases.
func (c *Core) idled(n fleet.NodeName) {
	if p := c.board.places[n]; c.nodes[n].State == fleet.Draining && (p == nil || len(p.used) == 0) {
		c.emit(Event{Kind: Idled, Node: n})
	}
}

// bury remembers an ended item for a while, for its epoch.
func (c *Core) bury(now Instant, x *item) {
	x.endAt = now.Mono
	c.ended = append(c.ended, x)
}

// Place gives waiting items their slots. Each becomes a write; nobody hears of it before the ledger has it.
func (c *Core) Place(now Instant) {
	c.wake(now)
	if c.quiet.on {
		return
	}
	for _, p := range c.board.place() {
		x := c.items[p.item]
		c.waiting--
		x.row = LeaseRow{
			Grant: Grant{Item: p.item, Epoch: x.row.Epoch + 1, Node: p.node, Executor: p.slot},
			State: LeaseActive, Granted: now.Wall, Boot: c.nodes[p.node].Machine.Boot,
		}
		x.phase, x.since, x.opened, x.timed, x.silent = granting, now.Wall, false, false, false
		c.decided.add(x.Build, x.row, p.choice, c.board.rules)
		c.write(Write{Op: GrantOp, Row: x.row})
	}
}

// SetFleet compares the fleet with what the core knows of it.
func (c *Core) SetFleet(now Instant, all []fleet.Status) {
	c.wake(now)
	present := make(map[fleet.NodeName]bool, len(all))
	for _, st := range all {
		n := st.Node.Name
		present[n] = true
		if old, ok := c.nodes[n]; ok && old.Revision == st.Revision {
			continue
		}
		c.nodes[n] = st
		c.board.setNode(st)
		c.idled(n)
	}
	for n := range c.nodes {
		if !present[n] {
			delete(c.nodes, n)
			delete(c.idle, n)
			delete(c.done, n)
			c.board.removeNode(n)
		}
	}
}

// Writes hands out what the ledger is to keep, in order. Each is handed out once.
func (c *Core) Writes() []Write {
	w := c.writes
	c.writes = nil
	return w
}

// Events hands out what happened. Each is handed out once.
func (c *Core) Events() []Event {
	e := c.events
	c.events = nil
	return e
}

// Stats returns what the core has counted, how many items wait, and how many slots are in use and there.
func (c *Core) Stats() (s Stats, waiting, busy, executors int) {
	busy, executors = c.board.busy()
	return c.stats, c.waiting, busy, executors
}

func (c *Core) write(w Write) uint64 {
	c.writeNo++
	w.No = c.writeNo
	c.writes = append(c.writes, w)
	return w.No
}

func (c *Core) emit(e Event) { c.events = append(c.events, e) }
