package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
)

// witness is a step that tells a file outside of the farm every line before it prints it, so that its log can be compared byte by
// byte: that of a step over which a partition goes, until it is let go.
type witness struct{ tag, dir string }

func (s witness) lines() string { return filepath.Join(s.dir, s.tag) }

// step is the pipeline's text for it. Each line names its attempt by the process that it is.
func (s witness) step() string {
	return fmt.Sprintf(`sh '''#!/bin/sh
i=1
while [ ! -e %[1]s.go ]; do
  l="%[2]s|$$|$i|$(date +%%s%%N)|žluťoučký kůň"
  echo "$l" >> %[1]s; echo "$l"
  i=$((i+1)); sleep 0.02
done
echo "$$" >> %[1]s.ended
'''`, s.lines(), s.tag)
}

func (s witness) letGo(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.lines()+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// attempts are the processes that the step was, in order; a process that stands twice has overlapped with another.
func (s witness) attempts(t *testing.T) (pids []int) {
	t.Helper()
	for _, l := range strings.Split(strings.TrimSpace(read(t, s.lines())), "\n") {
		pid, err := strconv.Atoi(strings.Split(l, "|")[1])
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) == 0 || pids[len(pids)-1] != pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// of returns those lines of a text that an attempt has written, byte by byte.
func (s witness) of(text string, pid int) string {
	lines := regexp.MustCompile(fmt.Sprintf(`(?m)^%s\|%d\|.*\n`, s.tag, pid))
	return strings.Join(lines.FindAllString(text, -1), "")
}

// whole fails unless the step had one attempt that nobody disturbed, and the log has what it wrote, all of it.
func (s witness) whole(t *testing.T, log string) {
	t.Helper()
	pids := s.attempts(t)
	if len(pids) != 1 {
		t.Fatalf("%s: the attempts are %v", s.tag, pids)
	}
	s.wholeOf(t, log, pids[0])
	if strings.Contains(log, "bytes of output are missing") {
		t.Errorf("%s: the log has a gap:\n%s", s.tag, log)
	}
}

func (s witness) wholeOf(t *testing.T, log string, pid int) {
	t.Helper()
	if got, want := s.of(log, pid), s.of(read(t, s.lines()), pid); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%s: the log has %d bytes of %d; they part at %d: %.200q instead of %.200q", s.tag, len(got), len(want), at, got[at:], want[at:])
	}
	if got := read(t, s.lines()+".ended"); got != fmt.Sprintln(pid) {
		t.Errorf("%s: ended noted %q, want %d", s.tag, got, pid)
	}
}

func state(w *world.World, node string) string {
	n, err := w.Client.Node(w.Context(), node)
	if err != nil {
		return err.Error()
	}
	return n.State
}

// F3: partitions that are shorter than the lease, of every kind, one after another: the steps, retryable or not, are attached again,
// run once, and their logs have every byte.
func TestF3PartitionsShorterThanTheLease(t *testing.T) {
	t.Parallel()
	island := world.NewIsland(t)
	w := world.NewOn(t, island, "--lease-ttl", "5m", "--heartbeat", "1s")
	a := w.JoinFrom(island, "a", "linux", "--executors", "2")
	dir := t.TempDir()
	held, again := witness{"held", dir}, witness{"again", dir}
	w.Job("held", "node('linux') { "+held.step()+" }")
	w.Job("again", "retry(count: 3, conditions: [agent()]) { node('linux') { "+again.step()+" } }")
	h, r := w.Build("held"), w.Build("again")
	w.AwaitLog("held", h, "held|")
	w.AwaitLog("again", r, "again|")
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"dropped both ways", func() { island.Cut(world.Both) }},
		{"dropped to the agent", func() { island.Cut(world.ToAgent) }},
		{"dropped from the agent", func() { island.Cut(world.FromAgent) }},
		{"reset", island.Reset},
	} {
		began := time.Now()
		fault.do()
		w.Await("the loss to be seen: "+fault.name, func() bool { return state(w, "a") != "online" })
		seen := time.Since(began)
		island.Heal()
		healed := time.Now()
		a.AwaitOnline()
		for _, j := range []string{"held", "again"} { // what is written from now on comes through: attached again
			at := time.Now()
			w.Await("new lines of "+j, func() bool { return lastLine(w.Log(j, 1)).After(at) })
		}
		t.Logf("%s: seen after %s with heartbeats of 1 s, attached again %s after it was healed", fault.name, seen.Round(10*time.Millisecond), time.Since(healed).Round(10*time.Millisecond))
		if d := time.Since(healed); d > 30*time.Second {
			t.Errorf("%s: attached again only %s after it was healed", fault.name, d)
		}
	}
	island.Slow(2_000_000)
	at := time.Now()
	w.Await("new lines on a slow cable", func() bool { return lastLine(w.Log("held", h)).After(at) })
	for _, s := range []witness{held, again} {
		s.letGo(t)
		if b := w.Finish(s.tag, 1); b.Result != "SUCCESS" {
			t.Fatalf("%s: %s %s %s\n%s", s.tag, b.Result, b.CauseKind, b.Message, w.Log(s.tag, 1))
		}
		s.whole(t, w.Log(s.tag, 1))
	}
}

