package queue

import (
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// rest is a pause of a node, after which it is given work again.
type rest struct {
	node  fleet.NodeName
	until time.Duration
}

// rest gives a node no work for Limits.Rest. One that rests already rests from now on as long again.
func (c *Core) rest(now Instant, n fleet.NodeName) {
	if c.limits.Rest > 0 {
		c.resting = append(c.resting, rest{n, now.Mono + c.limits.Rest})
		c.board.rest(n, true)
	}
}

// rested ends the pauses that are over.
func (c *Core) rested(now Instant) {
	for len(c.resting) > 0 && now.Mono >= c.resting[0].until {
		n := c.resting[0].node
		c.resting = c.resting[1:]
		if !c.rests(n) {
			c.board.rest(n, false)
		}
	}
}

func (c *Core) rests(n fleet.NodeName) bool {
	for _, r := range c.resting {
		if r.node == n {
			return true
		}
	}
	return false
}
