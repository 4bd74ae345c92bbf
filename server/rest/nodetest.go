package rest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

const (
	testPatience = time.Minute // for an executor and the step
	testOutput   = 16 << 10    // bytes of the step's output that are kept
)

// The steps of a self-test. They also say which tools there are that people name labels after.
const (
	testShell = "#!/bin/sh\necho \"Hello from $(uname -n), $(uname -sm), in $(pwd)\"\nfor t in docker podman git java node python3 go gcc xcodebuild; do\n  if command -v $t >/dev/null 2>&1; then echo \"tool:$t\"; fi\ndone\n"
	testBatch = "@echo off\r\necho Hello from %COMPUTERNAME% in %CD%\r\nfor %%t in (docker git java node python go) do where %%t >nul 2>&1 && echo tool:%%t\r\nexit /b 0\r\n"
)

// testNode runs a tiny step on a node: it waits in the queue, gets a lease, has a workspace, a shim and an exit code.
func (s *server) testNode(ctx context.Context, n fleet.NodeName) (*body[api.NodeTest], error) {
	st, found := s.Fleet.Node(n)
	switch {
	case !found:
		return nil, fault.New(fault.NotFound, "there is no node %q", n)
	case st.State != fleet.Online:
		why := ""
		if st.Cause != nil {
			why = ": " + st.Cause.Text
		}
		return nil, fault.New(fault.Conflict, "node %s is %s%s", n, st.State, why)
	case st.Node.Executors == 0:
		return nil, fault.New(fault.Conflict, "node %s has no executors: outwork node update %s --executors 1", n, n)
	}
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	start := time.Now()
	it := queue.Item{ID: queue.ItemID("self-test/" + string(n) + "/" + rand.Text()), Node: n, Title: "self-test of " + string(n), Priority: 1000, Policy: agent.Kill, Waiting: s.Now().UTC()}
	g, err := s.executor(ctx, it)
	if err != nil {
		return nil, err
	}
	granted := time.Now()
	t := s.testStep(ctx, g, st.Machine.OS)
	t.WaitedMS, t.TookMS = milliseconds(granted.Sub(start)), milliseconds(time.Since(granted))
	return ok(t.finding(st)), nil
}

// executor waits for the executor that an item wants.
func (s *server) executor(ctx context.Context, it queue.Item) (queue.Grant, error) {
	ticket, err := s.Queue.Submit(ctx, it)
	if err != nil {
		return queue.Grant{}, err
	}
	g, err := ticket.Wait(ctx)
	if err == nil {
		return g, nil
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	why, _ := s.Queue.Why(after, it.ID)
	if refused := ticket.Withdraw(after); fault.Is(refused, fault.Conflict) {
		if g, late := ticket.Wait(after); late == nil {
			err = s.Queue.Release(after, g)
		}
	}
	if why.Summary != "" {
		return g, fault.New(fault.Unavailable, "no executor within %v: %s", testPatience, why.Summary)
	}
	return g, err
}

// tested is a self-test that is under way.
type tested struct {
	api.NodeTest
	tools []string
}

func (t tested) finding(st fleet.Status) api.NodeTest {
	t.Labels, t.Executors = proposed(st, t.tools), max(1, st.Machine.CPUs)
	return t.NodeTest
}

// testStep uses an executor, and gives it back.
func (s *server) testStep(ctx context.Context, g queue.Grant, goos string) (t tested) {
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if m, _, err := s.Fleet.WaitMachine(after, g.Node); err == nil {
			if err := m.Close(after, g.Lease()); err != nil {
				s.Log.Warn("close the lease of a self-test", "node", g.Node, "error", err)
			}
		}
		if err := s.Queue.Release(after, g); err != nil && !fault.Is(err, fault.Stale) {
			s.Log.Warn("release the lease of a self-test", "node", g.Node, "error", err)
		}
	}()
	fail := func(doing string, err error) tested {
		t.Text = fmt.Sprintf("%s: %v", doing, err)
		return t
	}
	m, _, err := s.Fleet.WaitMachine(ctx, g.Node)
	if err != nil {
		return fail("reach the agent", err)
	}
	lease, step := g.Lease(), agent.StepID("self-test")
	ws, err := m.Open(ctx, agent.OpenRequest{Lease: lease, Job: "self-test", Build: "self-test", Policy: agent.Kill})
	if err != nil {
		return fail("make a workspace", err)
	}
	if err := s.Queue.Opened(ctx, g); err != nil {
		return fail("keep the lease", err)
	}
	t.Workspace = ws.Path
	r := agent.StartRequest{Lease: lease, Step: step, Interpreter: "sh", Script: []byte(testShell), MaxOutput: testOutput}
	if goos == "windows" {
		r.Interpreter, r.Script = "bat", []byte(testBatch)
	}
	if err := m.Start(ctx, r); err != nil {
		return fail("start a step", err)
	}
	var out bytes.Buffer
	exit, err := m.Follow(ctx, lease, step, 0, func(o agent.Output) error {
		out.Write(o.Data)
		return nil
	})
	if err != nil {
		return fail("follow the step", err)
	}
	t.read(out.String())
	t.OK = exit.Code == 0
	if !t.OK {
		return fail(t.Text, fmt.Errorf("the step ended with exit code %d %s", exit.Code, exit.Reason))
	}
	return t
}

// read takes apart what the step wrote.
func (t *tested) read(out string) {
	var said []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if tool, ok := strings.CutPrefix(line, "tool:"); ok {
			t.tools = append(t.tools, map[string]string{"xcodebuild": "xcode", "python": "python3"}[tool])
			if last := len(t.tools) - 1; t.tools[last] == "" {
				t.tools[last] = tool
			}
		} else if line != "" {
			said = append(said, line)
		}
	}
	slices.Sort(t.tools)
	t.Text = strings.Join(said, "\n")
}
