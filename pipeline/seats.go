package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/queue"
)

// claim tells the queue, before a program is resumed, which of its leases are still wanted: those whose node block the journal
// has as entered and not as left. One that the queue does not have any more is lost, which the program finds out by itself.
func (n *nodes) claim(ctx context.Context, entries []interp.Entry) error {
	for _, l := range liveSeats(entries) {
		g := l.Grant
		n.keep(g)
		t, err := n.u.r.c.Queue.Submit(ctx, n.item(g.Item, l.Request))
		if errors.Is(err, queue.ErrLost) {
			continue
		}
		if err != nil {
			return fmt.Errorf("claim the lease of %s: %w", g.Item, err)
		}
		if !fault.Is(t.Withdraw(ctx), fault.Conflict) {
			continue // it was not leased any more
		}
		now, err := t.Wait(ctx)
		if err != nil && !errors.Is(err, queue.ErrLost) {
			return err
		}
		if err == nil && now.Epoch != g.Epoch {
			_ = n.releaseGrant(ctx, now)
			continue
		}
		if err := n.u.r.c.Queue.Opened(ctx, g); err != nil {
			n.u.log.Info("a lease ended while the controller was away", "item", string(g.Item), "err", err)
		}
	}
	return nil
}

// abandon takes what a journal's node blocks wait for out of the queue, and leaves what they hold to releaseAll.
func (n *nodes) abandon(ctx context.Context, entries []interp.Entry) {
	for _, l := range liveSeats(entries) {
		n.keep(l.Grant)
	}
	open := map[step.Address]bool{}
	for _, e := range entries {
		switch {
		case e.Kind == interp.Started && e.Name == "node":
			open[e.Address] = true
		case e.Kind == interp.Completed:
			delete(open, e.Address)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(open)) {
		n.drop(ctx, n.item(n.itemID(a), step.Request{}))
	}
}

// seat is what the journal keeps of a node block.
type seat struct {
	Request step.Request `json:"request"`
	Grant   queue.Grant  `json:"grant"`
}

// liveSeats reads the executors of the node blocks that a program was in, in the order it got them.
func liveSeats(entries []interp.Entry) []seat {
	names := map[step.Address]string{}
	var order []step.Address
	live := map[step.Address]seat{}
	for _, e := range entries {
		if e.Name != "" {
			names[e.Address] = e.Name
		}
		if e.Kind != interp.Completed {
			continue
		}
		switch names[e.Address] {
		case "node":
			var p struct {
				Value seat `json:"value"`
			}
			if json.Unmarshal(e.Payload, &p) == nil && p.Value.Grant.Epoch > 0 {
				live[e.Address] = p.Value
				order = append(order, e.Address)
			}
		case "node.release":
			delete(live, step.Address(strings.TrimSuffix(string(e.Address), ".release")))
		}
	}
	var out []seat
	for _, a := range order {
		if s, ok := live[a]; ok {
			out = append(out, s)
		}
	}
	return out
}
