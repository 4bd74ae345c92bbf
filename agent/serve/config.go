// Package serve is the program at the far end of a link: the agent.
//
// Run opens the machine it stands on (agent/host), reaches the controller and serves the machine to it until its context ends. It
// dials again after every loss, with a pause that grows and is shuffled; steps run on meanwhile, under their shims, and also when
// the agent itself ends. Over stdin and stdout it serves whoever started it, once.
package serve

import (
	"context"
	"crypto/tls"
	"flag"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of an agent. Either URL or Stdio must be set.
type Config struct {
	URL   string // the controller's address, as people open it
	Stdio bool   // serve stdin and stdout instead of dialling
	Text  bool   // with Stdio: by text framing, for a terminal or telnet

	TCP    bool   // dial the controller's port for agents instead of its HTTP port; so do Tunnel and Direct
	Tunnel string // HOST:PORT, HOST: or :PORT to dial instead of where the controller says that port is
	Direct string // HOST:PORT of that port; the controller is not asked
	Pin    string // the controller's key, see wire/tcp.Pin; "" is the one met first over TCP, and a CA's word over HTTPS

	Token   string      // one-use join token; needed only before the agent has a credential of its own. @FILE reads it there
	Secret  string      // the credential itself, for an agent that keeps none; or a join token. @FILE reads it there
	Header  http.Header // added to HTTP requests, for a reverse proxy that wants it
	Ignored []string    // options of Jenkins' agent that were given and mean nothing here, to be told once in the log

	Name string // the node's name; "" is the host name
	Root string // the agent's folder; "" is ~/.outwork/agent

	// Proposed at the join; the controller uses them only when it makes the node, later they are its administrator's.
	Labels      []string
	Executors   int    // 0 is the number of CPUs
	Mode        string // "", normal or exclusive
	Description string

	Once  bool          // end when the first connection ends
	Retry bool          // go on dialling also after a refusal that only a person can undo
	Drain time.Duration // when asked to end, wait at most that long for open leases, taking no new ones; 0 does not wait
	// GiveBack ends what still runs after Drain and lets the controller know, for a machine that goes away. Without it steps run on.
	GiveBack bool

	NoUpdate   bool          // stay with this program although the controller hands out another
	UpdateWait time.Duration // how long the controller's agent may take to reach it, before this program goes on; 0 is one minute
	Argv       []string      // that this process was started with, for the program that takes its place; nil never updates
	Verb       string        // that stands before the flags in Argv: "agent" for the whole of Outwork

	Heartbeat  time.Duration // 0 is the controller's
	MinBackoff time.Duration // upper bound of the first pause between two attempts; 0 is 1 s
	MaxBackoff time.Duration // upper bound of every pause; 0 is 25 s, so that all agents are back within 30 s
	// Version is Outwork's, as the agent says it.
	Version string
	TLS     *tls.Config                           // nil is the system's roots
	Proxy   func(*http.Request) (*url.URL, error) // nil is the environment's
	Logger  *slog.Logger                          // nil is silent

	inherited string // URL as the environment has it; an agent over stdin and stdout does without

	// Machine opens the machine to serve; nil is agent/host over Root. Run keeps it until its context ends.
	Machine func(Config, cas.Store) (Machine, error)
}

// Machine is a machine that needs a Run of its own while it is served.
type Machine interface {
	agent.Machine
	Run(ctx context.Context) error
}

// Bind makes flags of the settings a person gives. The environment variable OUTWORK_X stands for the flag x; a flag wins.
func (c *Config) Bind(fs *flag.FlagSet, getenv func(string) string) error {
	b := binder{fs: fs, getenv: compatEnv(getenv)}
	b.text(&c.URL, "url", "the controller's `address`")
	c.inherited = c.URL
	c.Ignored = ignoredEnv(getenv)
	b.text(&c.Token, "token", "one-use join `token`, or @FILE with it; needed only the first time")
	b.text(&c.Secret, "secret", "the agent's `credential` instead of the one in its folder, or a join token, or @FILE with either")
	b.flag(&c.TCP, "tcp", "dial the controller's port for agents instead of its HTTP port")
	b.text(&c.Tunnel, "tunnel", "`HOST:PORT`, HOST: or :PORT to dial for the controller's port for agents; implies --tcp")
	b.text(&c.Direct, "direct", "`HOST:PORT` of the controller's port for agents, without asking --url for it; implies --tcp")
	b.text(&c.Pin, "pin", "the controller's key, `sha256:…`, as it prints it; no other is taken, over HTTPS besides what a CA vouches for")
	b.header(&c.Header, "header", "`NAME=VALUE` added to HTTP requests, for a reverse proxy that wants it; may be repeated")
	b.text(&c.Name, "name", "`name` of the node; default the host name")
	b.text(&c.Root, "root", "`folder` of the agent; default ~/.outwork/agent")
	b.list(&c.Labels, "labels", "`labels` proposed for the node, separated by spaces or commas")
	b.value(&c.Executors, "executors", "`number` of executors proposed for the node; default one for each CPU")
	b.text(&c.Mode, "mode", "normal or exclusive, proposed for the node (`mode`)")
	b.text(&c.Description, "description", "`text` proposed for the node")
	b.flag(&c.Stdio, "stdio", "serve stdin and stdout instead of dialling")
	b.flag(&c.Text, "text", "with --stdio: speak in lines of text, for a channel that is a terminal or telnet")
	b.flag(&c.Once, "once", "end when the connection ends instead of dialling again")
	b.flag(&c.Retry, "retry", "go on dialling also when the credential is refused")
	b.flag(&c.NoUpdate, "no-update", "stay with this program although the controller hands out another")
	b.duration(&c.UpdateWait, "update-wait", "go back to this program when the controller's has not reached it within this `time`; default 1m")
	b.duration(&c.Drain, "drain", "when asked to end, take no new work and wait at most this `time` for running work")
	b.flag(&c.GiveBack, "give-back", "when asked to end, end also what still runs after --drain and give it back: for a machine that goes away")
	return b.err
}

type binder struct {
	fs     *flag.FlagSet
	getenv func(string) string
	err    error // the first bad environment variable
}

// variable of the environment that stands for a flag.
func variable(flag string) string {
	return "OUTWORK_" + strings.ReplaceAll(strings.ToUpper(flag), "-", "_")
}

// env sets the flag's value from its variable.
func (b *binder) env(name string) {
	variable := variable(name)
	v := b.getenv(variable)
	if v == "" || b.err != nil {
		return
	}
	if err := b.fs.Set(name, v); err != nil {
		b.err = fault.New(fault.Invalid, "environment variable %s: %q: %w", variable, v, err)
	}
}

func (b *binder) text(p *string, name, usage string) {
	b.fs.StringVar(p, name, *p, usage)
	b.env(name)
}

func (b *binder) flag(p *bool, name, usage string) {
	b.fs.BoolVar(p, name, *p, usage)
	b.env(name)
}

func (b *binder) duration(p *time.Duration, name, usage string) {
	b.fs.DurationVar(p, name, *p, usage)
	b.env(name)
}

func (b *binder) value(p *int, name, usage string) {
	b.fs.Func(name, usage, func(s string) (err error) {
		*p, err = strconv.Atoi(s)
		return err
	})
	b.env(name)
}

func (b *binder) list(p *[]string, name, usage string) {
	b.fs.Func(name, usage, func(s string) error {
		*p = strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	})
	b.env(name)
}

func (b *binder) header(p *http.Header, name, usage string) {
	b.fs.Func(name, usage, func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fault.New(fault.Invalid, "%q: expected NAME=VALUE", s)
		}
		if *p == nil {
			*p = http.Header{}
		}
		p.Add(strings.TrimSpace(k), strings.TrimSpace(v))
		return nil
	})
	b.env(name)
}

