package queue

import (
	"cmp"
	"slices"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

// Restore fills an empty core with what the ledger has. Leases get a whole new TTL: while the controller was down nobody
// could renew them. Waiting items keep their place but are not placed before they are submitted again, and what is not
// submitted again within Limits.Unclaimed is given up: nobody would use or release it.
func (c *Core) Restore(now Instant, items []Item, rows []LeaseRow, last map[string]fleet.NodeName) {
	c.seen = now.Mono
	newest := make(map[ItemID]LeaseRow, len(rows))
	for _, r := range rows {
		if r.Epoch > newest[r.Item].Epoch {
			newest[r.Item] = r
		}
	}
	items = slices.Clone(items)
	known := make(map[ItemID]bool, len(items))
	for _, it := range items {
		known[it.ID] = true
	}
	for _, r := range newest { // a lease whose item is not there still has its slot
		if !known[r.Item] {
			items = append(items, Item{ID: r.Item, Policy: agent.Hold, Waiting: r.Granted})
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Or(a.Waiting.Compare(b.Waiting), cmp.Compare(a.ID, b.ID)) })
	for _, it := range items {
		c.restore(now, it, newest[it.ID])
	}
	for affinity, n := range last {
		c.board.last.put(affinity, n)
	}
	if len(c.restored) > 0 {
		c.giveUpAt = now.Mono + c.limits.Unclaimed
	}
}

// RestoreTimes fills a core with how long work took, as the ledger has it.
func (c *Core) RestoreTimes(all []WorkTimes) { c.board.times.restore(all) }

func (c *Core) restore(now Instant, it Item, row LeaseRow) {
	x := &item{Item: it, row: row, arrived: now.Mono, since: now.Wall}
	x.expr, _ = label.Parse(it.Label) // it parsed when it was submitted; it will be submitted again before it is placed
	c.add(x)
	switch {
	case row.Epoch == 0:
		c.restored = append(c.restored, x)
		c.wait(now, x)
	case row.State == LeaseActive || row.State == LeaseHeld:
		c.restored = append(c.restored, x)
		x.phase, x.heard, x.heldAt = leased, now.Mono, now.Mono
		if row.State == LeaseHeld {
			x.phase = held
		}
		c.board.occupy(row.Node, row.Executor, it.ID)
		c.hold(x)
	default:
		x.phase, x.lost = ended, row.State == LeaseLost
		c.bury(now, x)
	}
}

// hold lists a living lease under its node.
func (c *Core) hold(x *item) {
	on := c.leases[x.row.Node]
	if on == nil {
		on = map[ItemID]*item{}
		c.leases[x.row.Node] = on
	}
	on[x.ID] = x
	c.check(c.runOut(x))
}

// giveUp ends what nobody has claimed since the start.
func (c *Core) giveUp(now Instant) {
	c.giveUpAt = 0
	for _, x := range c.restored {
		if x.claimed || c.items[x.ID] != x {
			continue
		}
		switch x.phase {
		case waiting:
			c.unwait(x)
			c.retire(now, x)
		case leased, held:
			c.finish(now, x, LeaseDone)
			c.bury(now, x)
			c.emit(Event{Kind: Ended, Grant: x.row.Grant})
		}
	}
	c.restored = nil
}

// Written hears what became of a write. err is nil, or of kind fault.Stale when the ledger has a newer epoch, which is then
// given; other failures are for the writer to retry.
func (c *Core) Written(now Instant, w Write, newest uint64, err error) {
	c.wake(now)
	x := c.items[w.Row.Item]
	if w.Op == PutOp || w.Op == DropOp || w.Op == TimeOp || x == nil || x.row.Epoch != w.Row.Epoch {
		return
	}
	switch {
	case w.Op == GrantOp && x.phase == granting && fault.Is(err, fault.Stale):
		c.board.vacate(x.row.Node, x.row.Executor, x.ID)
		x.row.Epoch = newest
		c.wait(now, x)
	case w.Op == GrantOp && x.phase == granting:
		c.granted(now, x)
	case w.Op == SetOp && w.Row.State == LeaseLost && x.phase == losing:
		x.phase = ended
		c.bury(now, x)
		c.emit(Event{Kind: Lost, Grant: x.row.Grant})
	}
}

// granted makes a durable lease known, unless its node has gone meanwhile: then nobody has opened it, and the item waits again.
func (c *Core) granted(now Instant, x *item) {
	switch c.nodes[x.row.Node].State {
	case fleet.Online, fleet.Suspended, fleet.Draining:
	default:
		c.requeue(now, x)
		return
	}
	c.stats.Granted++
	x.phase, x.since, x.heard = leased, now.Wall, now.Mono
	c.hold(x)
	c.emit(Event{Kind: Granted, Grant: x.row.Grant})
}
