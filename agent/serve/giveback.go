package serve

import (
	"context"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent/remote"
)

// giveBackWithin bounds what an agent does for the controller before its machine goes: clouds allow half a minute and more between the notice
// and the end.
const giveBackWithin = 20 * time.Second

// giveBack ends what still runs here and lets the controller know, so that the work is run elsewhere at once and not after the lease's time.
//
// The order is what makes it safe: everything is dead before anybody hears of it. The controller hears of it by the first heartbeat of a new
// connection, which finds the leases closed, as it would after the loss of the agent's folder; it takes no message of its own.
func (a *program) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWithin)
	defer cancel()
	log := a.cfg.Logger
	a.gate.shut()
	open, _, _, err := a.gate.Machine.Renew(ctx, nil, 0)
	if err != nil || len(open) == 0 {
		return
	}
	log.Warn("ending what still runs here and giving it back", "leases", len(open))
	var all sync.WaitGroup
	for _, l := range open {
		all.Go(func() {
			if err := a.gate.Machine.Close(ctx, l); err != nil {
				log.Warn("what runs here does not end", "lease", l.Item, "error", err)
			}
		})
	}
	all.Wait()
	if err := a.report(ctx); err != nil {
		log.Warn("the controller does not know yet that the work was ended: it will when the agent's time is over", "error", err)
	}
}

// report makes a connection of two heartbeats: the second says that the answer to the first has arrived.
func (a *program) report(ctx context.Context) error {
	link, err := a.dial(ctx)
	if err != nil {
		return err
	}
	beats := a.gate.count()
	s, err := remote.Answer(ctx, link, a.gate, remote.Options{Name: a.name(), Version: a.cfg.Version, Heartbeat: a.cfg.Heartbeat, Logger: a.cfg.Logger})
	if err != nil {
		return err
	}
	defer s.Close()
	for range 2 {
		select {
		case <-beats:
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