// fill sets defaults and checks the rest.
func (c *Config) fill() error {
	if c.Stdio && c.URL == c.inherited {
		c.URL = ""
	}
	switch {
	case c.Stdio && c.URL != "":
		return fault.New(fault.Invalid, "--stdio and --url: expected one of them")
	case c.Text && !c.Stdio:
		return fault.New(fault.Invalid, "--text is for --stdio")
	case !c.Stdio && c.URL == "" && c.Direct == "":
		return fault.New(fault.Invalid, "--url is missing: give the controller's address, or --stdio")
	case c.GiveBack && c.Stdio:
		return fault.New(fault.Invalid, "--give-back is for an agent that dials")
	case c.Executors < 0:
		return fault.New(fault.Invalid, "--executors %d: expected 0 or more", c.Executors)
	case c.Mode != "" && c.Mode != "normal" && c.Mode != "exclusive":
		return fault.New(fault.Invalid, "--mode %q: expected normal or exclusive", c.Mode)
	}
	if err := c.fillAddress(); err != nil {
		return err
	}
	if err := c.fillDial(); err != nil {
		return err
	}
	if c.Root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fault.New(fault.Invalid, "--root is missing and there is no home folder to default to: %w", err)
		}
		c.Root = filepath.Join(home, ".outwork", "agent")
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fault.New(fault.Invalid, "--name is missing and the host has none: %w", err)
		}
		c.Name = host
	}
	if c.Executors == 0 {
		c.Executors = runtime.NumCPU()
	}
	if c.MinBackoff <= 0 {
		c.MinBackoff = time.Second
	}
	if c.MaxBackoff <= 0 {
		c.MaxBackoff = 25 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Machine == nil {
		c.Machine = openHost
	}
	return nil
}

func (c *Config) fillAddress() error {
	if c.Stdio || c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return fault.New(fault.Invalid, "--url %q: expected http://HOST or https://HOST", c.URL)
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	return nil
}
