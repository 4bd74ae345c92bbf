//go:build unix

package ssh_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/agenttest"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/wiretest"
)

// S1-06: the suite of all machines, on real agents at the end of real ssh sessions, which are killed and launched again.
func TestOverSSH(t *testing.T) {
	long(t)
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	type running struct {
		conn *remote.Conn
		node fleet.Node
	}
	var mu sync.Mutex
	machines := map[agent.Machine]running{}
	start := func(t *testing.T, n fleet.Node) agent.Machine {
		conn := connect(t, l, n, &buffer{})
		mu.Lock()
		defer mu.Unlock()
		machines[conn.Machine()] = running{conn, n}
		return conn.Machine()
	}
	agenttest.Run(t, func(t *testing.T) agent.Machine {
		n := s.node("agentPath", filepath.Join(s.dir, "agent"))
		n.RemoteRoot = t.TempDir()
		return start(t, n)
	}, agenttest.Options{Restart: func(t *testing.T, m agent.Machine) agent.Machine {
		mu.Lock()
		r := machines[m]
		mu.Unlock()
		kill(t, describe(t, r.conn).PID)
		r.conn.Close()
		return start(t, r.node)
	}})
}

// relay joins its own stdio with a socket, so that a test holds both ends of a link.
func relay() int {
	own := stdio.Own()
	conn, err := net.Dial("unix", os.Getenv("SOCKET"))
	if err != nil {
		return 1
	}
	ended := make(chan struct{}, 2)
	go func() { io.Copy(own, conn); ended <- struct{}{} }()
	go func() { io.Copy(conn, own); ended <- struct{}{} }()
	<-ended
	own.Close()
	return 0
}

// TestLink runs the suite of all links, with the bytes going through a real sshd.
func TestLink(t *testing.T) {
	pair := pairs(t)
	wiretest.Run(t, pair)
}

func BenchmarkLink(b *testing.B) { wiretest.Benchmark(b, pairs(b)) }

func pairs(t testing.TB) wiretest.Pair {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{Grace: time.Second})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(t testing.TB) (near, far wire.Link) {
		socket := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		near, err = l.Launch(t.Context(), s.node("copy", "false", "agentPath", self, "prefix", roleEnv+"=relay SOCKET="+socket), &buffer{})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		far = stdio.New(conn, conn, "relay")
		t.Cleanup(func() { near.Close(); far.Close() })
		return near, far
	}
}
