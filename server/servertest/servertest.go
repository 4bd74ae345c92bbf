// Package servertest runs a real controller with real agents inside a test.
//
// A test binary that uses it calls Main from its TestMain: the agents of a Farm are the test binary executed again. Everything
// lives in a folder of the test's and listens on loopback, and is stopped at the test's end. A Farm's methods are called by the
// test's goroutine.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/auth"
)

// Patience is how long anything may take before a test gives up. Machines that run tests are slow at times.
const Patience = time.Minute

// Main is the shim or the agent when the test binary was started as one, and does nothing otherwise.
func Main() {
	host.MaybeShim()
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(serve.Main(os.Args[2:], os.Getenv, os.Stdout, os.Stderr))
	}
}

// cheap makes hashing passwords cost nothing.
var cheap = auth.HashCost{MemoryKiB: 8, Time: 1, Threads: 1}

// Config is a controller's configuration for a test: loopback, cheap passwords, agents that are the test binary.
func Config(t testing.TB) server.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return server.Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Hash: &cheap, Agent: []string{self, "agent"},
		Log: slog.New(slog.NewTextHandler(output{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

// output writes a log to the test's, while the test runs.
type output struct{ t testing.TB }

func (o output) Write(p []byte) (int, error) {
	if o.t.Context().Err() == nil {
		o.t.Log(strings.TrimRight(string(p), "\n"))
	}
	return len(p), nil
}

// Farm is a running controller.
type Farm struct {
	*server.Server
	T      testing.TB
	Config server.Config
	Client *client.Client // the admin's
	Token  string         // the admin's

	password string
	stop     context.CancelFunc
	ended    chan error
}

// New starts a controller with nodes of this machine and logs its admin in. "linux docker" is a node with two labels; nodes are
// called n1, n2 and so on, and have two executors each.
func New(t testing.TB, nodes ...string) *Farm {
	t.Helper()
	cfg := Config(t)
	for i, labels := range nodes {
		cfg.Nodes = append(cfg.Nodes, server.Local{Name: nodeName(i), Labels: strings.Fields(labels), Executors: 2})
	}
	return Start(t, cfg)
}

// Start starts a controller over a new data folder.
func Start(t testing.TB, cfg server.Config) *Farm {
	t.Helper()
	f := &Farm{T: t, Config: cfg}
	f.Start()
	t.Cleanup(func() { f.Stop() })
	f.password = f.FirstPassword()
	f.Token = f.Login("admin", f.password).Secret
	f.Client = f.As(f.Token)
	return f
}

// Start starts the controller again over the same folder and port.
func (f *Farm) Start() {
	f.T.Helper()
	s, err := server.New(context.Background(), f.Config)
	if err != nil {
		f.T.Fatal(err)
	}
	f.Config.Listen = s.Address()
	ctx, stop := context.WithCancel(context.Background())
	f.Server, f.stop, f.ended = s, stop, make(chan error, 1)
	go func() { f.ended <- s.Run(ctx) }()
}

// Stop stops the controller and waits for its end.
func (f *Farm) Stop() {
	f.T.Helper()
	if f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	select {
	case err := <-f.ended:
		if err != nil {
			f.T.Errorf("the controller ended with %v", err)
		}
	case <-time.After(Patience):
		f.T.Error("the controller does not end")
	}
}

// Password is the first admin's.
func (f *Farm) Password() string { return f.password }

// Login returns a token of a user.
func (f *Farm) Login(user, password string) api.Token {
	f.T.Helper()
	tok, err := f.As("").Login(f.Context(), api.Login{User: user, Password: password})
	if err != nil {
		f.T.Fatal(err)
	}
	return tok
}

// As returns a client with a token.
func (f *Farm) As(token string) *client.Client {
	f.T.Helper()
	c, err := client.New(f.URL(), token, nil)
	if err != nil {
		f.T.Fatal(err)
	}
	return c
}

// Context ends when patience does.
func (f *Farm) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	f.T.Cleanup(cancel)
	return ctx
}

// Await waits until ok says yes, looking again whenever builds, nodes or the queue have changed.
func (f *Farm) Await(what string, ok func() bool) {
	f.T.Helper()
	builds, stopBuilds := f.Runner().Subscribe()
	defer stopBuilds()
	nodes, stopNodes := f.Roster().Subscribe()
	defer stopNodes()
	queue, stopQueue := f.Queue().Subscribe()
	defer stopQueue()
	deadline := time.After(Patience)
	for !ok() {
		select {
		case <-builds:
		case <-nodes:
		case <-queue:
		case <-deadline:
			f.T.Fatalf("waited too long for %s", what)
		}
	}
}

// AwaitTools is Await for what is known of the nodes' tools.
func (f *Farm) AwaitTools(what string, ok func() bool) {
	f.T.Helper()
	changed, stop := f.Tools().Subscribe()
	defer stop()
	deadline := time.After(Patience)
	for !ok() {
		select {
		case <-changed:
		case <-deadline:
			f.T.Fatalf("waited too long for %s", what)
		}
	}
}

// Online waits until every node of the configuration is online.
func (f *Farm) Online() {
	f.T.Helper()
	f.Await("the nodes", func() bool {
		for _, n := range f.Config.Nodes {
			if st, found := f.Roster().Node(n.Name); !found || st.State != "online" {
				return false
			}
		}
		return true
	})
}

// Job makes a job of a Jenkinsfile's text.
func (f *Farm) Job(name, script string) {
	f.T.Helper()
	if _, err := f.Client.CreateJob(f.Context(), api.JobCreate{Name: name, Source: api.Source{Script: script}}); err != nil {
		f.T.Fatal(err)
	}
}

// Build starts a build.
func (f *Farm) Build(job string) api.Build {
	f.T.Helper()
	b, err := f.Client.StartBuild(f.Context(), job, api.BuildCreate{})
	if err != nil {
		f.T.Fatal(err)
	}
	return b
}

// Ended waits for the end of a build.
func (f *Farm) Ended(b api.Build) api.Build {
	f.T.Helper()
	f.Await(fmt.Sprintf("the end of %s#%d", b.Job, b.Number), func() bool {
		got, err := f.Client.Build(f.Context(), b.Job, b.Number)
		if err != nil {
			f.T.Fatal(err)
		}
		b = got
		return b.State == "finished"
	})
	return b
}

// Run makes a job of a Jenkinsfile, builds it, and waits for its end.
func (f *Farm) Run(name, script string) api.Build {
	f.T.Helper()
	f.Job(name, script)
	return f.Ended(f.Build(name))
}

func nodeName(i int) fleet.NodeName { return fleet.NodeName(fmt.Sprintf("n%d", i+1)) }
