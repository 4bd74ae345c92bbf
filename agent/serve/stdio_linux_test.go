package serve_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/text"
)

// onTerminal starts an agent on a terminal as a login has it: with an echo, in line mode.
func onTerminal(t *testing.T, args ...string) (*os.File, *exec.Cmd, <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"=agent", "OUTWORK_ROOT="+t.TempDir())
	cmd.Stderr = &buffer{}
	master, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		master.Close()
		if t.Failed() {
			t.Logf("agent: %s", cmd.Stderr)
		}
	})
	return master, cmd, ended
}

// S1-27: run by hand, the agent explains itself instead of printing bytes.
func TestStdioOnATerminal(t *testing.T) {
	_, cmd, ended := onTerminal(t, "--stdio")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the agent has not ended")
	}
	log := cmd.Stderr.(*buffer).String()
	if code := cmd.ProcessState.ExitCode(); code != serve.ExitRefused || !strings.Contains(log, "stdin is a terminal") || !strings.Contains(log, "--text") {
		t.Errorf("exit code %d: %s", code, log)
	}
}

// S1-108: with --text a terminal is a channel; the agent turns its echo off.
func TestTextOnATerminal(t *testing.T) {
	master, cmd, ended := onTerminal(t, "--stdio", "--text")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	link, err := text.Await(ctx, master, "terminal", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := remote.Connect(ctx, link, remote.Options{Name: "controller"})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := conn.Machine().Describe(ctx); err != nil || d.PID != cmd.Process.Pid {
		t.Errorf("%+v, %v", d, err)
	}
	conn.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the agent has not ended with its link")
	}
	if code := cmd.ProcessState.ExitCode(); code != serve.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestTextIsForStdio(t *testing.T) {
	if err := serve.Run(t.Context(), serve.Config{URL: "http://127.0.0.1:1", Text: true}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
