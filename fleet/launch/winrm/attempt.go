package winrm

import (
	"context"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// attempt is one Launch.
type attempt struct {
	l    *Launcher
	n    fleet.Node
	s    *settings
	keys keys
	log  *kit.Log

	started bool // the service was started here
}

// run waits for the agent of a service that runs, and sets the machine up when none comes.
func (a *attempt) run(ctx context.Context, before standing) (wire.Link, error) {
	if before.up {
		a.log.Printf("The service was running: waiting up to %v for its agent to dial again", a.l.cfg.Again)
		if link, err := a.await(ctx, a.l.cfg.Again); link != nil || err != nil {
			return link, err
		}
		a.log.Printf("It has not dialled: setting the machine up again")
	}
	m, err := a.login(ctx)
	if err != nil {
		return nil, err
	}
	defer m.close()
	return a.setUp(ctx, m)
}

// await waits for an agent that dials. It returns nil when none came in time.
func (a *attempt) await(ctx context.Context, long time.Duration) (wire.Link, error) {
	waiting, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	link, err := a.l.cfg.Inbound.Launch(waiting, a.n, a.log)
	switch {
	case ctx.Err() != nil && err == nil:
		_ = link.Close()
		return nil, ctx.Err()
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil && err != nil:
		return nil, nil
	}
	return link, err
}

// login logs in with as many attempts as the settings say. What only a person can change is not tried again.
func (a *attempt) login(ctx context.Context) (*machine, error) {
	for n := 1; ; n++ {
		m, err := a.l.login(ctx, a.s, a.keys, a.log)
		if err == nil || ctx.Err() != nil || n > a.s.retries || !fault.Is(err, fault.Unavailable) {
			return m, err
		}
		a.log.Printf("Attempt %d of %d failed: %v; again in %v", n, a.s.retries+1, err, a.s.retryWait)
		if !pause(ctx, a.s.retryWait) {
			return nil, err
		}
	}
}

// setUp goes from a login to a link.
func (a *attempt) setUp(ctx context.Context, m *machine) (wire.Link, error) {
	if err := m.look(ctx); err != nil {
		return nil, err
	}
	bin, err := a.l.cfg.Agents.Open("windows", m.place.arch)
	if err != nil {
		return nil, err
	}
	program, err := m.bring(ctx, bin)
	if err != nil {
		return nil, err
	}
	late := a.turnAway(ctx)
	err = m.clear(ctx, program)
	late()
	if err != nil {
		return nil, err
	}
	if err := m.replace(ctx, program); err != nil {
		return nil, err
	}
	credential, err := a.l.cfg.Credential(ctx, a.n.Name)
	if err != nil {
		return nil, err
	}
	a.log.Hide([]byte(credential))
	a.started = true // or half: what is left of it is stopped
	a.l.mark(a.n.Name, func(st *standing) { st.up, st.at = true, m.place })
	if err := m.install(ctx, credential, a.keys.runAs); err != nil {
		return nil, err
	}
	a.log.Printf("The service runs: waiting up to %v for its agent to dial %s", a.s.dialIn, a.s.url)
	link, err := a.await(ctx, a.s.dialIn)
	if link == nil && err == nil {
		err = m.silent(ctx)
	}
	return link, err
}

// turnAway closes the links of agents that dial, until its result is called: a service that was left running is about to be ended.
func (a *attempt) turnAway(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			link, err := a.l.cfg.Inbound.Launch(ctx, a.n, a.log)
			if err != nil {
				return // the end of ctx
			}
			_ = link.Close()
		}
	}()
	return func() { cancel(); <-ended }
}

// pause reports whether ctx lasted as long.
func pause(ctx context.Context, long time.Duration) bool {
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
