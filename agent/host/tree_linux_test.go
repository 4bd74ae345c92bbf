package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// I6: whatever a step leaves behind, and however it hides, is gone when Close returns.
func TestCloseLeavesNothing(t *testing.T) {
	for what, text := range map[string]string{
		"background":            `sleep 600 & sleep 600 & echo up >&9`,
		"daemon":                `setsid sh -c 'sleep 600 & echo up >&9; exit' &`,
		"daemon without cookie": `env -i setsid -f /bin/sh -c 'trap "" TERM HUP; echo up >&9; while :; do /bin/sleep 1; done'`,
		"trap TERM":             `trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & echo up >&9; while :; do sleep 1; done`,
		"stopped":               `sh -c 'kill -STOP $$; sleep 600' & echo up >&9; sleep 600`,
		"fork loop":             `echo up >&9; while :; do sleep 5 & done`,
		"chain of forks":        `cat > hop <<'X'` + "\n" + `test -e up || { echo up >&9; touch up; }` + "\nsetsid sh ./hop &\n" + `X` + "\nsh ./hop; sleep 600",
	} {
		t.Run(what, func(t *testing.T) {
			root, s := t.TempDir(), newSign(t)
			p := launch(t, host.Config{Root: root, CloseGrace: 200 * time.Millisecond})
			l := agent.Lease{Item: t.Name(), Epoch: 1}
			open(t, p, agent.OpenRequest{Lease: l})
			script(t, p, l, "s", fmt.Sprintf("exec 9>>'%s'\n%s\n", s.path, text))
			s.await(t, "up")
			if took := closeLease(t, p, l); took > patience {
				t.Errorf("Close took %v", took)
			}
			noLeftovers(t, root)
			s.released(t)
			if st := p.Stats(); st.Leases != 0 || st.Steps != 0 || st.Running != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// F17: Stop reaches a step's daemons in sessions of their own, and leaves the other steps alone.
func TestStopEndsTheStepsTreeOnly(t *testing.T) {
	root, mine, other := t.TempDir(), newSign(t), newSign(t)
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "other", fmt.Sprintf("exec 9>'%s'; echo up >&9; setsid sleep 600 & until test -e go; do sleep 0.01; done; kill $!; echo lived", other.path))
	script(t, p, l, "mine", fmt.Sprintf("exec 9>'%s'; trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up >&9; while :; do sleep 1; done' & while :; do sleep 1; done", mine.path))
	mine.await(t, "up")
	other.await(t, "up")
	if err := p.Stop(soon(t), agent.StopRequest{Lease: l, Step: "mine", Grace: 200 * time.Millisecond, Reason: "no longer wanted"}); err != nil {
		t.Fatal(err)
	}
	if _, e := follow(t, p, l, "mine"); e.Code != 137 || !e.Stopped || e.Reason != "no longer wanted" {
		t.Errorf("%+v", e)
	}
	mine.released(t)
	if err := p.WriteFile(soon(t), l, "go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "other"); out != "lived\n" || e.Stopped || e.Code != 0 {
		t.Errorf("the other step: %q, %+v", out, e)
	}
}

// F17: the KILL that follows a Stop is of the lease that was stopped. A step of the next lease in the same shim, called the same,
// is not its business.
func TestStopLeavesTheNextLeaseAlone(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	defer closeAll(t, p)
	const grace = 300 * time.Millisecond
	first, next := agent.Lease{Item: t.Name() + "/1", Epoch: 1}, agent.Lease{Item: t.Name() + "/2", Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: first})
	s := newSign(t)
	script(t, p, first, "7", fmt.Sprintf("exec 9>>'%s'; echo up >&9; exec sleep 600", s.path))
	s.await(t, "up")
	due := time.After(grace)
	if err := p.Stop(soon(t), agent.StopRequest{Lease: first, Step: "7", Grace: grace, Reason: "time is up"}); err != nil {
		t.Fatal(err)
	}
	if _, e := follow(t, p, first, "7"); !e.Stopped || e.Code != 143 {
		t.Errorf("the stopped step: %+v", e)
	}
	closeLease(t, p, first)
	open(t, p, agent.OpenRequest{Lease: next})
	script(t, p, next, "7", "until test -e go; do sleep 0.01; done; echo lived")
	<-due
	<-time.After(grace / 3) // the KILL that must not come has no event
	if err := p.WriteFile(soon(t), next, "go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, next, "7"); out != "lived\n" || e.Stopped || e.Code != 0 {
		t.Errorf("the next lease's step: %q, %+v", out, e)
	}
}

// F17: a Stop while the step is being claimed, and many at once, end it once.
func TestStopWhileClaiming(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	for i := range 20 {
		id := agent.StepID(fmt.Sprint("s", i))
		var wg sync.WaitGroup
		wg.Go(func() { script(t, p, l, id, "exec sleep 600") })
		for range 3 {
			wg.Go(func() {
				for {
					err := p.Stop(soon(t), agent.StopRequest{Lease: l, Step: id, Grace: -1})
					if err == nil {
						return
					}
					if !fault.Is(err, fault.NotFound) {
						t.Errorf("Stop: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		if _, e := follow(t, p, l, id); !e.Stopped || e.Code != 137 {
			t.Fatalf("%+v", e)
		}
	}
}

// Many steps at once, in several leases, all end with their own output.
func TestThousandStepsAtOnce(t *testing.T) {
	root := t.TempDir()
	p := launch(t, host.Config{Root: root})
	var wg sync.WaitGroup
	for n := range 4 {
		l := agent.Lease{Item: fmt.Sprint(t.Name(), n), Epoch: 1}
		open(t, p, agent.OpenRequest{Lease: l})
		for i := range 250 {
			wg.Go(func() {
				id := agent.StepID(fmt.Sprint("s", i))
				script(t, p, l, id, fmt.Sprintf("echo %d.%d; exit %d", n, i, i%7))
				if out, e := follow(t, p, l, id); out != fmt.Sprintf("%d.%d\n", n, i) || e.Code != i%7 || e.Lost {
					t.Errorf("%d.%d: %q, %+v", n, i, out, e)
				}
				if err := p.Forget(soon(t), l, id); err != nil {
					t.Errorf("Forget: %v", err)
				}
			})
		}
	}
	wg.Wait()
	closeAll(t, p)
	noLeftovers(t, root)
	if files := listing(t, filepath.Join(root, ".outwork", "lease")); len(files) != 0 {
		t.Errorf("left on disk: %q", files)
	}
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// F5: with the disk full a step runs to its end, its exit is kept, what is missing of its output is counted and marked; new
// work is refused with the reason, and taken again once there is room.
func TestDiskFull(t *testing.T) {
	root := need.Disk(t, "8m")
	p := launch(t, host.Config{Root: root, MinFree: 512 << 10})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l})
	filler := filepath.Join(w.Path, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	const wrote = 20_000_000
	s, room := newSign(t), filepath.Join(t.TempDir(), "room")
	script(t, p, l, "big", fmt.Sprintf("exec 9>'%s'; head -c %d /dev/zero | tr '\\0' x; echo full >&9; until test -e '%s'; do sleep 0.01; done; echo after; exit 6", s.path, wrote, room))
	s.await(t, "full")
	err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: "more", Argv: []string{"true"}})
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("Start on a full disk: %v", err)
	}
	if _, err := p.Open(soon(t), agent.OpenRequest{Lease: agent.Lease{Item: "other", Epoch: 1}, Job: "x"}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("Open on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(room, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, e := follow(t, p, l, "big")
	if e.Lost || e.Code != 6 || e.Dropped == 0 || int64(strings.Count(out, "x"))+e.Dropped != wrote {
		t.Errorf("%d bytes, %+v", len(out), e)
	}
	if marker := fmt.Sprintf("\n[outwork: %d bytes of output are missing here: no space left on device]\n", e.Dropped); strings.Count(out, marker) != 1 {
		t.Errorf("no marker %q in the output, which ends with %q", marker, out[max(0, len(out)-120):])
	}
	if !strings.HasSuffix(out, "after\n") {
		t.Errorf("output ends with %q", out[max(0, len(out)-120):])
	}
	if err := p.Forget(soon(t), l, "big"); err != nil {
		t.Fatal(err)
	}
	script(t, p, l, "again", "echo room")
	if out, e := follow(t, p, l, "again"); out != "room\n" || e.Code != 0 {
		t.Errorf("with room again: %q, %+v", out, e)
	}
}

// A disk that stays full to the end: the exit is there all the same, because its room was kept before the start.
func TestExitOnAFullDisk(t *testing.T) {
	root := need.Disk(t, "1m")
	p := launch(t, host.Config{Root: root, MinFree: 1})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", "head -c 2000000 /dev/zero; exit 6")
	out, e := follow(t, p, l, "s")
	if e.Code != 6 || e.Lost || int64(len(out))+e.Dropped != 2_000_000 || e.Dropped < 900_000 {
		t.Errorf("%d bytes, %+v", len(out), e)
	}
	p = p.restart(t)
	if again, e2 := follow(t, p, l, "s"); again != out || e2.Code != 6 || e2.Dropped != e.Dropped {
		t.Errorf("after a restart: %d bytes, %+v", len(again), e2)
	}
	closeAll(t, p)
}

func TestLimits(t *testing.T) {
	s := newSign(t)
	p := launch(t, host.Config{Root: t.TempDir(), MaxLeases: 2, MaxSteps: 3, MaxRunning: 2, MaxFollowers: 1})
	defer closeAll(t, p)
	l := agent.Lease{Item: "a", Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	open(t, p, agent.OpenRequest{Lease: agent.Lease{Item: "b", Epoch: 1}})
	if _, err := p.Open(soon(t), agent.OpenRequest{Lease: agent.Lease{Item: "c", Epoch: 1}, Job: "c"}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a third lease: %v", err)
	}
	start := func(id agent.StepID) error {
		return p.Start(soon(t), agent.StartRequest{Lease: l, Step: id, Script: fmt.Appendf(nil, "exec 9>'%s'; echo up >&9; exec sleep 600", s.path)})
	}
	for _, id := range []agent.StepID{"1", "2"} {
		if err := start(id); err != nil {
			t.Fatal(err)
		}
		s.await(t, "up")
	}
	if err := start("3"); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a third running step: %v", err)
	}
	_, err := p.Follow(soon(t), l, "1", 0, func(agent.Output) error {
		_, err := p.Follow(soon(t), l, "2", 0, func(agent.Output) error { return nil })
		return err
	})
	if !fault.Is(err, fault.Exhausted) {
		t.Errorf("a second follower: %v", err)
	}
	for _, id := range []agent.StepID{"1", "2"} {
		if err := p.Stop(soon(t), agent.StopRequest{Lease: l, Step: id}); err != nil {
			t.Fatal(err)
		}
		follow(t, p, l, id)
	}
	if err := start("3"); err != nil {
		t.Error(err)
	}
	if err := start("4"); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a fourth step: %v", err)
	}
	if st := p.Stats(); st.Leases != 2 || st.Steps != 3 || st.Running != 1 || st.Followers != 0 {
		t.Errorf("%+v", st)
	}
}

// Shims are taken again by later leases, and end with the agent when they are idle.
func TestShimsAreReused(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir(), Idle: 2})
	for i := range 20 {
		l := agent.Lease{Item: fmt.Sprint(t.Name(), i), Epoch: 1}
		open(t, p, agent.OpenRequest{Lease: l})
		script(t, p, l, "s", "echo $OUTWORK_LEASE")
		if out, e := follow(t, p, l, "s"); e.Code != 0 || len(out) < 10 {
			t.Fatalf("%q, %+v", out, e)
		}
		closeLease(t, p, l)
	}
	if st := p.Stats(); st.Spawned > 3 || st.Reused < 17 || st.IdleShims > 2 {
		t.Errorf("%+v", st)
	}
}

// Starting and stopping leaves nothing of this process behind (goleak looks at the end), and re-adoption works each time.
func TestStartStopMany(t *testing.T) {
	root := t.TempDir()
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	p := launch(t, host.Config{Root: root})
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", "until test -e go; do sleep 0.05; done; echo done")
	for range 60 {
		p = p.restart(t)
		if held, _, _, err := p.Renew(soon(t), nil, 0); err != nil || len(held) != 1 {
			t.Fatalf("%v, %v", held, err)
		}
	}
	if err := p.WriteFile(soon(t), l, "go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "s"); out != "done\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
	closeAll(t, p)
}

// A path longer than a socket's address can hold.
func TestLongRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "root")
	p := launch(t, host.Config{Root: root})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	script(t, p, l, "s", "until test -e go; do sleep 0.01; done; echo hi")
	p = p.restart(t)
	defer closeAll(t, p)
	if err := p.WriteFile(soon(t), l, "go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "s"); out != "hi\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
}
