package remote

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/wire"
)

// A side that says nothing takes the peer's heartbeat, within bounds; nothing that a peer says overrules a side's own.
func TestFollowedHeartbeat(t *testing.T) {
	for _, c := range []struct{ own, peer, want time.Duration }{
		{0, 2 * time.Second, 2 * time.Second},
		{0, 0, 0}, // left to the session
		{0, -time.Second, 0},
		{0, 1, shortestFollowed},
		{0, 1 << 62, longestFollowed},
		{time.Second, 3 * time.Second, time.Second},
		{time.Second, 1, time.Second},
	} {
		if got := (Options{Heartbeat: c.own}).heartbeat(wire.Hello{Heartbeat: c.peer}); got != c.want {
			t.Errorf("own %v, the peer's %v: %v, want %v", c.own, c.peer, got, c.want)
		}
	}
}
