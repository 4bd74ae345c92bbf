package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
	"github.com/outwork-build/outwork/wire/tcp"
)

// joinByCommand runs an agent in this process with the flags of the command that the API prints, until the test ends.
func joinByCommand(t *testing.T, f *servertest.Farm, name string) {
	t.Helper()
	tok, err := f.Client.CreateJoinToken(f.Context(), api.JoinTokenCreate{Node: name})
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(tok.Command)
	if len(args) < 3 || args[0] != "outwork" || args[1] != "agent" {
		t.Fatalf("the command is %q", tok.Command)
	}
	var cfg serve.Config
	for i := 2; i+1 < len(args); i++ {
		switch args[i] {
		case "--url":
			cfg.URL = args[i+1]
		case "--token":
			cfg.Token = args[i+1]
		case "--name":
			cfg.Name = args[i+1]
		case "--pin":
			cfg.Pin = args[i+1]
		case "--tunnel":
			cfg.Tunnel = args[i+1]
		case "--tcp":
			cfg.TCP = true
		}
	}
	cfg.Root, cfg.Version, cfg.Logger = filepath.Join(t.TempDir(), name), "test", slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve.Run(ctx, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("agent %s: %v", name, err)
		}
	})
	f.Await("node "+name, func() bool {
		st, ok := f.Roster().Node(fleet.NodeName(name))
		return ok && st.State == fleet.Online
	})
}

func listener(t *testing.T, f *servertest.Farm) (int, http.Header) {
	t.Helper()
	resp, err := http.Get(f.URL() + "/tcpSlaveAgentListener/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// S1-33: without a port for agents there is none, and whoever asks is told so.
func TestNoPortForAgents(t *testing.T) {
	f := servertest.New(t)
	if code, h := listener(t, f); code != http.StatusNotFound || h.Get("X-Jenkins-JNLP-Port") != "" {
		t.Errorf("%d %v", code, h)
	}
	if _, err := tcp.Ask(t.Context(), http.DefaultClient, f.URL()); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "--agent-listen") {
		t.Error(err)
	}
	if c := f.JoinCommand("owj_x"); c != "outwork agent --url "+f.URL()+" --token owj_x" || f.AgentAddress() != "" {
		t.Errorf("%q, %q", c, f.AgentAddress())
	}
	joinByCommand(t, f, "ws")
	if _, err := os.Stat(filepath.Join(f.Config.Data, "identity.pem")); !os.IsNotExist(err) {
		t.Errorf("an identity that nobody needs: %v", err)
	}
}

// S1-33: a port that the system chooses, the same again after a restart when it is named, and headers that follow.
func TestPortForAgents(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.AgentListen = "127.0.0.1:0"
	f := servertest.Start(t, cfg)
	_, port, err := net.SplitHostPort(f.AgentAddress())
	if err != nil || port == "0" {
		t.Fatalf("%q, %v", f.AgentAddress(), err)
	}
	command := f.JoinCommand("owj_x")
	if !regexp.MustCompile(` --tcp --pin sha256:[0-9a-f]{64} --token owj_x$`).MatchString(command) {
		t.Errorf("the command is %q", command)
	}
	joinByCommand(t, f, "t")
	log, err := f.Client.NodeLog(f.Context(), "t")
	if err != nil || !strings.Contains(log, "connected from 127.0.0.1") {
		t.Errorf("%q, %v", log, err)
	}
	if b := f.Run("here", `node('t') { sh 'true' }`); b.Result != "SUCCESS" {
		t.Errorf("%+v", b)
	}
	headers := func(want string) {
		t.Helper()
		code, h := listener(t, f)
		if code != http.StatusOK || h.Get("X-Jenkins-JNLP-Port") != want || h.Get("X-Hudson-JNLP-Port") != want || h.Get("X-Instance-Identity") == "" {
			t.Errorf("%d %v", code, h)
		}
		e, err := tcp.Ask(t.Context(), http.DefaultClient, f.URL())
		if err != nil || e.Plain || !strings.Contains(command, string(e.Pin)) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	headers(port)
	f.Stop()
	f.Config.AgentListen = "127.0.0.1:" + port // fixed
	f.Start()
	headers(port)
	f.Await("the agent again", func() bool {
		st, ok := f.Roster().Node("t")
		return ok && st.State == fleet.Online
	})
}

// The port takes agents only, by their credential.
func TestThePortForAgentsTakesOnlyAgents(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.AgentListen = "127.0.0.1:0"
	f := servertest.Start(t, cfg)
	e, err := tcp.Ask(t.Context(), http.DefaultClient, f.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, credential := range []string{"", "owa_" + strings.Repeat("A", 43), f.Token} {
		_, err := tcp.Dial(t.Context(), tcp.DialConfig{Address: f.AgentAddress(), Pin: e.Pin, Caller: tcp.Caller{Credential: credential}})
		if !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%.6q: %v", credential, err)
		}
	}
}

// S1-88: pages at one address of the machine, agents at another, and neither at the other's.
func TestAgentsAtAnAddressOfTheirOwn(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.AgentListen = "127.0.0.2:0"
	if l, err := net.Listen("tcp", cfg.AgentListen); err != nil {
		need.Lack(t, "this system has no 127.0.0.2: %v", err)
	} else {
		l.Close()
	}
	f := servertest.Start(t, cfg)
	if c := f.JoinCommand("x"); !strings.Contains(c, " --tunnel 127.0.0.2: --pin sha256:") {
		t.Errorf("the command is %q", c)
	}
	joinByCommand(t, f, "private")
	_, agents, _ := net.SplitHostPort(f.AgentAddress())
	_, pages, _ := net.SplitHostPort(f.Address())
	for _, address := range []string{"127.0.0.1:" + agents, "127.0.0.2:" + pages} {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Errorf("something listens at %s", address)
		}
	}
}

func TestAPortForAgentsThatCannotBeHad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := servertest.Config(t)
	cfg.AgentListen = l.Addr().String()
	if _, err = server.New(t.Context(), cfg); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "--agent-listen") {
		t.Error(err)
	}
}
