package local_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/local"
	"github.com/outwork-build/outwork/internal/fault"
)

// roleEnv makes the test binary the agent.
const roleEnv = "LOCAL_TEST_ROLE"

func TestMain(m *testing.M) {
	host.MaybeShim()
	if os.Getenv(roleEnv) == "agent" {
		os.Exit(serve.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	launchtest.Main(m)
}

func launcher(t testing.TB, argv ...string) (*local.Launcher, string) {
	root := t.TempDir()
	if len(argv) == 0 {
		argv = []string{os.Args[0]}
	}
	l, err := local.New(local.Config{Root: root, Argv: argv, Env: []string{roleEnv + "=agent"}, Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return l, root
}

func connect(t testing.TB, l *local.Launcher, n fleet.Node, log *safeLog) *remote.Conn {
	t.Helper()
	link, err := l.Launch(t.Context(), n, log)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := remote.Connect(t.Context(), link, remote.Options{Name: "controller"})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// The agent ends with its link; its step does not, and the next agent finds it.
func TestLaunch(t *testing.T) {
	t.Setenv("OUTWORK_TOKEN", "not for agents")
	t.Setenv("OUTWORK_URL", "http://127.0.0.1:1") // an agent that saw it beside --stdio would refuse
	l, root := launcher(t)
	n := fleet.Node{Name: "node one"}
	log := &safeLog{}
	conn := connect(t, l, n, log)
	ctx := t.Context()
	d, err := conn.Machine().Describe(ctx)
	if err != nil || d.Root != filepath.Join(root, "node one") || d.PID == os.Getpid() {
		t.Errorf("%+v, %v", d, err)
	}
	lease := agent.Lease{Item: "i", Epoch: 1}
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: lease, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho one; while ! test -e go; do sleep 0.02; done; echo two"
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: lease, Step: "s", Script: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	conn.Close()
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the agent took %v to end", took)
	}
	if p, err := os.FindProcess(d.PID); err == nil && alive(p) {
		t.Errorf("agent %d lives on", d.PID)
	}

	conn = connect(t, l, n, log)
	if again, err := conn.Machine().Describe(ctx); err != nil || again.PID == d.PID || again.Root != d.Root {
		t.Errorf("%+v, %v", again, err)
	}
	if err := conn.Machine().WriteFile(ctx, lease, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	e, err := conn.Machine().Follow(ctx, lease, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil || e.Code != 0 || out != "one\ntwo\n" {
		t.Errorf("%q, %+v, %v", out, e, err)
	}
	if err := conn.Machine().Close(ctx, lease); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "Starting "+os.Args[0]) || !strings.Contains(log.String(), "msg=connected") {
		t.Errorf("the node's log: %s", log)
	}
}

// A dead agent ends the link with the reason.
func TestAgentDies(t *testing.T) {
	l, _ := launcher(t)
	conn := connect(t, l, fleet.Node{Name: "n"}, &safeLog{})
	d, err := conn.Machine().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(d.PID)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	select {
	case <-conn.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the death was not noticed")
	}
	if err := conn.Err(); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("%v", err)
	}
}

func TestLaunchFails(t *testing.T) {
	l, _ := launcher(t, "/nonexistent/outwork", "agent")
	if _, err := l.Launch(t.Context(), fleet.Node{Name: "n"}, &safeLog{}); !fault.Is(err, fault.Unavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := l.Launch(t.Context(), fleet.Node{Name: "../n"}, &safeLog{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if _, err := local.New(local.Config{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// A program that is no agent says why in the node's log and in the error.
func TestNoAgent(t *testing.T) {
	l, _ := launcher(t, "/bin/sh", "-c", "echo usage: something else; echo trouble >&2; exit 64", "sh")
	log := &safeLog{}
	link, err := l.Launch(t.Context(), fleet.Node{Name: "n"}, log)
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Connect(t.Context(), link, remote.Options{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "exit status 64") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "trouble") {
		t.Errorf("log: %s", log)
	}
}

func TestStartAndStop(t *testing.T) {
	l, _ := launcher(t)
	for range 20 {
		conn := connect(t, l, fleet.Node{Name: "n"}, &safeLog{})
		conn.Close()
	}
}

type safeLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
