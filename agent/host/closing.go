package host

import (
	"context"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
)

// Renew pushes the deadlines of Kill leases, lists what is open, and measures how the computer feels. A Heard is shim.Now.
func (h *Host) Renew(ctx context.Context, held []agent.Lease, answered agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	if h.stop.Err() != nil {
		return nil, 0, agent.Vitals{}, errStopped()
	}
	now := agent.Heard(shim.Now())
	if answered <= 0 || answered > now { // none, or not from this machine since it was booted
		held = nil
	}
	for _, id := range held {
		h.mu.Lock()
		l := h.leases[id.Item]
		h.mu.Unlock()
		if l != nil && l.id == id {
			l.renew(answered)
		}
	}
	open := h.open()
	ids := make([]agent.Lease, 0, len(open))
	for _, l := range open {
		ids = append(ids, l.id)
	}
	return ids, now, h.gauge.Read(), ctx.Err()
}

// renew has a Kill lease live for its TTL from a moment that the controller knows to have passed.
func (l *lease) renew(from agent.Heard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rec.Policy != agent.Kill || l.expired || l.closing {
		return
	}
	l.deadline = max(l.deadline, int64(from)+int64(l.rec.TTL))
	if l.link != nil {
		_ = l.link.send(shim.Message{Kind: shim.KindRenew, Deadline: l.deadline}) // a shim that is gone ends the lease's steps anyway
	}
}

// Close kills what still runs in the lease and frees its workspace.
func (h *Host) Close(ctx context.Context, id agent.Lease) error {
	if err := checkLease(id); err != nil {
		return err
	}
	unlock, err := h.items.lock(ctx, id.Item)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := h.fenced(id)
	if err != nil {
		return err
	}
	// A Close that overtook its Open, or the Open's repetition, must not leave a lease behind.
	if err := h.fences.raise(fence{Item: id.Item, Epoch: id.Epoch, Closed: true}); err != nil {
		h.log.Error("write fence", "err", err) // a full disk must not keep a lease open
	}
	if l == nil {
		return nil
	}
	return l.close(ctx, "the lease was closed")
}

// close ends the lease and returns when nothing of it is left. When ctx ends first, the closing goes on.
func (l *lease) close(ctx context.Context, reason string) error {
	l.mu.Lock()
	if !l.closing {
		l.closing = true
		l.h.background(func() { l.end(reason) })
	}
	l.mu.Unlock()
	select {
	case <-l.closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.h.stop.Done():
		return errStopped()
	}
}

// end does the work of close.
func (l *lease) end(reason string) {
	l.mu.Lock()
	unsure := l.unsure
	l.mu.Unlock()
	if unsure != nil {
		select {
		case <-unsure:
		case <-l.h.stop.Done():
			return
		}
	}
	l.mu.Lock()
	k, released := l.link, l.released
	l.mu.Unlock()
	if k != nil {
		_ = k.send(shim.Message{Kind: shim.KindClose, Grace: l.h.cfg.CloseGrace, Reason: reason})
		select {
		case <-released:
		case <-l.h.stop.Done():
			return // the next agent goes on: the fence says closed
		}
	}
	l.mu.Lock()
	l.settle(nil, "the lease was closed")
	err := l.bury()
	l.mu.Unlock()
	if err != nil {
		l.h.log.Error("tidy up after a lease", "lease", l.id, "err", err)
	}
	l.h.drop(l)
	close(l.closed)
}
