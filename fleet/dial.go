package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/wire"
)

// load adds a node to the roster and begins to connect it. last is what was recorded of it last.
func (r *Roster) load(n Node, last Record) error {
	log, err := openNodeLog(r.cfg.LogDir, n.Name, r.cfg.Log)
	if err != nil {
		return err
	}
	now := time.Now()
	e := &entry{node: n, state: Offline, since: now, cause: neverConnected(now), wake: make(chan struct{}), linked: now, noted: last, used: n.Used, pulse: &pulse{probes: probes{changed: make(chan struct{}, 1)}}, log: log}
	e.pulse.probes.set(n.Probes)
	e.pulse.limits.Store(&n.Monitors)
	if r.cfg.Record != nil {
		e.pulse.record = r.cfg.Record()
	}
	r.nodes[n.Name] = e
	i, _ := slices.BinarySearch(r.names, n.Name)
	r.names = slices.Insert(r.names, i, n.Name)
	r.observe(e)
	if r.retain(e); e.retention != nil {
		e.away = e.cause // until it was asked
	} else {
		r.relaunch(e)
	}
	r.settle(e)
	return nil
}

// drop takes a node out of the roster.
func (r *Roster) drop(e *entry) {
	r.cut(e)
	if e.retention != nil {
		r.retained.Add(-1)
	}
	if e.wakes {
		r.retained.Add(-1)
	}
	r.history.forget(e.node.Name)
	close(e.wake)
	delete(r.nodes, e.node.Name)
	if i, ok := slices.BinarySearch(r.names, e.node.Name); ok {
		r.names = slices.Delete(r.names, i, i+1)
	}
	r.dirty = true
	remover, _ := r.cfg.Launchers[e.node.Launcher.Kind].(Remover)
	if r.ctx.Err() != nil || e.last == nil && remover == nil {
		e.log.remove()
		return
	}
	r.loops.Go(func() {
		if e.last != nil {
			<-e.last.done
		}
		if remover != nil {
			r.takeAway(remover, e)
		}
		e.log.remove()
	})
}

// removal bounds how long a machine may take to be rid of what a launcher left there.
const removal = time.Minute

// takeAway removes what is left on the machine of a node that is no more. The log goes with the node: what fails is told in the roster's.
func (r *Roster) takeAway(l Remover, e *entry) {
	ctx, cancel := context.WithTimeout(r.ctx, removal)
	defer cancel()
	if err := l.Remove(ctx, e.node, e.log); err != nil {
		r.cfg.Log.Warn("a deleted node's machine keeps something of it", "node", e.node.Name, "err", err)
	}
}

