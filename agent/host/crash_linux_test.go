package host_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/fault"
)

// F1: an agent killed -9 in the middle of a step finds it again: within 5 s, no second run, no byte lost or doubled.
func TestF1AgentKilledInAStep(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	ledger := filepath.Join(root, "ledger")
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	step := agent.StartRequest{Lease: l, Step: "s", Script: fmt.Appendf(nil, `#!/bin/sh
exec 9>'%s'
echo start >> '%s'
for i in $(seq 1 2000); do
  echo line $i
  if test $((i %% 500)) = 0; then echo at $i. >&9; until test -e '%s'/go$i; do sleep 0.01; done; fi
done
exit 3
`, s.path, ledger, root)}
	c := fork(t, root)
	c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app"}})
	c.give(t, order{Start: &step})
	s.await(t, "at 500.")
	c.kill()
	release(t, root, 500)

	c = fork(t, root) // dies again, now while it adopts or soon after
	s.await(t, "at 1000.")
	c.give(t, order{Start: &step})
	c.kill()
	release(t, root, 1000)
	s.await(t, "at 1500.")

	begun := time.Now()
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	if err := p.Start(soon(t), step); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 15*time.Second { // promised are 5 s; the rest is the busy machine's
		t.Errorf("found again after %v", took)
	}
	release(t, root, 1500)
	s.await(t, "at 2000.")
	release(t, root, 2000)
	out, e := follow(t, p, l, "s")
	var want strings.Builder
	for i := 1; i <= 2000; i++ {
		fmt.Fprintln(&want, "line", i)
	}
	if out != want.String() || e.Code != 3 || e.Lost || e.Stopped || e.Dropped != 0 {
		t.Errorf("output of %d bytes, want %d; exit %+v", len(out), want.Len(), e)
	}
	if text, err := os.ReadFile(ledger); err != nil || string(text) != "start\n" {
		t.Errorf("ledger %q, %v: want one start", text, err)
	}
}

func release(t *testing.T, root string, n int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, "go"+strconv.Itoa(n)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A step that ended while no agent was there has its exit and its output on disk.
func TestF1StepEndsWhileTheAgentIsDead(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	c := fork(t, root)
	c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app"}})
	c.give(t, order{Start: &agent.StartRequest{Lease: l, Step: "s", Capture: true,
		Script: fmt.Appendf(nil, "#!/bin/sh\nexec 9>'%s'; echo up >&9; until test -e '%s'/go1; do sleep 0.01; done; echo out; echo err >&2; exit 42", s.path, root)}})
	s.await(t, "up")
	c.kill()
	release(t, root, 1)
	s.released(t)
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	out, e := follow(t, p, l, "s")
	if out != "err\n" || string(e.Stdout) != "out\n" || e.Code != 42 || e.Lost {
		t.Errorf("%q, %+v", out, e)
	}
}

// P2: whenever the agent is killed, a step is never started twice, and every claimed step has an end afterwards.
func TestP2KilledAtAnyPointStartsOnce(t *testing.T) {
	const steps = 40
	for round := range 6 {
		root := t.TempDir()
		ledger := filepath.Join(root, "ledger")
		l := agent.Lease{Item: fmt.Sprint(t.Name(), round), Epoch: 1}
		request := func(i int) *agent.StartRequest {
			return &agent.StartRequest{Lease: l, Step: agent.StepID(fmt.Sprint("s", i)), Script: fmt.Appendf(nil, "#!/bin/sh\necho %d >> '%s'", i, ledger)}
		}
		c := fork(t, root)
		c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app"}})
		killer := time.AfterFunc(time.Duration(rand.Int64N(int64(25*time.Millisecond))), func() { _ = c.cmd.Process.Kill() })
		claimed := 0
		for claimed < steps && c.tell(order{Start: request(claimed)}) == nil {
			claimed++
		}
		killer.Stop()
		c.kill()
		p := launch(t, host.Config{Root: root})
		lost := 0
		for i := range steps {
			if err := p.Start(soon(t), *request(i)); err != nil {
				t.Fatal(err)
			}
			_, e := follow(t, p, l, request(i).Step)
			if e.Lost {
				lost++
			} else if e.Code != 0 {
				t.Errorf("step %d: %+v", i, e)
			}
			if e.Lost && i < claimed {
				t.Errorf("step %d was answered with success and is lost: %+v", i, e)
			}
		}
		runs := map[string]int{}
		text, err := os.ReadFile(ledger)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Fields(string(text)) {
			if runs[line]++; runs[line] > 1 {
				t.Errorf("step %s ran %d times", line, runs[line])
			}
		}
		if len(runs)+lost < steps {
			t.Errorf("%d steps ran and %d are lost, of %d", len(runs), lost, steps)
		}
		t.Logf("round %d: killed after %d starts, %d lost", round, claimed, lost)
		closeAll(t, p)
		p.end(t)
	}
}

// P4: a Kill lease ends in time although the agent is stopped or dead.
func TestDeadlineHoldsWithoutTheAgent(t *testing.T) {
	for what, sig := range map[string]unix.Signal{"SIGSTOP": unix.SIGSTOP, "SIGKILL": unix.SIGKILL} {
		t.Run(what, func(t *testing.T) {
			root, s := t.TempDir(), newSign(t)
			l := agent.Lease{Item: t.Name(), Epoch: 1}
			const ttl = 1200 * time.Millisecond
			c := fork(t, root)
			c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app", Policy: agent.Kill, TTL: ttl}})
			c.give(t, order{Start: &agent.StartRequest{Lease: l, Step: "s", Script: fmt.Appendf(nil, "#!/bin/sh\nexec 9>'%s'; echo up >&9; sleep 600 & exec sleep 600", s.path)}})
			s.await(t, "up")
			begun := time.Now()
			c.give(t, order{Renew: []agent.Lease{l}})
			if err := c.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			s.released(t)
			if lived := time.Since(begun); lived < ttl-100*time.Millisecond || lived > ttl+2*time.Second {
				t.Errorf("the step lived %v after the last Renew, want %v", lived, ttl)
			}
			c.kill()
			p := launch(t, host.Config{Root: root})
			defer closeAll(t, p)
			if _, e := follow(t, p, l, "s"); !e.Stopped || e.Lost || !strings.Contains(e.Reason, "renewed") {
				t.Errorf("%+v", e)
			}
			err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: "t", Argv: []string{"true"}})
			if !fault.Is(err, fault.Stale) {
				t.Errorf("Start in a lease that ran out: %v", err)
			}
			noLeftovers(t, root)
		})
	}
}

