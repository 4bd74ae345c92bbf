//go:build unix

package ssh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-90: jump hosts, each with its own way to log in and its own key.
func TestJump(t *testing.T) {
	testJump(t, newSSHD(t, options{}), newSSHD(t, options{}), newSSHD(t, options{}))
}

// S1-90, S1-91: three machines in line, each in a network namespace that reaches only its neighbours; only ssh is let through.
func TestJumpThroughNamespaces(t *testing.T) {
	needRoot(t)
	programs(t, "ip")
	spaces := line(t, 3)
	var hosts []*sshd
	for _, n := range spaces {
		hosts = append(hosts, newSSHD(t, options{netns: n.name, address: n.address, port: 22}))
	}
	hops := examine(t, launcher(t, ssh.Config{}), hosts[2].node())
	if names(hops) != "dns !tcp" || !strings.Contains(hops[1].Hint, "jump host") {
		t.Errorf("without the jump hosts: %+v", hops)
	}
	testJump(t, hosts[0], hosts[1], hosts[2])
}

func testJump(t *testing.T, first, second, machine *sshd) {
	l := launcher(t, ssh.Config{})
	user := machine.node().Launcher.Config["user"]
	n := machine.node("jump", fmt.Sprintf("%s@%s:%d, %s:%d", user, first.host, first.port, second.host, second.port),
		"jump.1.key", "file:"+filepath.Join(first.dir, "id"), "jump.1.pinnedKey", first.read("host.pub"),
		"jump.2.key", "file:"+filepath.Join(second.dir, "id"), "jump.2.hostKey", "none")
	const good = "jump 1 jump 2 tcp key login shell disk agent clock"
	if hops := examine(t, l, n); names(hops) != good {
		t.Errorf("%+v", hops)
	}
	log := &buffer{}
	conn := connect(t, l, n, log)
	finishStep(t, conn.Machine(), openStep(t, conn.Machine(), waitingStep))
	pid := describe(t, conn).PID
	conn.Close()
	awaitDeath(t, pid)
	wants(t, "log", log, "Logged in to jump 1", "Logged in to jump 2", fmt.Sprintf("Connecting to %s:%d through %s:%d", machine.host, machine.port, second.host, second.port))

	second.put("authorized_keys", "restrict "+second.read("id.pub"))
	hops := examine(t, l, n)
	if names(hops) != "jump 1 jump 2 !tcp" || !strings.Contains(hops[2].Hint, "port-forwarding") {
		t.Errorf("a jump host that does not forward: %+v", hops)
	}
	second.put("authorized_keys", "")
	hops = examine(t, l, n)
	if names(hops) != "jump 1 !jump 2" || !strings.Contains(hops[1].Hint, "restrict,port-forwarding ssh-ed25519") {
		t.Errorf("a jump host with another key: %+v", hops)
	}
	n.Launcher.Config["jump.1.pinnedKey"] = second.read("host.pub")
	if _, err := l.Launch(t.Context(), n, &buffer{}); !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}

// namespace is a network namespace with an address.
type namespace struct{ name, address string }

// line makes namespaces in a row: the first reaches us and the second, and so on. None of them routes. They are removed with the test.
func line(t *testing.T, n int) (out []namespace) {
	t.Helper()
	ip := func(args ...string) { t.Helper(); command(t, path("ip"), args...) }
	net := fmt.Sprintf("10.213.%d", os.Getpid()%250)
	ip("route", "add", "unreachable", net+".0/24") // what is not reached below must not leave by another way
	t.Cleanup(func() { exec.Command(path("ip"), "route", "del", "unreachable", net+".0/24").Run() })
	before := ""
	for i := range n {
		s := namespace{fmt.Sprintf("ow%d-%d", os.Getpid(), i), fmt.Sprintf("%s.%d", net, 4*i+2)}
		near, far := fmt.Sprintf("ow%dn%d", os.Getpid(), i), fmt.Sprintf("ow%df%d", os.Getpid(), i)
		ip("netns", "add", s.name)
		t.Cleanup(func() { exec.Command(path("ip"), "netns", "del", s.name).Run() })
		ip("link", "add", near, "type", "veth", "peer", "name", far)
		ip("link", "set", far, "netns", s.name)
		in := func(args ...string) { t.Helper(); ip(args...) }
		if before != "" {
			ip("link", "set", near, "netns", before)
			in = func(args ...string) { t.Helper(); ip(append([]string{"-n", before}, args...)...) }
		}
		in("addr", "add", fmt.Sprintf("%s.%d/30", net, 4*i+1), "dev", near)
		in("link", "set", near, "up")
		ip("-n", s.name, "addr", "add", s.address+"/30", "dev", far)
		ip("-n", s.name, "link", "set", far, "up")
		ip("-n", s.name, "link", "set", "lo", "up")
		out, before = append(out, s), s.name
	}
	return out
}

// S1-90: a command on the controller that leads there, here OpenSSH's own client.
func TestProxyCommand(t *testing.T) {
	programs(t, "ssh")
	jump, machine := newSSHD(t, options{}), newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	known := jump.put("known", fmt.Sprintf("[127.0.0.1]:%d %s", jump.port, jump.read("host.pub")))
	proxy := fmt.Sprintf("ssh -F none -i %s/id -o BatchMode=yes -o UserKnownHostsFile=%s -p %d -W %%h:%%p 127.0.0.1", jump.dir, known, jump.port)
	n := machine.node("proxyCommand", proxy)
	if hops := examine(t, l, n); names(hops) != "proxy key login shell disk agent clock" {
		t.Errorf("%+v", hops)
	}
	log := &buffer{}
	conn := connect(t, l, n, log)
	finishStep(t, conn.Machine(), openStep(t, conn.Machine(), waitingStep))
	conn.Close()
	wants(t, "log", log, fmt.Sprintf("-W 127.0.0.1:%d", machine.port))
	_, err := l.Launch(t.Context(), machine.node("proxyCommand", "echo trouble >&2; exit 3"), log)
	wants(t, "error", says{err}, "trouble")
}

// S1-90: what people have in ~/.ssh/config counts, when the node says so, for what it does not say itself.
func TestClientConfig(t *testing.T) {
	jump, machine := newSSHD(t, options{}), newSSHD(t, options{})
	user := machine.node().Launcher.Config["user"]
	for _, s := range []*sshd{jump, machine} {
		s.put("known", fmt.Sprintf("[127.0.0.1]:%d %s", s.port, s.read("host.pub")))
	}
	conf := machine.put("config", fmt.Sprintf(`
Host bastion
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s/id
  UserKnownHostsFile %s/known
Host n
  HostName 127.0.0.1
  Port %d
  User %s
  ProxyJump bastion
  IdentityFile %s/missing
  IdentityFile "%s/id"
  UserKnownHostsFile %s/known
`, jump.port, user, jump.dir, jump.dir, machine.port, user, machine.dir, machine.dir, machine.dir))
	l := launcher(t, ssh.Config{})
	n := machine.node("sshConfig", conf, "host", "", "port", "", "user", "", "key", "", "hostKey", "", "pinnedKey", "")
	if hops := examine(t, l, n); names(hops) != "jump 1 tcp key login shell disk agent clock" {
		t.Errorf("%+v", hops)
	}
	n.Launcher.Config["user"] = "somebody-else"
	if hops := examine(t, l, n); names(hops) != "jump 1 tcp key !login" {
		t.Errorf("%+v", hops)
	}
	if err := l.Check(machine.node("sshConfig", "/nonexistent")); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
