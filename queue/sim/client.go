package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// client is who waits for an item's executor and uses it, as a pipeline's node block does. Its item has one step.
type client struct {
	s     *sim
	id    queue.ItemID
	item  queue.Item
	takes time.Duration // of the step

	// The journal: it is on disk when the client goes on.
	arrived bool
	started queue.Grant // in which the step was started; its Epoch is 0 before
	result  string      // "" until the item has one
	closed  bool        // nothing is left to be done

	// In the process. What an older turn planned does not happen.
	turn    int
	stage   stage
	grant   queue.Grant
	sentAt  time.Duration // when the stage began
	knocked bool          // Open was sent in this life
}

type stage uint8

const (
	away stage = iota
	waiting
	opening
	starting
	following
	closing
)

func newClient(s *sim, i int) *client {
	policy := agent.Kill
	if s.one(2) {
		policy = agent.Hold
	}
	labels := []string{"", "any", "even", "!even||any", "n0", "n1->n1"}
	id := queue.ItemID(fmt.Sprintf("i%d", i))
	c := &client{s: s, id: id, takes: s.upTo(3 * time.Minute), item: queue.Item{
		ID: id, Label: labels[s.rng.IntN(len(labels))], Policy: policy, Priority: s.rng.IntN(3), Affinity: fmt.Sprint(s.rng.IntN(4)),
	}}
	s.after(s.upTo(s.opts.Bad/2), func() {
		c.arrived = true
		c.submit()
	})
	if s.one(8) {
		s.after(s.upTo(s.opts.Bad), c.withdraw)
	}
	return c
}

func (c *client) finished() bool { return c.closed }

// finish ends it all, for people to see.
func (c *client) finish(result string) {
	c.s.logf("%s: ends as %s", c.id, result)
	c.result, c.closed = result, true
	c.enter(away)
	if result == "lost" {
		c.s.result.Lost++
	} else {
		c.s.result.Done++
	}
}

// enter begins a stage.
func (c *client) enter(s stage) {
	c.turn++
	c.stage, c.sentAt = s, c.s.now
}

// later plans something that happens only if the client is in the same stage then.
func (c *client) later(d time.Duration, f func()) {
	turn := c.turn
	c.s.ctl.inside(d, func() {
		if c.turn == turn {
			f()
		}
	})
}

// resume is the client in a new process of the controller.
func (c *client) resume() {
	c.enter(away)
	c.knocked = false
	if c.arrived && !c.closed {
		c.later(c.s.upTo(2*time.Second), c.submit)
	}
}

func (c *client) submit() {
	if c.closed {
		return
	}
	ctl := c.s.ctl
	ctl.enter(ctl.life, func() {
		c.enter(waiting)
		g, granted, err := ctl.core.Submit(c.s.instant(), c.item)
		switch {
		case errors.Is(err, queue.ErrLost):
			c.finish("lost")
		case err != nil:
			c.s.broken("%s: submit: %v", c.id, err)
		case granted:
			c.granted(g)
		}
		ctl.turn()
	})
}

func (c *client) withdraw() {
	ctl := c.s.ctl
	ctl.enter(ctl.life, func() {
		if c.closed || c.stage != waiting {
			return
		}
		err := ctl.core.Withdraw(c.s.instant(), c.id)
		switch {
		case err == nil:
			c.finish("withdrawn")
		case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound):
			c.s.broken("%s: withdraw: %v", c.id, err)
		}
		ctl.turn()
	})
}

// granted goes on from where the journal stands.
func (c *client) granted(g queue.Grant) {
	if c.closed || c.stage != waiting {
		return
	}
	if c.started.Epoch != 0 && c.started != g && c.result == "" {
		if c.item.Policy == agent.Hold {
			c.s.broken("%s: it started in epoch %d and is given out again in epoch %d", c.id, c.started.Epoch, g.Epoch)
		}
		c.started = queue.Grant{}
	}
	c.grant, c.knocked = g, false
	switch {
	case c.result != "":
		c.enter(closing)
	case c.started == g:
		c.enter(starting)
	default:
		c.enter(opening)
	}
	c.push()
}

