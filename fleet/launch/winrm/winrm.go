// Package winrm is the Launcher of Windows machines that the controller sets up over WS-Management.
//
// It logs in, has the machine fetch the agent's program from the controller (or copies it there), makes it a service and starts that.
// The service dials the controller: the link comes in as that of any agent that dials, and is taken from there. Nothing is needed on
// the machine but WinRM and cmd.exe; certutil and curl, which come with Windows, are used before PowerShell, which many machines restrict.
//
// When the controller closes a link, the service is stopped. When a link breaks, the service runs on and its agent dials again: it is
// waited for before the machine is logged in to. When the node is deleted, the service is removed.
//
// Keys of a node's LauncherSpec.Config are described at settings.
package winrm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/secret/file"
	"github.com/outwork-build/outwork/wire"
)

// Kind is this launcher's LauncherSpec.Kind.
const Kind = "winrm"

// Agents finds the binary for a machine. *dist.Dist is one.
type Agents interface {
	Open(goos, goarch string) (dist.Binary, error)
}

// Config of a Launcher. Agents, Inbound, Credential and URL must be set.
type Config struct {
	Agents Agents
	// Inbound is where the links of agents that dial arrive: its Launch waits for the next of a node.
	Inbound fleet.Launcher
	// Credential makes a credential with which an agent connects as a node, and ends those that the node had.
	Credential func(ctx context.Context, n fleet.NodeName) (string, error)
	URL        func() string               // under which machines reach the controller; its /agent/OS/ARCH is the agent's program
	Options    func(address string) string // further options of every agent, each after a blank; nil has none
	Secrets    secret.Source               // passwords; nil knows file: and env:
	// Again is how long a service whose link broke may take to dial again before its machine is logged in to; 0 is 35 s.
	Again time.Duration
	Grace time.Duration // how long it may take to stop the service when a link is closed; 0 is 20 s
	Log   *slog.Logger  // hears of connections that are not safe; nil is silent
}

// Launcher sets up machines. All methods may be called concurrently.
type Launcher struct {
	cfg Config

	mu    sync.Mutex
	nodes map[fleet.NodeName]*standing // guarded by mu; an entry is dropped when nothing is known of it
}

// standing is what is known of a node's service.
type standing struct {
	users int   // launches and links; guarded by Launcher.mu
	up    bool  // the service was started, and not stopped; guarded by Launcher.mu
	at    place // of the service that is up; guarded by Launcher.mu
}

var (
	_ fleet.Launcher = (*Launcher)(nil)
	_ fleet.Checker  = (*Launcher)(nil)
	_ fleet.Examiner = (*Launcher)(nil)
	_ fleet.Remover  = (*Launcher)(nil)
)

// New checks the configuration.
func New(c Config) (*Launcher, error) {
	if c.Agents == nil || c.Inbound == nil || c.Credential == nil || c.URL == nil {
		return nil, fault.New(fault.Invalid, "winrm launcher: expected Agents, Inbound, Credential and URL")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Secrets == nil {
		c.Secrets = secret.Schemes{"file": file.New(file.Config{Log: c.Log}), "env": secret.Env{}}
	}
	if c.Options == nil {
		c.Options = func(string) string { return "" }
	}
	if c.Again == 0 {
		c.Again = 35 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 20 * time.Second
	}
	return &Launcher{cfg: c, nodes: map[fleet.NodeName]*standing{}}, nil
}

// Check reads the node's settings, its passwords and certificates. fault.Invalid.
func (l *Launcher) Check(n fleet.Node) error {
	s, err := l.settings(n)
	if err != nil {
		return err
	}
	if _, err := l.unlock(context.Background(), s); err != nil {
		return fault.New(fault.Invalid, "node %s: %w", n.Name, err)
	}
	return nil
}

// Launch sets the machine up and waits for its agent; first for the agent of the service that its last link left running.
func (l *Launcher) Launch(ctx context.Context, n fleet.Node, w io.Writer) (wire.Link, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s, err := l.settings(n)
	if err != nil {
		return nil, err
	}
	k, err := l.unlock(ctx, s)
	if err != nil {
		return nil, err
	}
	a := &attempt{l: l, n: n, s: s, keys: k, log: kit.NewLog(w, "WinRM", k.masks())}
	before := l.hold(n.Name)
	found, err := a.run(ctx, before)
	if err == nil {
		return &link{Link: found, l: l, s: s, keys: k, log: a.log}, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if a.started || before.up && ctx.Err() != nil {
		l.stop(ctx, s, k, a.log)
	}
	l.release(n.Name)
	return nil, fmt.Errorf("launch %s: %w", n.Name, err)
}

// Remove takes the service off the machine of a node that was deleted. The agent's folder stays, without its credential. A node of the
// same name that is there again keeps its service.
func (l *Launcher) Remove(ctx context.Context, n fleet.Node, w io.Writer) error {
	if l.used(n.Name) {
		return nil
	}
	s, err := l.settings(n)
	if err != nil {
		return err
	}
	k, err := l.unlock(ctx, s)
	if err != nil {
		return err
	}
	log := kit.NewLog(w, "WinRM", k.masks())
	err = l.visit(ctx, s, k, log, func(m *machine) error {
		if err := m.look(ctx); err != nil {
			return err
		}
		return m.remove(ctx)
	})
	if err != nil {
		return fmt.Errorf("remove the agent's service of %s: %w", n.Name, err)
	}
	l.mark(n.Name, func(st *standing) { st.up = false })
	return nil
}

// stop ends the service of a node. A machine that cannot be reached keeps it: its agent goes on dialling, and the next Launch finds it.
func (l *Launcher) stop(ctx context.Context, s *settings, k keys, log *kit.Log) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.Grace)
	defer cancel()
	at := l.standing(s.node).at
	err := l.visit(ctx, s, k, log, func(m *machine) error {
		m.place = at
		return m.stop(ctx)
	})
	if err != nil {
		log.Printf("The service is not stopped: %v", err)
		return
	}
	l.mark(s.node, func(st *standing) { st.up = false })
}

// visit logs in for what do does.
func (l *Launcher) visit(ctx context.Context, s *settings, k keys, log *kit.Log, do func(*machine) error) error {
	m, err := l.login(ctx, s, k, log)
	if err != nil {
		return err
	}
	defer m.close()
	return do(m)
}

// hold keeps what is known of a node and returns a copy.
func (l *Launcher) hold(name fleet.NodeName) standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.nodes[name]
	if st == nil {
		st = &standing{}
		l.nodes[name] = st
	}
	st.users++
	return *st
}

func (l *Launcher) release(name fleet.NodeName) {
	l.mark(name, func(st *standing) { st.users-- })
}

func (l *Launcher) mark(name fleet.NodeName, change func(*standing)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st := l.nodes[name]; st != nil {
		if change(st); st.users == 0 && !st.up {
			delete(l.nodes, name)
		}
	}
}

func (l *Launcher) standing(name fleet.NodeName) standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st := l.nodes[name]; st != nil {
		return *st
	}
	return standing{}
}

func (l *Launcher) used(name fleet.NodeName) bool { return l.standing(name).users > 0 }