// settle derives the state of a node that has changed.
func (r *Roster) settle(e *entry) {
	e.settle(time.Now())
	r.note(e)
	if r.watches(e) {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
	r.revision++ // of all nodes: one that is removed and put again does not look as it did
	e.revision = r.revision
	r.dirty = true
}

// cut ends the loop of a node, and with it the connection.
func (r *Roster) cut(e *entry) {
	if e.loop == nil {
		return
	}
	e.loop.cancel()
	e.loop, e.dialling = nil, false
	if e.conn != nil {
		e.setConn(nil)
		e.cause = sessionEnded(ErrReplaced, time.Now())
	}
}

// relaunch starts a new loop for a node, after the one it has, unless a person keeps it disconnected.
func (r *Roster) relaunch(e *entry) {
	r.cut(e)
	e.away = nil
	if e.node.Down == nil {
		r.start(e)
	}
}

// start keeps a node connected from now on. It has no loop.
func (r *Roster) start(e *entry) {
	if r.ctx.Err() != nil {
		return // stopping
	}
	ctx, cancel := context.WithCancel(r.ctx)
	l := &loop{node: e.node, log: e.log, pulse: e.pulse, cancel: cancel, done: make(chan struct{})}
	before := e.last
	e.loop, e.last = l, l
	r.loops.Go(func() {
		defer close(l.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		r.keepConnected(ctx, l)
	})
}

// tell runs f on the owner goroutine; it is for what the owner started and waits for.
func (r *Roster) tell(f func()) { _ = r.do(context.Background(), f) }

// update changes the entry of a loop, unless another loop has taken its place.
func (r *Roster) update(l *loop, f func(*entry)) {
	r.tell(func() {
		if e := r.nodes[l.node.Name]; e != nil && e.loop == l {
			f(e)
			r.settle(e)
		}
	})
}

// keepConnected runs one session after another until ctx ends. It pauses between them with full jitter: the upper bound
// doubles with each failure in a row, and is no more than a quarter of how long the node has been away, so that a machine
// that was rebooted is soon found. After a session that outlived a heartbeat it does not pause, unless a monitor ended it.
// Agents that dial pace themselves, unless a monitor does not want them: one that was killed and started again a few times is not kept waiting for what it did before.
func (r *Roster) keepConnected(ctx context.Context, l *loop) {
	lost := time.Now()
	for failures := 0; ctx.Err() == nil; failures++ {
		up, err := r.session(ctx, l)
		if ctx.Err() != nil {
			return
		}
		sick := errors.As(err, new(*unwell))
		if !sick && (up > r.cfg.Heartbeat || errors.Is(err, ErrReplaced)) {
			failures, lost = -1, time.Now()
			continue
		}
		bound := min(r.cfg.MaxBackoff, r.cfg.MinBackoff<<min(failures, 16), max(r.cfg.MinBackoff, time.Since(lost)/4))
		if r.dials(l.node) && !sick {
			bound = min(bound, r.cfg.MinBackoff)
		}
		wait := rand.N(bound)
		if u := new(*unwell); errors.As(err, u) && (*u).cause.Kind == CauseSetup {
			wait += setupAgain
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// setupAgain is the pause after a setup that failed: it is costly, and somebody will have to look.
const setupAgain = 5 * time.Minute

// session brings the agent up, keeps the connection while it lives, and says how long it was up and why it ended.
func (r *Roster) session(ctx context.Context, l *loop) (up time.Duration, err error) {
	s, err := r.connect(ctx, l)
	if err != nil {
		l.log.printf("Launch failed: %v", err)
		r.metrics.failed()
		r.update(l, func(e *entry) { e.dialling, e.cause = false, notConnected(err, time.Now()) })
		return 0, err
	}
	start := time.Now()
	s.hearLeave()
	err = s.beat(ctx)
	s.unwatch()
	_ = s.conn.Close()
	s.closing.Wait()
	if ctx.Err() == nil {
		l.log.printf("Connection ended: %v", err)
	} else {
		l.log.printf("Connection closed")
	}
	r.update(l, func(e *entry) {
		left := e.leaving
		e.setConn(nil)
		if e.cause = sessionEnded(err, time.Now()); left {
			e.cause = hasLeft(time.Now())
		}
	})
	return time.Since(start), err
}

// hearLeave lets the node drain from when its agent says that it goes.
func (s *session) hearLeave() {
	c, ok := s.conn.(Leaver)
	if !ok {
		return
	}
	s.closing.Go(func() {
		select {
		case <-c.Leaving():
		case <-c.Done():
			select {
			case <-c.Leaving(): // it said so, and had nothing to wait for
			default:
				return
			}
		}
		s.loop.log.printf("The agent was asked to end: it takes no new work")
		s.r.update(s.loop, func(e *entry) { e.leaving, e.cause = true, leaving(time.Now()) })
	})
}

// connect goes from nothing to an online node: launch, handshake, first heartbeat. By that heartbeat the queue knows which
// leases the machine still has before anybody uses it.
func (r *Roster) connect(ctx context.Context, l *loop) (*session, error) {
	launcher := r.cfg.Launchers[l.node.Launcher.Kind]
	if launcher == nil {
		return nil, fmt.Errorf("launcher %q is not known to this controller", l.node.Launcher.Kind)
	}
	if w, ok := launcher.(Waiter); !ok || !w.AgentsDial() {
		l.log.printf("Launching the agent (%s)", l.node.Launcher.Kind)
		r.update(l, func(e *entry) { e.dialling = true })
	}
	link, err := launcher.Launch(ctx, l.node, l.log)
	if err != nil {
		return nil, err
	}
	l.log.printf("Connected to %s", link.Peer())
	r.update(l, func(e *entry) { e.dialling = true })
	s, err := r.greet(ctx, l, link)
	if err != nil {
		_ = link.Close()
		return nil, err
	}
	return s, nil
}

func (r *Roster) greet(ctx context.Context, l *loop, link wire.Link) (*session, error) {
	soon, cancel := context.WithTimeout(ctx, r.cfg.ConnectTimeout)
	defer cancel()
	conn, err := r.cfg.Connect(soon, link, l.node)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	s := &session{r: r, loop: l, conn: conn}
	s.named()
	if err = s.meet(soon); err == nil {
		err = s.setUp(ctx)
	}
	if err == nil {
		err = s.firstLook(ctx)
	}
	if err != nil {
		s.unwatch()
		_ = conn.Close()
		s.closing.Wait()
		return nil, err
	}
	s.open()
	return s, nil
}

// meet learns what the machine is, and sends the first heartbeat.
func (s *session) meet(ctx context.Context) error {
	d, err := s.conn.Machine().Describe(ctx)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	s.boot, s.machine = d.Boot, d
	s.r.update(s.loop, func(e *entry) {
		e.session++
		s.number, e.machine = e.session, d
	})
	if err := s.renew(ctx, true, true); err != nil {
		return fmt.Errorf("first heartbeat: %w", err)
	}
	return nil
}

// open shows the node as connected.
func (s *session) open() {
	s.announce(s.machine)
	s.r.metrics.connected()
	s.r.update(s.loop, func(e *entry) {
		e.dialling, e.cause = false, nil
		e.setConn(s.conn)
		if s.r.cfg.Hold != nil {
			e.held = s.r.cfg.Hold(e.status())
		}
	})
}

// announce writes into the node's log what people know to look for there.
func (s *session) announce(d agent.Description) {
	system := "Unix"
	if d.OS == "windows" {
		system = "Windows"
	}
	s.loop.log.printf("Agent version: %s", d.Version)
	s.loop.log.printf("This is a %s agent (%s/%s, %d CPUs, %s)", system, d.OS, d.Arch, d.CPUs, d.Hostname)
	s.loop.log.printf("Agent successfully connected and online")
}
