//go:build unix

package serve_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/fault"
)

// F4: an agent process that is stopped is noticed within two heartbeats; when it goes on it notices that it was given up and
// comes back, and its step has not noticed anything.
func TestStoppedAgentIsFound(t *testing.T) {
	const heartbeat = time.Second
	c := newController(t, false)
	c.heartbeat(heartbeat)
	p := startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "n", "--root", t.TempDir())
	conn := c.next(t)
	l := agent.Lease{Item: "i", Epoch: 1}
	ctx := t.Context()
	w, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"})
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho one; while ! test -e go; do sleep 0.02; done; echo two"
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: "s", Script: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	stop(t, p.Process)
	call := make(chan error, 1)
	go func() { _, err := conn.Machine().Describe(context.Background()); call <- err }()
	d := within(t, "the controller notices", patience, conn.Done())
	t.Logf("noticed after %v, heartbeat %v", d, heartbeat)
	if d > 2*heartbeat+busy {
		t.Errorf("noticed after %v", d)
	}
	if err := <-call; !fault.Is(err, fault.Unavailable) {
		t.Errorf("a call to the stopped agent: %v", err)
	}
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	again := c.next(t)
	if err := again.Machine().WriteFile(ctx, l, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	e, err := again.Machine().Follow(ctx, l, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil || e.Code != 0 || out != "one\ntwo\n" {
		t.Errorf("%q, %+v, %v in %s", out, e, err, w.Path)
	}
	if err := again.Machine().Close(ctx, l); err != nil {
		t.Error(err)
	}
}

// stop stops a child and returns when it stands still: the signal alone leaves its threads time to answer a call.
func stop(t testing.TB, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.Pid, &ws, syscall.WUNTRACED, nil)
		if err == nil && ws.Stopped() {
			return
		}
		if err != syscall.EINTR {
			t.Fatalf("stopping %d: %v, %v", p.Pid, ws, err)
		}
	}
}

// The other side of F4: the agent, which follows the controller's heartbeat, notices a controller process that is stopped.
func TestStoppedControllerIsFound(t *testing.T) {
	const heartbeat = time.Second
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=controller", "HEARTBEAT="+heartbeat.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	lines := bufio.NewScanner(out)
	lines.Scan()
	log := &lineLog{lines: make(chan string, 100)}
	startHere(t, serve.Config{URL: lines.Text(), Token: "t", Name: "n", Root: t.TempDir(), Logger: logTo(log)})
	log.until(t, "connected peer")
	stop(t, cmd.Process)
	start := time.Now()
	log.until(t, "silent for two heartbeats")
	d := time.Since(start)
	t.Logf("noticed after %v, heartbeat %v", d, heartbeat)
	if d > 2*heartbeat+busy {
		t.Errorf("noticed after %v", d)
	}
}

// lineLog hands lines of a log out.
type lineLog struct{ lines chan string }

func (l *lineLog) Write(p []byte) (int, error) {
	select {
	case l.lines <- string(p):
	default: // nobody reads any more
	}
	return len(p), nil
}

func (l *lineLog) until(t testing.TB, want string) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case line := <-l.lines:
			if strings.Contains(strings.ReplaceAll(line, "msg=", ""), want) {
				return
			}
		case <-limit:
			t.Fatalf("the agent has not logged %q", want)
		}
	}
}

// F22, the agent's part: on SIGTERM it ends at once with code 0, its step runs on, and the next agent finds it.
func TestTermLeavesStepsRunning(t *testing.T) {
	c := newController(t, false)
	root := t.TempDir()
	p := startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "n", "--root", root)
	conn := c.next(t)
	ctx := t.Context()
	l := agent.Lease{Item: "i", Epoch: 1}
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nwhile ! test -e go; do sleep 0.02; done; echo done"
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: "s", Script: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGTERM)
	if code := p.code(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	within(t, "the controller hears it", patience, conn.Done())

	// The second start needs no token: the agent has its own credential.
	startAgent(t, nil, "--url", c.URL, "--root", root)
	conn = c.next(t)
	if open, _, _, err := conn.Machine().Renew(ctx, []agent.Lease{l}, 0); err != nil || len(open) != 1 {
		t.Errorf("open leases %v, %v", open, err)
	}
	if err := conn.Machine().WriteFile(ctx, l, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	e, err := conn.Machine().Follow(ctx, l, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil || e.Code != 0 || e.Lost || out != "done\n" {
		t.Errorf("%q, %+v, %v", out, e, err)
	}
	if err := conn.Machine().Close(ctx, l); err != nil {
		t.Error(err)
	}
}

// With --drain the agent takes nothing new and ends when its last lease is closed.
func TestTermWithDrain(t *testing.T) {
	c := newController(t, false)
	p := startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "n", "--root", t.TempDir(), "--drain", "1m")
	conn := c.next(t)
	ctx := t.Context()
	l := agent.Lease{Item: "i", Epoch: 1}
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.Leaving():
		t.Error("it leaves before it was asked to")
	default:
	}
	p.Process.Signal(syscall.SIGTERM)
	within(t, "the agent says that it leaves", patience, conn.Leaving())
	for { // the notice comes before the gate is shut
		other := agent.Lease{Item: "other", Epoch: 1}
		_, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: other, Job: "other"})
		if fault.Is(err, fault.Unavailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Machine().Close(ctx, other); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: "s", Script: []byte("true")}); err != nil {
		t.Errorf("a step of the open lease: %v", err)
	}
	if err := conn.Machine().Close(ctx, l); err != nil {
		t.Errorf("close: %v", err)
	}
	if code := p.code(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
