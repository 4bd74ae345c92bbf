package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/update"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/lifecycle"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/websocket"
)

// settledAfter is how long a connection must have lived for the next pause to be a short one again: a controller that throws
// agents out as soon as they come is not to be stormed.
const settledAfter = 5 * time.Second

// farewell is how long the controller may take to close a connection that the agent is about to leave.
const farewell = time.Second

// Run is the agent. It returns nil when ctx has ended, and with Stdio or Once also when the connection was closed in good
// order or drained. Kinds of its errors: fault.Invalid for a bad Config; fault.Unauthenticated or fault.Denied when the controller
// does not take the credential or the token; fault.Incompatible when the versions do not fit; with Stdio or Once
// fault.Unavailable when the connection failed. Shims, and the steps under them, are running still when it returns.
func Run(ctx context.Context, c Config) error {
	if err := c.fill(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Root, 0o700); err != nil {
		return fault.New(fault.Invalid, "--root: %w", err)
	}
	if len(c.Ignored) > 0 {
		c.Logger.Warn("options of Jenkins' agent that mean nothing here", "ignored", c.Ignored)
	}
	u := updater(c)
	for {
		err := once(ctx, c, u)
		if !errors.Is(err, errUpdate) {
			return err
		}
		if again, err := exchange(ctx, u, c.Logger); !again {
			return err
		}
	}
}

// once is the agent, until it ends or is to make way for another program.
func once(ctx context.Context, c Config, u *update.Updater) error {
	a := &program{cfg: c, up: &uplink{}, pause: newPause(c), updates: u}
	machine, err := c.Machine(c, newStore(a.up))
	if err != nil {
		return fmt.Errorf("open machine: %w", inUse(c, err))
	}
	hold(c)
	a.gate = newGate(machine)
	// The machine ends after the conversation, which at its end may still wait for leases.
	var g lifecycle.Group
	g.Add("machine", machine.Run)
	g.Add("agent", a.run)
	return g.Run(ctx)
}

// program is a running agent.
type program struct {
	cfg      Config
	up       *uplink
	gate     *gate
	pause    *pause
	instance string
	cred     *credential
	joined   bool            // the token was used
	updates  *update.Updater // nil: never
}

func (a *program) run(ctx context.Context) (err error) {
	if a.cfg.Stdio {
		// Who started it may have to end it, and does not know its process id when there is a shell in between.
		a.cfg.Logger.Info("serving stdin and stdout", "pid", os.Getpid())
		return a.serveStdio(ctx)
	}
	if a.instance, err = instance(ctx, a.gate); err != nil {
		return err
	}
	err = a.keepDialling(ctx)
	if a.cfg.GiveBack && ctx.Err() != nil {
		a.giveBack(ctx)
	}
	return err
}

// instance names this process among all that could use the credential.
func instance(ctx context.Context, m agent.Machine) (string, error) {
	d, err := m.Describe(ctx)
	if err != nil {
		return "", fmt.Errorf("describe this machine: %w", err)
	}
	s := fmt.Sprintf("%s/%s/%d", d.Boot, d.Hostname, d.PID)
	return s[:min(len(s), 200)], nil
}

// ending is how one attempt ended.
type ending struct {
	err        error         // nil: closed in good order, drained, or ctx ended
	retryAfter time.Duration // dictated by the controller; 0 is nothing
	greeted    bool          // the two ends have spoken
	settled    bool          // there was a connection worth the name
	update     bool          // a better program has been fetched, and nothing runs here
}

