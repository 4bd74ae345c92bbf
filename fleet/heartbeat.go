package fleet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// session is one connection of one node.
type session struct {
	r       *Roster
	loop    *loop
	conn    Conn
	number  uint64
	boot    string
	machine agent.Description
	own     string         // begins the items of the leases that the session itself opens
	heard   agent.Heard    // by the machine, of the newest heartbeat that it answered
	busy    atomic.Bool    // garbage is being closed
	runs    atomic.Uint64  // of probes
	unwatch func()         // ends them
	closing sync.WaitGroup // of that, and of hearLeave
}

// beat sends heartbeats until the connection ends, two in a row stay unanswered, a monitor wants it ended, or ctx ends; it
// says why.
//
// After an unanswered heartbeat the next one goes out at once and names no leases.
func (s *session) beat(ctx context.Context) error {
	every := s.r.cfg.Heartbeat
	timer := time.NewTimer(0) // the first heartbeat was before this loop, and no lease is prolonged before the second
	defer timer.Stop()
	for missed := 0; missed < 2; {
		select {
		case <-timer.C:
		case <-s.conn.Done():
			return s.conn.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
		start := time.Now()
		hctx, cancel := context.WithTimeout(ctx, every)
		err := s.renew(hctx, missed == 0, false)
		silent := err != nil && hctx.Err() != nil
		cancel()
		sick := new(*unwell)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, sick):
			return err
		case silent:
			missed++
			s.loop.log.printf("Heartbeat not answered within %v (%d of 2)", every, missed)
			if err := s.timedOut(start); err != nil {
				return err
			}
		case err != nil: // heard of, but it could not renew: its leases run out
			s.loop.log.printf("Heartbeat refused: %v", err)
			s.r.cfg.Log.Warn("heartbeat refused", "node", s.loop.node.Name, "err", err)
		default:
			missed = 0
		}
		timer.Reset(max(0, every-time.Since(start)))
	}
	return errSilent
}

// renew sends one heartbeat, naming the leases that the node should hold if named is set.
func (s *session) renew(ctx context.Context, named, first bool) error {
	var held []agent.Lease
	keeper := s.r.keeper
	if keeper != nil && named {
		var err error
		if held, err = keeper.Held(ctx, s.loop.node.Name, s.number); err != nil {
			if first { // the queue must hear of what the machine has before anybody uses it
				return err
			}
			keeper, held = nil, nil
		}
	}
	start := time.Now()
	open, heard, feels, err := s.conn.Machine().Renew(ctx, held, s.heard)
	if err != nil {
		if first && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errors.Join(s.timedOut(start), err)
		}
		return err
	}
	s.heard = heard // no other call is under way that could have had a newer answer
	now := time.Now()
	s.loop.pulse.heard.Store(now.UnixNano())
	s.loop.pulse.trip.Store(int64(now.Sub(start)))
	s.r.metrics.trip(now.Sub(start))
	if keeper != nil {
		s.discard(keeper.Renewed(ctx, Renewal{
			Node: s.loop.node.Name, Session: s.number, Boot: s.boot, First: first, Held: held, Open: open,
		}))
	}
	return s.answered(start, now, feels)
}

// discard closes leases that nobody knows, in the background: killing what runs in them may take a while.
func (s *session) discard(garbage []agent.Lease) {
	garbage = s.strangers(garbage)
	if len(garbage) == 0 || !s.busy.CompareAndSwap(false, true) {
		return // the next heartbeat lists again what is left
	}
	s.closing.Go(func() {
		defer s.busy.Store(false)
		for _, l := range garbage {
			ctx, cancel := context.WithTimeout(context.Background(), s.r.cfg.ConnectTimeout)
			err := s.conn.Machine().Close(ctx, l)
			cancel()
			s.loop.log.printf("Closed lease %s epoch %d, which is not held any more: %v", l.Item, l.Epoch, errOr(err, "done"))
		}
	})
}

func errOr(err error, fine string) any {
	if err != nil {
		return err
	}
	return fine
}
