package world

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/outwork-build/outwork/internal/need"
)

// Direction is of packets, as an island's agent sees it.
type Direction int

const (
	Both      Direction = iota
	ToAgent             // what the agent should hear
	FromAgent           // what the agent says
)

func (d Direction) String() string {
	return [...]string{"both ways", "to the agent", "from the agent"}[d]
}

// Island is a network namespace that is joined with this machine by one cable, and whose packets can be made to vanish. The kernel
// carries its connections, so what is seen is what TCP does on a line that is cut.
//
// It is named by the process that made it: a test that died before its cleanup leaves one behind, which the next NewIsland removes.
type Island struct {
	t          testing.TB
	name       string // of the namespace
	cable      string // of the end on this machine
	here       string // this machine's address on the cable
	rulesAdded bool
}

const islandPrefix = "outwork-e2e-"

var islands atomic.Int64

// NewIsland makes an island that is gone when the test ends. Without root the test is skipped, but in CI it fails.
func NewIsland(t testing.TB) *Island {
	t.Helper()
	for _, tool := range []string{"ip", "iptables", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			need.Lack(t, "a network namespace needs the command %s (apt-get install iproute2 iptables util-linux)", tool)
		}
	}
	if os.Geteuid() != 0 {
		need.Lack(t, "a network namespace needs root")
	}
	removeStale(t)
	pid, n := os.Getpid(), islands.Add(1)
	i := &Island{t: t, name: fmt.Sprintf("%s%d-%d", islandPrefix, pid, n), cable: fmt.Sprintf("ow%d.%d", pid, n)}
	var there string
	i.here, there = freeAddresses(t, pid, int(n))
	t.Cleanup(i.remove)
	i.run("ip", "netns", "add", i.name)
	i.run("ip", "link", "add", i.cable, "type", "veth", "peer", "name", "eth0", "netns", i.name)
	i.run("ip", "addr", "add", i.here+"/30", "dev", i.cable)
	i.run("ip", "link", "set", i.cable, "up")
	i.run("ip", "-n", i.name, "addr", "add", there+"/30", "dev", "eth0")
	i.run("ip", "-n", i.name, "link", "set", "eth0", "up")
	i.run("ip", "-n", i.name, "link", "set", "lo", "up")
	return i
}

// Cut makes packets vanish from now on, without a word to either side.
func (i *Island) Cut(d Direction) { i.t.Helper(); i.rules(d, "DROP") }

// Reset answers every packet of either side with a TCP reset from now on, as a firewall that has forgotten its connections does.
func (i *Island) Reset() { i.t.Helper(); i.rules(Both, "REJECT", "--reject-with", "tcp-reset") }

// Slow lets each direction have so many bits in a second; what comes faster waits its turn, up to a second.
func (i *Island) Slow(bits int) {
	i.t.Helper()
	shape := []string{"root", "tbf", "rate", strconv.Itoa(bits), "burst", "4kb", "latency", "1s"}
	i.run("tc", append([]string{"qdisc", "replace", "dev", i.cable}, shape...)...)
	i.run("tc", append([]string{"-n", i.name, "qdisc", "replace", "dev", "eth0"}, shape...)...)
}

// Heal makes the cable whole again, but for Slow.
func (i *Island) Heal() {
	i.t.Helper()
	if i.rulesAdded {
		i.run("nsenter", i.enter(), "iptables", "-w", "-F")
	}
}

func (i *Island) rules(d Direction, what ...string) {
	i.t.Helper()
	i.rulesAdded = true
	if d != FromAgent {
		i.run("nsenter", append([]string{i.enter(), "iptables", "-w", "-I", "INPUT", "-i", "eth0", "-p", "tcp", "-j"}, what...)...)
	}
	if d != ToAgent {
		i.run("nsenter", append([]string{i.enter(), "iptables", "-w", "-I", "OUTPUT", "-o", "eth0", "-p", "tcp", "-j"}, what...)...)
	}
}

// enter is nsenter's argument. `ip netns exec` would mount another /sys, which hides the machine's control groups.
func (i *Island) enter() string { return "--net=/run/netns/" + i.name }

func (i *Island) run(name string, args ...string) {
	i.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		i.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (i *Island) remove() { drop(i.t, i.name, i.cable) }

// drop removes a namespace, what runs in it, and its cable.
func drop(t testing.TB, name, cable string) {
	pids, _ := exec.Command("ip", "netns", "pids", name).Output()
	for _, p := range strings.Fields(string(pids)) {
		if pid, err := strconv.Atoi(p); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	exec.Command("ip", "link", "del", cable).Run() // it may not have come that far
	if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
		if _, gone := os.Stat("/run/netns/" + name); gone == nil {
			t.Errorf("ip netns del %s: %v\n%s", name, err, out)
		}
	}
}

// removeStale removes the islands of test processes that died.
func removeStale(t testing.TB) {
	found, _ := filepath.Glob("/run/netns/" + islandPrefix + "*")
	for _, f := range found {
		var pid, n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(f), islandPrefix), "%d-%d", &pid, &n); err != nil {
			continue
		}
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			drop(t, filepath.Base(f), fmt.Sprintf("ow%d.%d", pid, n))
		}
	}
}

// freeAddresses are the two addresses of a network that this machine has no address in: here and there.
func freeAddresses(t testing.TB, pid, n int) (here, there string) {
	t.Helper()
	taken, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for k := range 1 << 14 {
		at := (pid*31 + n + k) % (1 << 14) * 4
		subnet := net.IPNet{IP: net.IPv4(10, 213, byte(at>>8), byte(at)), Mask: net.CIDRMask(30, 32)}
		used := false
		for _, a := range taken {
			ip, ok := a.(*net.IPNet)
			used = used || ok && (subnet.Contains(ip.IP) || ip.Contains(subnet.IP))
		}
		if !used {
			return fmt.Sprintf("10.213.%d.%d", at>>8, at&255|1), fmt.Sprintf("10.213.%d.%d", at>>8, at&255|2)
		}
	}
	t.Fatal("no free network in 10.213.0.0/16")
	return "", ""
}

// NewOn is New with a controller that the island's agents reach by its cable.
func NewOn(t testing.TB, i *Island, args ...string) *World {
	t.Helper()
	w := newAt(t, i.here, "", args...)
	t.Cleanup(i.Heal) // before the world ends: what says goodbye then is heard
	return w
}

// JoinFrom is Join for an agent that runs on an island.
func (w *World) JoinFrom(i *Island, name, labels string, args ...string) *Agent {
	w.T.Helper()
	return w.join([]string{"nsenter", i.enter()}, w.URL, name, labels, args...)
}

// Name is the namespace's.
func (i *Island) Name() string { return i.name }

// Islands are the namespaces' names of all islands there are.
func Islands() []string {
	found, _ := filepath.Glob("/run/netns/" + islandPrefix + "*")
	for k, f := range found {
		found[k] = filepath.Base(f)
	}
	return found
}
