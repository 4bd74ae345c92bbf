package queue

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// Queue is the roster's Demand.
var _ fleet.Demand = (*Queue)(nil)

// Works tells what nodes have to do; see fleet.Demand. It costs a look at each class of waiting items for each node asked for,
// and the sorting of what waits.
func (q *Queue) Works(ctx context.Context, asks []fleet.Ask) (works []fleet.Work, err error) {
	err = q.do(ctx, func() {
		now := q.now()
		q.core.SetFleet(now, q.cfg.Fleet.Snapshot())
		q.core.Place(now) // what can be placed makes nobody wanted
		works = q.core.Works(asks)
	})
	return works, err
}

// Works tells what nodes have to do. What waits and could be placed should have been.
func (c *Core) Works(asks []fleet.Ask) []fleet.Work {
	works := make([]fleet.Work, len(asks))
	room := make([]int, len(asks))
	for i, a := range asks {
		w := &works[i]
		w.Done = c.done[a.Node]
		if p := c.board.places[a.Node]; p != nil {
			w.Busy = len(p.used)
			room[i] = max(0, p.executors-len(p.used))
		}
		if w.Busy == 0 {
			w.IdleSince = c.idle[a.Node]
		}
	}
	busy := slices.DeleteFunc(slices.Collect(maps.Values(c.board.classes)), func(cl *class) bool { return len(cl.waiting) == 0 })
	slices.SortFunc(busy, func(a, b *class) int {
		return cmp.Or(cmp.Compare(a.key.expr, b.key.expr), cmp.Compare(a.key.node, b.key.node))
	})
	for _, cl := range busy {
		c.want(cl, asks, works, room)
	}
	return works
}

// want has the items of a class want nodes, each no more than it needs, oldest first.
func (c *Core) want(cl *class, asks []fleet.Ask, works []fleet.Work, room []int) {
	waits := make([]time.Time, len(cl.waiting))
	for i, w := range cl.waiting {
		waits[i] = c.items[w.id].Waiting
	}
	slices.SortFunc(waits, time.Time.Compare)
	for i, a := range asks { // Coming, then Startable, then Doubtful
		if len(waits) == 0 {
			return
		}
		if cl.members[a.Node] == nil || room[i] == 0 || a.Reach == fleet.Unwanted {
			continue
		}
		if w := &works[i]; a.Reach != fleet.Coming && (w.WantedSince.IsZero() || waits[0].Before(w.WantedSince)) {
			w.WantedSince = waits[0]
		}
		if a.Reach != fleet.Doubtful {
			taken := min(room[i], len(waits))
			room[i] -= taken
			waits = waits[taken:]
		}
	}
}

// vacated counts a lease that has ended on a node.
func (c *Core) vacated(now Instant, n fleet.NodeName) {
	if _, known := c.nodes[n]; !known {
		return // removed: nobody asks for it again
	}
	c.done[n]++
	if p := c.board.places[n]; p == nil || len(p.used) == 0 {
		c.idle[n] = now.Wall
	}
}