func (a *program) keepDialling(ctx context.Context) error {
	for {
		e := a.converse(ctx, a.dial)
		if ctx.Err() != nil || (e.greeted && update.OnTrial()) {
			return nil
		}
		if e.update {
			return errUpdate
		}
		if a.cfg.Once {
			return e.err
		}
		if final(e.err) && !a.cfg.Retry {
			return e.err
		}
		switch {
		case e.settled:
			a.pause.settled()
		case e.greeted:
			a.pause.greeted()
		}
		wait := a.pause.next(e.retryAfter)
		a.cfg.Logger.Warn("not connected", "reason", reason(e), "again_in", wait.Round(time.Millisecond))
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

func reason(e ending) string {
	if e.err == nil {
		return "the controller closed the connection"
	}
	return e.err.Error()
}

// final: only a person can change it.
func final(err error) bool {
	switch fault.Of(err) {
	case fault.Unauthenticated, fault.Denied, fault.Incompatible, fault.Invalid:
		return err != nil
	}
	return false
}

// obtain makes sure that there is a credential.
func (a *program) obtain(ctx context.Context) (err error) {
	if a.cred != nil {
		return nil
	}
	if a.cfg.Secret != "" {
		a.cred = &credential{URL: a.cfg.URL, Name: a.cfg.Name, Credential: a.cfg.Secret}
		return nil
	}
	if !a.joined {
		if a.cred, err = loadCredential(a.cfg.Root, a.cfg.URL); a.cred != nil || err != nil {
			return err
		}
	}
	if a.cfg.Token == "" {
		return fault.New(fault.Unauthenticated, "this agent has not joined %s yet: give it a --token (on the controller: outwork node token)", a.cfg.URL)
	}
	if a.cred, err = join(ctx, a.cfg); err != nil {
		return err
	}
	a.joined = true
	a.cfg.Logger.Info("joined", "url", a.cfg.URL, "name", a.cred.Name)
	return nil
}

// revoked: a token that was not used yet is the way out.
func (a *program) revoked(err error) error {
	if a.cfg.Token != "" && !a.joined {
		a.cred, a.joined = nil, true
		return fault.New(fault.Unavailable, "the credential is refused, joining again with the token: %w", err)
	}
	return fmt.Errorf("the controller does not take this agent's credential any more; make a new token there and start the agent with --token: %w", err)
}

// converse is one connection, from the first byte to the end.
func (a *program) converse(ctx context.Context, open func(context.Context) (wire.Link, error)) ending {
	link, err := open(ctx)
	if err != nil {
		e := ending{err: err}
		if r, ok := errors.AsType[*websocket.Refusal](err); ok {
			e.retryAfter = r.RetryAfter
		} else if r, ok := errors.AsType[*tcp.Refusal](err); ok {
			e.retryAfter = r.RetryAfter
		}
		return e
	}
	if update.OnTrial() {
		a.gate.shut()
	}
	s, err := remote.Answer(ctx, link, a.gate, remote.Options{Name: a.name(), Version: a.cfg.Version, Heartbeat: a.cfg.Heartbeat, Logger: a.cfg.Logger})
	if err != nil {
		return ending{err: err}
	}
	a.up.set(s.Conn())
	a.cfg.Logger.Info("connected", "peer", link.Peer(), "controller", s.Hello().Name, "version", s.Hello().Version)
	start := time.Now()
	e := a.stay(ctx, s)
	e.greeted, e.settled = true, time.Since(start) >= settledAfter
	a.up.set(nil)
	s.Close()
	return e
}

func (a *program) name() string {
	if a.cred != nil {
		return a.cred.Name
	}
	return a.cfg.Name
}

// stay waits for the end of the connection.
func (a *program) stay(ctx context.Context, s *remote.Served) ending {
	if trial, err := update.Prove(); trial {
		a.leave(ctx, s)
		return ending{err: err}
	}
	look, done := context.WithCancel(ctx)
	fetched, looked := a.lookForUpdate(look)
	defer func() { done(); <-looked }()
	var idle <-chan struct{} // once a better program is here
	for {
		select {
		case <-fetched:
			fetched, idle = nil, a.gate.closed
		case <-idle:
		case <-s.Done():
			return ending{err: goodOrder(s.Err())}
		case d := <-s.Drained():
			a.cfg.Logger.Info("asked to come back later", "after", d.RetryAfter, "reason", d.Reason)
			a.farewell(ctx, s)
			return ending{retryAfter: d.RetryAfter}
		case <-ctx.Done():
			if a.gate.drain(a.cfg.Drain, s.Leave, s.Done(), a.cfg.Logger) {
				a.farewell(context.WithoutCancel(ctx), s)
			}
			return ending{}
		}
		if a.gate.shutIdle(ctx, a.cfg.Logger) {
			a.leave(ctx, s)
			return ending{update: true}
		}
	}
}

// farewell leaves the closing to the controller for a moment: it is to have the answer to its last request first.
func (a *program) farewell(ctx context.Context, s *remote.Served) {
	t := time.NewTimer(farewell)
	defer t.Stop()
	select {
	case <-s.Done():
	case <-t.C:
	case <-ctx.Done():
	}
}