var witnessed = regexp.MustCompile(`(?m)^\w+\|\d+\|\d+\|(\d+)\|.*\n`)

// lastLine is when the last line of a witness in a log was written.
func lastLine(log string) time.Time {
	all := witnessed.FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		return time.Time{}
	}
	at, _ := strconv.ParseInt(all[len(all)-1][1], 10, 64)
	return time.Unix(0, at)
}

// F3: partitions that are longer than the lease, both ways and one way. The retryable step is ended by its own machine before another
// gets it; the one that must not run twice goes on and is attached again when the partition is healed, with every byte of its log.
// What the machine still has of the first attempt is then refused.
func TestF3PartitionLongerThanTheLease(t *testing.T) {
	for _, d := range []world.Direction{world.Both, world.ToAgent, world.FromAgent} {
		t.Run(d.String(), func(t *testing.T) { t.Parallel(); longPartition(t, d) })
	}
}

func longPartition(t *testing.T, d world.Direction) {
	island := world.NewIsland(t)
	w := world.NewOn(t, island, "--lease-ttl", "6s", "--lease-grace", "6s", "--hold", "5m", "--heartbeat", "1s")
	cut := w.JoinFrom(island, "cut", "linux", "--executors", "2")
	dir := t.TempDir()
	held, again := witness{"held", dir}, witness{"again", dir}
	w.Job("held", "node('linux') { "+held.step()+" }")
	w.Job("again", "retry(count: 3, conditions: [agent()]) { node('linux') { "+again.step()+" } }")
	h, r := w.Build("held"), w.Build("again")
	w.AwaitLog("held", h, "held|")
	w.AwaitLog("again", r, "again|")
	first := again.attempts(t)[0]

	began := time.Now()
	island.Cut(d)
	w.Join("other", "linux", "--executors", "2")
	w.Await("the end of the retryable step by its own machine", func() bool { return syscall.Kill(first, 0) == syscall.ESRCH })
	ended := time.Since(began)
	w.AwaitLog("again", r, "Running on other")
	w.Await("the second attempt", func() bool { return len(again.attempts(t)) > 1 })
	t.Logf("%s: ended by its shim after %s, given to another after %s (TTL 6 s, grace 6 s)", d, ended.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	if state(w, "cut") == "online" {
		t.Error("the node is online")
	}
	island.Heal()
	cut.AwaitOnline()
	w.Await("the first attempt's lease to be refused", func() bool {
		log, err := w.Client.NodeLog(w.Context(), "cut")
		return err == nil && strings.Contains(log, "epoch 1, which is not held any more: done")
	})
	at := time.Now()
	w.Await("new lines of the step that was held", func() bool { return lastLine(w.Log("held", h)).After(at) })
	for _, s := range []witness{held, again} {
		s.letGo(t)
		if b := w.Finish(s.tag, 1); b.Result != "SUCCESS" {
			t.Fatalf("%s: %s %s %s\n%s", s.tag, b.Result, b.CauseKind, b.Message, w.Log(s.tag, 1))
		}
	}
	held.whole(t, w.Log("held", h))

	pids, log := again.attempts(t), w.Log("again", r)
	if len(pids) != 2 || pids[0] != first {
		t.Fatalf("the attempts are %v, the first was %d", pids, first)
	}
	again.wholeOf(t, log, pids[1])
	got, wrote := again.of(log, first), again.of(read(t, again.lines()), first)
	if !strings.HasPrefix(wrote, got) {
		t.Errorf("the log of the first attempt is not how it began:\n%s", log)
	}
	if i := strings.LastIndex(log, again.tag+"|"+strconv.Itoa(first)+"|"); i > strings.Index(log, again.tag+"|"+strconv.Itoa(pids[1])+"|") {
		t.Error("the first attempt speaks after the second has begun")
	}
	nobodyLeft(t, w, cut)
}

// F4: half-open connections. The machine is gone without a word, and the controller finds that its connection leads nowhere; the agent,
// which follows the controller's heartbeat, finds the same of one that is stopped; and a new connection takes the place of the dead one at once.
func TestF4HalfOpen(t *testing.T) {
	t.Parallel()
	const heartbeat = 2 * time.Second
	island := world.NewIsland(t)
	w := world.NewOn(t, island, "--heartbeat", heartbeat.String())
	a := w.JoinFrom(island, "a", "linux")
	s := witness{"held", t.TempDir()}
	w.Job("held", "node('linux') { "+s.step()+" }")
	n := w.Build("held")
	w.AwaitLog("held", n, "held|")

	// The agent's end goes, and nothing of that is heard: the controller's end is half open.
	island.Cut(world.Both)
	a.Kill()
	began := time.Now()
	w.Await("the controller to see it", func() bool { return state(w, "a") != "online" })
	found(t, "the controller", began, heartbeat)
	island.Heal()
	a.Start()
	a.AwaitOnline()

	// A new connection comes while the controller believes in the old one.
	island.Cut(world.Both)
	a.Kill()
	island.Heal()
	began = time.Now()
	a.Start()
	a.AwaitSaid("connected")
	found(t, "the new connection's taking of the place", began, heartbeat)
	a.AwaitOnline()

	// The agent's end is half open: the controller lives, and says nothing.
	syscall.Kill(w.ControllerPID(), syscall.SIGSTOP)
	began = time.Now()
	a.AwaitSaid("not connected")
	found(t, "the agent", began, heartbeat)
	syscall.Kill(w.ControllerPID(), syscall.SIGCONT)
	a.AwaitOnline()

	s.letGo(t)
	if b := w.Finish("held", n); b.Result != "SUCCESS" {
		t.Fatalf("%s %s %s\n%s", b.Result, b.CauseKind, b.Message, w.Log("held", n))
	}
	s.whole(t, w.Log("held", n))
}

// found notes how long something took that may take two heartbeats, and what a slow machine adds to it: less than the two
// heartbeats of a side that was told nothing.
func found(t *testing.T, who string, began time.Time, heartbeat time.Duration) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %s, with heartbeats of %s", who, took.Round(10*time.Millisecond), heartbeat)
	if took > 2*heartbeat+10*time.Second {
		t.Errorf("%s: it took %s", who, took)
	}
}

// An island leaves nothing behind.
func TestIslandsAreRemoved(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("an island", func(t *testing.T) { name = world.NewIsland(t).Name() })
	if name == "" {
		t.Skip("there was no island: it needs root, ip, iptables and nsenter")
	}
	if names := world.Islands(); slices.Contains(names, name) {
		t.Errorf("%s is there still: %v", name, names)
	}
}