// A shim that is killed takes its steps with it: they are Lost, nothing of them lives, and the lease goes on.
func TestShimKilled(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "before", "exit 4")
	if _, e := follow(t, p, l, "before"); e.Code != 4 {
		t.Fatalf("%+v", e)
	}
	script(t, p, l, "s", fmt.Sprintf("exec 9>'%s'; echo shim=$PPID; setsid sleep 600 & echo up >&9; sleep 600", s.path))
	s.await(t, "up")
	kill9(t, shimOf(t, p, l, "s"))
	out, e := follow(t, p, l, "s")
	if !e.Lost || e.Code != -1 || e.Reason == "" || !strings.HasPrefix(out, "shim=") || e.Output != int64(len(out)) {
		t.Errorf("%q, %+v", out, e)
	}
	s.released(t)
	script(t, p, l, "after", "echo the lease goes on")
	if out, e := follow(t, p, l, "after"); e.Code != 0 || out != "the lease goes on\n" {
		t.Errorf("%q, %+v", out, e)
	}
	if _, e := follow(t, p, l, "before"); e.Code != 4 {
		t.Errorf("a step that had ended: %+v", e)
	}
}

// shimOf finds a shim's process id in the first line that a step printed.
func shimOf(t *testing.T, m agent.Machine, l agent.Lease, s agent.StepID) int {
	t.Helper()
	pid := 0
	stop := fmt.Errorf("enough")
	_, err := m.Follow(soon(t), l, s, 0, func(o agent.Output) error {
		_, err := fmt.Sscanf(string(o.Data), "shim=%d", &pid)
		if err == nil {
			err = stop
		}
		return err
	})
	if err != stop {
		t.Fatal(err)
	}
	return pid
}