// lost hears that the lease is.
func (c *client) lost(g queue.Grant) {
	switch {
	case c.closed || c.grant != g || c.stage < opening:
	case c.result != "":
		c.finish(c.result)
	case c.item.Policy == agent.Hold:
		c.finish("lost")
	default:
		c.again()
	}
}

// again is a new attempt.
func (c *client) again() {
	c.started = queue.Grant{}
	c.submit()
}

// machineUp goes on after the node has connected.
func (c *client) machineUp(n *node) {
	if c.stage >= opening && c.grant.Node == n.name {
		c.later(0, c.push)
	}
}

// push does the next thing on the machine, and comes back if nothing is heard.
func (c *client) push() {
	n := c.s.node(c.grant.Node)
	c.later(c.s.upTo(4*time.Second)+2*time.Second, c.push)
	if n.session == 0 || n.state == fleet.Offline {
		c.impatient()
		return
	}
	id, turn := c.grant.Lease(), c.turn
	back := func(f func()) { // of an answer, to this process and this stage only
		c.s.reply(n, func() {
			c.s.ctl.inside(0, func() {
				if c.turn == turn {
					f()
				}
			})
		})
	}
	switch c.stage {
	case opening:
		c.knocked = true
		c.s.send(n, func() {
			ok := n.open(id, c.item.Policy)
			back(func() { c.opened(ok) })
		})
	case starting:
		c.s.send(n, func() {
			ok := n.start(id, c.takes)
			back(func() { c.running(ok) })
		})
	case following:
		c.s.send(n, func() {
			l := n.disk[id.Item]
			if l == nil || l.id != id || !l.started {
				back(func() { c.running(false) })
			} else if !l.running {
				result := l.result
				back(func() { c.stepEnded(result) })
			}
		})
	case closing:
		c.s.send(n, func() {
			n.closeLease(id, "closed")
			back(c.release)
		})
	}
}

// impatient gives a lease back whose machine does not come, and lets go of one that need not be closed by us.
func (c *client) impatient() {
	ctl := c.s.ctl
	if c.s.now-c.sentAt < 25*time.Second {
		return
	}
	switch {
	case c.stage == closing:
		c.release()
	case c.stage == opening && !c.knocked:
		g := c.grant
		c.enter(waiting)
		if _, err := ctl.core.Return(c.s.instant(), g); err != nil && !fault.Is(err, fault.Stale) && !fault.Is(err, fault.Conflict) {
			c.s.broken("%s: return: %v", c.id, err)
		} else if err != nil { // it is being lost, or an earlier life opened it
			c.enter(opening)
			c.grant, c.knocked = g, true
			c.later(time.Second, c.push)
		}
		ctl.turn()
	}
}

// opened journals that the step starts, and starts it.
func (c *client) opened(ok bool) {
	if !ok {
		c.enter(closing)
		c.push()
		return
	}
	if err := c.s.ctl.core.Opened(c.s.instant(), c.grant); err != nil {
		return // it is being lost; we shall hear
	}
	c.started = c.grant
	c.enter(starting)
	c.push()
}

// running hears whether the step is there.
func (c *client) running(ok bool) {
	if ok {
		c.enter(following)
		c.push()
		return
	}
	c.stepEnded("gone")
}

func (c *client) stepEnded(result string) {
	if result == "success" || c.item.Policy == agent.Hold {
		c.result = result
		if result != "success" {
			c.result = "lost"
		}
	}
	c.enter(closing)
	c.push()
}

// release ends the lease; without a result there is a new attempt.
func (c *client) release() {
	ctl := c.s.ctl
	_, err := ctl.core.Release(c.s.instant(), c.grant)
	if err != nil && !fault.Is(err, fault.Stale) {
		c.s.broken("%s: release: %v", c.id, err)
	}
	if c.result != "" {
		c.finish(c.result)
	} else {
		c.again()
	}
	ctl.turn()
}

// admitted reports whether the item may run on a node.
func (c *client) admitted(n *node) bool {
	has := func(l string) bool { return slices.Contains(n.labels, l) }
	switch c.item.Label {
	case "even", "n0", "any":
		return has(c.item.Label)
	}
	return true
}
