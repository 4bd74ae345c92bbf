// Package ssh is the Launcher that logs in to a machine by ssh, puts the agent there and starts it.
//
// It needs nothing on the machine but sshd and a user, and nothing on the controller at all: the ssh client is built in. The agent's
// stdin and stdout become the link, its stderr goes to the node's log, and so does every command line as it was run. The agent
// is copied only when the machine has another one. When the link ends the agent ends, and nothing is left running but shims.
//
// Keys of a node's LauncherSpec.Config are described at settings.
package ssh

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
const Kind = "ssh"

// Agents finds the binary for a machine. *dist.Dist is one.
type Agents interface {
	Open(goos, goarch string) (dist.Binary, error)
}

// Config of a Launcher. Agents must be set.
type Config struct {
	Agents   Agents
	Secrets  secret.Source // keys, passphrases and passwords; nil knows file: and env:
	HostKeys HostKeys      // for hostKey=first-use; nil refuses that strategy
	// HowToApprove tells people how a host key that awaits approval gets it; nil tells of pinnedKey.
	HowToApprove func(n fleet.NodeName, k HostKey) string
	Home         string        // the folder with .ssh; "" is this process' user's
	AgentSocket  string        // of an ssh agent, for agent=true; "" is SSH_AUTH_SOCK
	Grace        time.Duration // how long an agent may take to end when its link is closed; 0 is 5 s
	Log          *slog.Logger  // hears of hostKey=none and of secrets that others can read; nil is silent
}

// Launcher starts agents. All methods may be called concurrently.
type Launcher struct {
	cfg Config

	mu   sync.Mutex
	left map[fleet.NodeName]int // process ids of agents that were not seen to end; guarded by mu
}

var (
	_ fleet.Launcher = (*Launcher)(nil)
	_ fleet.Checker  = (*Launcher)(nil)
	_ fleet.Examiner = (*Launcher)(nil)
	_ fleet.Approver = (*Launcher)(nil)
	_ fleet.Keyed    = (*Launcher)(nil)
)

// New checks the configuration.
func New(c Config) (*Launcher, error) {
	if c.Agents == nil {
		return nil, fault.New(fault.Invalid, "ssh launcher: Agents is nil: expected where agent binaries are found")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Secrets == nil {
		c.Secrets = secret.Schemes{"file": file.New(file.Config{Log: c.Log}), "env": secret.Env{}}
	}
	if c.Home == "" {
		c.Home, _ = os.UserHomeDir() // without one, files below ~/.ssh are not found, and the error says so
	}
	if c.AgentSocket == "" {
		c.AgentSocket = os.Getenv("SSH_AUTH_SOCK")
	}
	if c.HowToApprove == nil {
		c.HowToApprove = func(_ fleet.NodeName, k HostKey) string {
			return "set hostKey=pinned and pinnedKey=" + k.Fingerprint + " in the node's launcher settings"
		}
	}
	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	return &Launcher{cfg: c, left: map[fleet.NodeName]int{}}, nil
}

func (l *Launcher) dotSSH(name string) string { return filepath.Join(l.cfg.Home, ".ssh", name) }

// Check reads the node's settings and opens its keys. fault.Invalid.
func (l *Launcher) Check(n fleet.Node) error {
	s, err := l.settings(n)
	if err != nil {
		return err
	}
	c, err := l.credentials(context.Background(), s)
	if err != nil {
		return fault.New(fault.Invalid, "node %s: %w", n.Name, err)
	}
	c.close()
	return nil
}

// Logins implements fleet.Keyed. A key's certificate lets in by the key's line.
func (l *Launcher) Logins(ctx context.Context, n fleet.Node) (out []fleet.Login, err error) {
	s, err := l.settings(n)
	if err != nil {
		return nil, err
	}
	c, err := l.credentials(ctx, s)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for i, h := range s.hops {
		one := fleet.Login{Hop: h.label, User: h.user, Address: h.address()}
		for _, k := range c.logins[i].keys {
			if line := authorizedLine(k.PublicKey(), h.options()); !slices.Contains(one.Lines, line) {
				one.Lines = append(one.Lines, line)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// Launch logs in, brings the agent there when it must, and starts it.
func (l *Launcher) Launch(ctx context.Context, n fleet.Node, w io.Writer) (wire.Link, error) {
	s, err := l.settings(n)
	if err != nil {
		return nil, err
	}
	c, err := l.credentials(ctx, s)
	if err != nil {
		return nil, err
	}
	defer c.close()
	log := kit.NewLog(w, "SSH", c.masks)
	way, err := l.dialAgain(ctx, s, c, log)
	if err != nil {
		return nil, err
	}
	link, err := l.bringUp(ctx, way, s, log)
	if err != nil {
		way.Close()
		return nil, err
	}
	return link, nil
}

// dialAgain logs in, with as many attempts as the settings say. What only a person can change is not tried again.
func (l *Launcher) dialAgain(ctx context.Context, s *settings, c *credentials, log *kit.Log) (*way, error) {
	for attempt := 1; ; attempt++ {
		way, err := l.dial(ctx, s, c, log, nil)
		if err == nil || ctx.Err() != nil || attempt > s.retries || !fault.Is(err, fault.Unavailable) {
			return way, err
		}
		log.Printf("Attempt %d of %d failed: %v; again in %v", attempt, s.retries+1, err, s.retryWait)
		t := time.NewTimer(s.retryWait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, err
		}
	}
}

// bringUp goes from a login to a running agent.
func (l *Launcher) bringUp(ctx context.Context, way *way, s *settings, log *kit.Log) (wire.Link, error) {
	m := &machine{way: way, s: s, log: log}
	if err := m.detect(ctx); err != nil {
		return nil, err
	}
	b, err := l.binary(s, m.platform)
	if err != nil {
		return nil, err
	}
	p, err := m.prepare(ctx, b)
	if err != nil {
		return nil, err
	}
	if err := l.endFormer(ctx, m); err != nil {
		return nil, err
	}
	if err := m.install(ctx, b, p); err != nil {
		return nil, err
	}
	return l.start(m, b, p)
}

// binary finds the agent for a machine. What is used as it is may be the small agent or the whole of Outwork: both know the verb.
func (l *Launcher) binary(s *settings, p platform) (dist.Binary, error) {
	if !s.copy {
		return dist.Binary{Name: "outwork-agent", OS: p.os, Arch: p.arch, Verb: "agent"}, nil
	}
	return l.cfg.Agents.Open(p.os, p.arch)
}
