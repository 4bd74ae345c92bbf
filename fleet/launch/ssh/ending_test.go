//go:build unix

package ssh_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
)

// controllerProcess launches a node, starts a step on it, says the agent's process id and works until it is killed.
func controllerProcess() int {
	if err := control(os.Getenv("NODE"), os.Getenv("AGENTS")); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func control(spec, folder string) error {
	var n fleet.Node
	if err := json.Unmarshal([]byte(spec), &n); err != nil {
		return err
	}
	l, err := ssh.New(ssh.Config{Agents: dist.New(dist.Config{Folder: folder})})
	if err != nil {
		return err
	}
	ctx := context.Background()
	link, err := l.Launch(ctx, n, io.Discard)
	if err != nil {
		return err
	}
	conn, err := remote.Connect(ctx, link, remote.Options{})
	if err != nil {
		return err
	}
	lease := agent.Lease{Item: "i", Epoch: 1}
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: lease, Job: "job"}); err != nil {
		return err
	}
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: lease, Step: "s", Script: []byte("#!/bin/sh\n" + waitingStep)}); err != nil {
		return err
	}
	d, err := conn.Machine().Describe(ctx)
	if err != nil {
		return err
	}
	fmt.Println(d.PID)
	<-conn.Done()
	return conn.Err()
}

// S1-19: the controller is killed; the agent ends by itself, its step goes on and is found by the next controller.
func TestControllerKilled(t *testing.T) {
	s := newSSHD(t, options{})
	spec, err := json.Marshal(s.node())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := agents(t).Open("linux", goarch())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.Path, folder+"/outwork-agent-linux-"+goarch()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"=controller", "NODE="+string(spec), "AGENTS="+folder)
	said := &buffer{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	awaitDeath(t, pid)
	conn := connect(t, launcher(t, ssh.Config{}), s.node(), &buffer{})
	finishStep(t, conn.Machine(), agent.Lease{Item: "i", Epoch: 1})
}

// S1-19: an agent that does not end when it should is killed, also where sshd passes no signals on.
func TestStoppedAgentIsKilled(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{Grace: 500 * time.Millisecond})
	log := &buffer{}
	conn := connect(t, l, s.node(), log)
	pid := describe(t, conn).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	awaitDeath(t, pid)
	wants(t, "log", log, "does not end: killing it")
	connect(t, l, s.node(), log).Close()
}

// An agent that could not be reached to be ended is ended before the next one starts: it would hold the folder.
func TestFormerAgentIsEnded(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{Grace: 500 * time.Millisecond})
	log := &buffer{}
	conn := connect(t, l, s.node(), log)
	pid := describe(t, conn).PID
	wake := deafen(t, append(s.sessions(), pid)) // sshd's processes too: the machine is deaf
	conn.Close()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the agent could be ended: %v", err)
	}
	again := connect(t, l, s.node(), log)
	describe(t, again)
	wake() // only now may they take notice of it
	awaitDeath(t, pid)
}

// sessions lists the processes that this sshd has for those who are logged in.
func (s *sshd) sessions() (pids []int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.cmd.Process.Pid, s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			s.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		s.t.Fatal("nobody is logged in")
	}
	return pids
}

// deafen stops processes until wake is called or the test ends.
func deafen(t testing.TB, pids []int) (wake func()) {
	t.Helper()
	wake = sync.OnceFunc(func() {
		for _, p := range pids {
			_ = syscall.Kill(p, syscall.SIGCONT)
		}
	})
	t.Cleanup(wake)
	for _, p := range pids {
		if err := syscall.Kill(p, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	return wake
}

// A machine that falls silent is given up by keepalives, below all heartbeats.
func TestKeepalive(t *testing.T) {
	s := newSSHD(t, options{})
	link, err := launcher(t, ssh.Config{Grace: 100 * time.Millisecond}).Launch(t.Context(), s.node("keepalive", "2s"), &buffer{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	deafen(t, s.sessions())
	_, err = io.Copy(io.Discard, link)
	wants(t, "error", says{err}, "no answer to a keepalive within 4s")
}