func kill9(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// pidIn reads the process id that a step has written to a file.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// A machine that was restarted cannot say how its steps ended; those that had ended are as they were.
func TestMachineRestarted(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	p := launch(t, host.Config{Root: root})
	l, k := agent.Lease{Item: "hold", Epoch: 1}, agent.Lease{Item: "kill", Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l})
	open(t, p, agent.OpenRequest{Lease: k, Policy: agent.Kill, TTL: time.Hour})
	script(t, p, l, "done", "echo done; exit 9")
	follow(t, p, l, "done")
	script(t, p, l, "s", fmt.Sprintf("exec 9>'%s'; echo shim=$PPID; echo $$ > '%[1]s.pid'; echo up >&9; exec sleep 600", s.path))
	s.await(t, "up")
	shim := shimOf(t, p, l, "s")
	p.end(t)
	kill9(t, shim)
	kill9(t, pidIn(t, s.path+".pid")) // as the restart of a machine does; nobody else would
	otherBoot(t, root)

	p = p.restart(t)
	defer closeAll(t, p)
	out, e := follow(t, p, l, "s")
	if !e.Lost || !strings.Contains(e.Reason, "restarted") || !strings.HasPrefix(out, "shim=") {
		t.Errorf("%q, %+v", out, e)
	}
	if out, e := follow(t, p, l, "done"); out != "done\n" || e.Code != 9 || e.Lost {
		t.Errorf("%q, %+v", out, e)
	}
	if again := open(t, p, agent.OpenRequest{Lease: l}); again != w {
		t.Errorf("workspace %+v, was %+v", again, w)
	}
	if err := p.Start(soon(t), agent.StartRequest{Lease: k, Step: "s", Argv: []string{"true"}}); !fault.Is(err, fault.Stale) {
		t.Errorf("a Kill lease after a restart of the machine: %v", err)
	}
}

// otherBoot makes the leases on disk those of an earlier start of the machine, and takes the stopped step from its shim.
func otherBoot(t *testing.T, root string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".outwork", "lease", "*", "lease.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var rec map[string]any
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Fatal(err)
		}
		rec["boot"] = "an earlier one"
		if text, err = json.Marshal(rec); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A step whose shim dies while no agent is there is Lost when one comes back, and what it left is killed.
func TestShimKilledWhileTheAgentIsDead(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	p := launch(t, host.Config{Root: root})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", fmt.Sprintf("exec 9>'%s'; echo shim=$PPID; echo up >&9; trap '' PIPE TERM; while :; do sleep 0.1; done", s.path))
	s.await(t, "up")
	shim := shimOf(t, p, l, "s")
	p.end(t)
	kill9(t, shim)
	p = p.restart(t)
	defer closeAll(t, p)
	if _, e := follow(t, p, l, "s"); !e.Lost {
		t.Errorf("%+v", e)
	}
	s.released(t)
}

// A shim that does not answer when the agent comes back is neither given up nor replaced: it is found when it answers.
func TestShimThatDoesNotAnswer(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	p := launch(t, host.Config{Root: root})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", fmt.Sprintf("exec 9>'%s'; echo shim=$PPID; echo up >&9; until test -e go; do sleep 0.01; done; echo on", s.path))
	s.await(t, "up")
	shim := shimOf(t, p, l, "s")
	p.end(t)
	if err := unix.Kill(shim, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p = p.restart(t)
	other := agent.StartRequest{Lease: l, Step: "other", Argv: []string{"true"}}
	if err := p.Start(soon(t), other); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Start while the shim does not answer: %v", err)
	}
	if err := unix.Kill(shim, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFile(soon(t), l, "go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "s"); !strings.HasSuffix(out, "\non\n") || e.Code != 0 || e.Lost {
		t.Errorf("%q, %+v", out, e)
	}
	if err := p.Start(soon(t), other); err != nil {
		t.Errorf("Start when it answers: %v", err)
	}
	closeAll(t, p)
}

// Two agents cannot work in one folder.
func TestFolderInUse(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	if _, err := host.New(p.cfg); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("New over a folder in use: %v", err)
	}
}

// A lease that was being closed when the agent ended is closed by the next.
func TestCloseGoesOnAfterARestart(t *testing.T) {
	root, s := t.TempDir(), newSign(t)
	p := launch(t, host.Config{Root: root, CloseGrace: time.Hour})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", fmt.Sprintf("trap 'echo term >&9' TERM; exec 9>'%s'; echo up >&9; while ! test -e go; do sleep 0.01; done", s.path))
	s.await(t, "up")
	closed := make(chan error, 1)
	go func() { closed <- p.Close(soon(t), l) }()
	s.await(t, "term")
	p.end(t)
	if err := <-closed; !fault.Is(err, fault.Unavailable) {
		t.Errorf("Close of an agent that ends: %v", err)
	}
	p = p.restart(t)
	if err := os.WriteFile(filepath.Join(w.Path, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closeLease(t, p, l)
	s.released(t)
	if held, _, _, err := p.Renew(soon(t), nil, 0); err != nil || len(held) != 0 {
		t.Errorf("still open: %v, %v", held, err)
	}
	noLeftovers(t, root)
}
