package command

import (
	"context"
	"sync"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/wire"
)

// turns let one command of a node run at a time, and know which has led to a link. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	nodes map[fleet.NodeName]*turn // guarded by mu; an entry is dropped when nobody uses it
}

type turn struct {
	users   int           // guarded by turns.mu
	token   chan struct{} // holds one while a command is started
	running string        // the peer of the link that there is; guarded by turns.mu
}

// take waits until no other command of the node is being started. running is the peer of the link that there is.
func (ts *turns) take(ctx context.Context, n fleet.NodeName) (done func(), running string, err error) {
	ts.mu.Lock()
	if ts.nodes == nil {
		ts.nodes = map[fleet.NodeName]*turn{}
	}
	t := ts.nodes[n]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		ts.nodes[n] = t
	}
	t.users++
	ts.mu.Unlock()
	select {
	case t.token <- struct{}{}:
	case <-ctx.Done():
		ts.leave(n, t)
		return nil, "", context.Cause(ctx)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return func() { <-t.token; ts.leave(n, t) }, t.running, nil
}

func (ts *turns) leave(n fleet.NodeName, t *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(ts.nodes, n)
	}
}

// runs notes the link of a node until its end. The turn is taken.
func (ts *turns) runs(n fleet.NodeName, peer string) (ended func()) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.nodes[n]
	t.users++
	t.running = peer
	return sync.OnceFunc(func() {
		ts.mu.Lock()
		if t.running == peer {
			t.running = ""
		}
		ts.mu.Unlock()
		ts.leave(n, t)
	})
}

// held is a link whose end is told.
type held struct {
	wire.Link
	ended func()
}

func (h *held) Close() error {
	err := h.Link.Close()
	h.ended()
	return err
}

// Noise implements wire.Noisy.
func (h *held) Noise() int {
	if n, ok := h.Link.(wire.Noisy); ok {
		return n.Noise()
	}
	return 0
}
