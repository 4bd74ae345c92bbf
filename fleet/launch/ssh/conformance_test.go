package ssh_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/agenttest"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
)

// S1-06: the suite of all machines, on real agents at the end of real ssh sessions, which are killed and launched again.
func TestOverSSH(t *testing.T) {
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
