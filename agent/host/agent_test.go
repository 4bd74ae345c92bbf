package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
)

// agentRoot, in the environment of the test binary, makes it an agent process over that folder, for tests that kill it.
const agentRoot = "HOST_TEST_AGENT"

// order is one line on an agent process's stdin; the one that is set is carried out and answered with a line.
type order struct {
	Open  *agent.OpenRequest
	Start *agent.StartRequest
	Renew []agent.Lease
}

func maybeAgent() {
	root := os.Getenv(agentRoot)
	if root == "" {
		return
	}
	if err := obey(root); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func obey(root string) error {
	h, err := host.New(host.Config{Root: root, Idle: idleShims})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	in := json.NewDecoder(os.Stdin)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			cancel()
			return errors.Join(<-done, ignore(err, io.EOF))
		}
		answer := "ok"
		if err := o.carryOut(ctx, h); err != nil {
			answer = err.Error()
		}
		fmt.Println(answer)
	}
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

func (o order) carryOut(ctx context.Context, h *host.Host) error {
	switch {
	case o.Open != nil:
		_, err := h.Open(ctx, *o.Open)
		return err
	case o.Start != nil:
		return h.Start(ctx, *o.Start)
	}
	_, heard, _, err := h.Renew(ctx, o.Renew, 0)
	if err == nil {
		_, _, _, err = h.Renew(ctx, o.Renew, heard)
	}
	return err
}

// child is an agent in a process of its own.
type child struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *bufio.Scanner
}

func fork(t testing.TB, root string) *child {
	t.Helper()
	cmd := exec.Command(executable(t))
	cmd.Env = append(os.Environ(), agentRoot+"="+root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, json.NewEncoder(in), bufio.NewScanner(out)}
	t.Cleanup(c.kill)
	return c
}

// give sends an order and waits for its answer.
func (c *child) give(t testing.TB, o order) {
	t.Helper()
	if err := c.tell(o); err != nil {
		t.Fatal(err)
	}
}

func (c *child) tell(o order) error {
	if err := c.in.Encode(o); err != nil {
		return err
	}
	if !c.out.Scan() {
		return fmt.Errorf("the agent process is gone: %w", errors.Join(c.out.Err(), io.ErrUnexpectedEOF))
	}
	if s := c.out.Text(); s != "ok" {
		return errors.New(s)
	}
	return nil
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// soon is a context for one call.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// follow returns a step's whole output and its end.
func follow(t testing.TB, m agent.Machine, l agent.Lease, s agent.StepID) (string, agent.Exit) {
	t.Helper()
	var out []byte
	e, err := m.Follow(soon(t), l, s, 0, func(o agent.Output) error {
		out = append(out, o.Data...)
		return nil
	})
	if err != nil {
		t.Fatalf("Follow %q: %v", s, err)
	}
	return string(out), e
}

func open(t testing.TB, m agent.Machine, r agent.OpenRequest) agent.Workspace {
	t.Helper()
	if r.Job == "" {
		r.Job = "job"
	}
	w, err := m.Open(soon(t), r)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return w
}

func script(t testing.TB, m agent.Machine, l agent.Lease, s agent.StepID, text string) {
	t.Helper()
	if err := m.Start(soon(t), agent.StartRequest{Lease: l, Step: s, Script: []byte("#!/bin/sh\n" + text)}); err != nil {
		t.Fatalf("Start %q: %v", s, err)
	}
}

// closeLease closes a lease and reports how long that took.
func closeLease(t testing.TB, m agent.Machine, l agent.Lease) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := m.Close(soon(t), l); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return time.Since(begun)
}
