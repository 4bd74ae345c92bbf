package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
)

// Held lists the leases to be named in the heartbeat that goes out now.
//
// The agent counts a Kill lease's TTL from when it heard a heartbeat that was answered before this one: before now. So this
// sending counts as news of the lease, whether or not it arrives and however late. The lease ends here TTL and Grace after it at
// the earliest, and the agent has begun to kill its steps when TTL had passed.
func (c *Core) Held(now Instant, n fleet.NodeName) []agent.Lease {
	c.wake(now)
	var out []agent.Lease
	for _, x := range c.leases[n] {
		if x.phase == leased {
			x.heard = now.Mono
		}
		out = append(out, x.row.Lease())
	}
	slices.SortFunc(out, func(a, b agent.Lease) int { return strings.Compare(a.Item, b.Item) })
	return out
}

// Opened hears that a lease is open on its machine: the agent counts its TTL from before now.
func (c *Core) Opened(now Instant, g Grant) error {
	c.wake(now)
	x, err := c.current(g)
	if err != nil {
		return err
	}
	x.opened = true
	if !x.timed {
		x.timed, x.openedAt = true, now.Mono
	}
	if x.phase == leased {
		x.heard = now.Mono
	}
	return nil
}

// Renewed hears that a heartbeat was answered, and returns the open leases that should be closed.
func (c *Core) Renewed(now Instant, r fleet.Renewal) []agent.Lease {
	c.wake(now)
	open := make(map[agent.Lease]bool, len(r.Open))
	var garbage []agent.Lease
	for _, l := range r.Open {
		open[l] = true
		if !c.knows(r, l) {
			garbage = append(garbage, l)
		}
	}
	for _, l := range r.Held {
		if x := c.leases[r.Node][ItemID(l.Item)]; x != nil && x.row.Epoch == l.Epoch {
			c.renew(now, x, r, open[l])
		}
	}
	return garbage
}

// knows reports whether an open lease may stay open, and learns that it was opened.
func (c *Core) knows(r fleet.Renewal, l agent.Lease) bool {
	x := c.items[ItemID(l.Item)]
	if x == nil || x.row.Epoch != l.Epoch || x.row.Node != r.Node || x.phase == waiting || x.phase == ended {
		return false
	}
	if x.phase == leased || x.phase == held {
		x.opened, x.row.Boot = true, r.Boot
	}
	return true
}

// renew prolongs a lease that the agent was told of, or ends it if the agent cannot have it any more.
//
// Two signs are certain, and only in the first heartbeat of a session, when nobody can have closed the lease in it: it was
// open and is not, so the agent lost its folder; or the machine has restarted since the lease was granted and does not have
// it. A lease that is not listed otherwise is one that its holder has not opened yet.
func (c *Core) renew(now Instant, x *item, r fleet.Renewal, open bool) {
	restarted := x.row.Boot != "" && x.row.Boot != r.Boot
	if r.First && !open && (x.opened || restarted) {
		c.lose(now, x)
		return
	}
	x.heard = now.Mono
	if x.phase == held {
		c.stats.Recovered++
		c.move(now, x, leased, LeaseActive)
	}
	c.check(x.heard + c.limits.TTL + c.limits.Grace)
}

// move changes a living lease's state.
func (c *Core) move(now Instant, x *item, p phase, s LeaseState) {
	x.phase, x.since = p, now.Wall
	x.row.State = s
	c.write(Write{Op: SetOp, Row: x.row})
}

// lose ends a lease whose agent has lost it. Nobody hears of that before the ledger has it.
func (c *Core) lose(now Instant, x *item) {
	c.stats.Lost++
	c.finish(now, x, LeaseLost)
	x.phase = losing
}

// runOut is when a lease ends, or is held, if nothing more is heard of it.
func (c *Core) runOut(x *item) time.Duration {
	if x.phase == held {
		return x.heldAt + c.limits.HoldWindow
	}
	return x.heard + c.limits.TTL + c.limits.Grace
}

// check has Tick look at the leases at a time.
func (c *Core) check(at time.Duration) {
	if c.checkAt == 0 || at < c.checkAt {
		c.checkAt = at
	}
}

// Next is when Tick must run at the latest; ok is false when never.
func (c *Core) Next() (at time.Duration, ok bool) {
	times := []time.Duration{c.checkAt, c.giveUpAt}
	if len(c.resting) > 0 {
		times = append(times, c.resting[0].until)
	}
	if len(c.ended) > 0 {
		times = append(times, c.ended[0].endAt+c.limits.KeepEnded)
	}
	for _, t := range times {
		if t > 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// Watching reports whether there are leases that may run out.
func (c *Core) Watching() bool { return len(c.leases) > 0 }

// lives reports whether a grant has not ended; while the ledger is writing that it is lost it still lives.
func (c *Core) lives(g Grant) bool {
	x := c.items[g.Item]
	return x != nil && x.row.Epoch == g.Epoch && x.phase != waiting && x.phase != ended
}

// since is how long ago an item was submitted.
func (c *Core) since(id ItemID, now Instant) time.Duration {
	x := c.items[id]
	if x == nil {
		return 0
	}
	return now.Mono - x.arrived
}

// wake notices when the core itself was away: its process stopped, its machine asleep. What the agents said meanwhile was
// not heard, so no lease may run out for it.
func (c *Core) wake(now Instant) {
	away := now.Mono - c.seen
	c.seen = max(c.seen, now.Mono)
	if away < c.limits.Grace {
		return
	}
	for _, on := range c.leases {
		for _, x := range on {
			c.stats.Forgiven++
			x.heard = now.Mono
			if x.phase == held {
				x.heldAt += away
			}
		}
	}
}

// Tick ends what has run out of time.
func (c *Core) Tick(now Instant) {
	c.wake(now)
	if c.checkAt > 0 && now.Mono >= c.checkAt {
		c.expire(now)
	}
	if c.giveUpAt > 0 && now.Mono >= c.giveUpAt {
		c.giveUp(now)
	}
	c.rested(now)
	for len(c.ended) > 0 && now.Mono >= c.ended[0].endAt+c.limits.KeepEnded {
		c.forget(c.ended[0])
		c.ended[0] = nil
		c.ended = c.ended[1:]
	}
}

// expire moves every lease whose agent has been silent for too long.
func (c *Core) expire(now Instant) {
	var out []*item
	c.checkAt = 0
	for _, on := range c.leases {
		for _, x := range on {
			if at := c.runOut(x); now.Mono >= at {
				out = append(out, x)
			} else {
				c.check(at)
			}
		}
	}
	slices.SortFunc(out, byID)
	for _, x := range out {
		if x.phase == leased && x.Policy != agent.Kill {
			c.stats.Held++
			x.heldAt, x.silent = now.Mono, true
			c.move(now, x, held, LeaseHeld)
			c.check(c.runOut(x))
			continue
		}
		c.lose(now, x)
	}
}

func byID(a, b *item) int { return strings.Compare(string(a.ID), string(b.ID)) }

// forget drops an ended item, if it is still the one that ended.
func (c *Core) forget(x *item) {
	if c.items[x.ID] == x && x.phase == ended {
		delete(c.items, x.ID)
		c.write(Write{Op: DropOp, Item: x.Item})
	}
}
