package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
)

var (
	tortureFor  = flag.Duration("torture", 0, "how long TestTorture goes on; 0 is a short while")
	tortureSeed = flag.Uint64("torture.seed", 0, "seed of TestTorture; 0 takes one of the clock's")
)

// torture is a farm whose parts are killed, frozen and cut off while builds run.
type torture struct {
	*testing.T
	w       *world.World
	island  *world.Island
	rnd     *rand.Rand
	oracle  string
	victims []*victim
	down    bool // the controller
	pending []event
	faults  map[string]int // how often each happened
	began   time.Time
}

// victim is an agent.
type victim struct {
	name   string
	agent  *world.Agent // nil: the controller starts it
	root   string
	island bool
	busy   bool // something is being done to it
}

// event is what is to be done at some time; it is done again a moment later when it says false.
type event struct {
	at time.Time
	do func() bool
}

// TestTorture: invariants I1 to I7 hold while agents and the controller are killed, frozen, drained and cut off at random, over every kind
// of link. It says its seed; the order of what happens follows from it, its effect does not.
func TestTorture(t *testing.T) {
	length := *tortureFor
	if length == 0 {
		length = 40 * time.Second
	}
	if testing.Short() {
		length = min(length, 15*time.Second)
	}
	from := *tortureSeed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d, %v", from, length)
	x := newTorture(t, from)
	jobs := x.jobs()
	for _, j := range jobs {
		x.w.Job(j.name, j.script)
	}
	before := x.measure()

	crew := newCrew(x.w, jobs, x.oracle)
	for i := range 4 {
		crew.add(rand.New(rand.NewPCG(from, uint64(i)+10)))
	}
	x.rage(length, crew.failed)
	x.heal()
	x.say("healed")
	crew.stop()
	total := crew.check(t)
	x.say("all builds have ended")
	x.nothingLeft()
	x.say("nothing is left over")
	x.settled(before)
	x.say("at rest")
	results := crew.results(t)
	x.w.StopController()
	x.w.StartController()
	for key, was := range crew.results(t) {
		if results[key] != was { // I5
			t.Errorf("%s: it was %s, and is %s after a restart", key, results[key], was)
		}
	}
	t.Logf("%d builds; %v", total, x.faults)
}

func newTorture(t *testing.T, seed uint64) *torture {
	x := &torture{T: t, rnd: rand.New(rand.NewPCG(seed, 1)), oracle: t.TempDir(), island: world.NewIsland(t), faults: map[string]int{}, began: time.Now()}
	x.w = world.NewOn(t, x.island, "--agent-listen", ":0", "--executors", "2", "--heartbeat", "2s", "--lease-ttl", "6s", "--lease-grace", "6s")
	add := func(a *world.Agent, island bool) {
		x.victims = append(x.victims, &victim{name: a.Name, agent: a, root: a.Root, island: island})
	}
	common := []string{"--executors", "3", "--drain", "60s"}
	add(x.w.Join("ws", "linux a", common...), false)
	add(x.w.Join("ws2", "linux b", common...), false)
	add(x.w.Join("tls", "linux a", append(common, "--tcp")...), false)
	add(x.w.JoinFrom(x.island, "far", "linux b", common...), true)
	add(x.w.JoinFrom(x.island, "fartls", "linux", append(common, "--tcp")...), true)
	x.victims = append(x.victims, &victim{name: "built-in", root: filepath.Join(x.w.Data(), "agents", "built-in")})
	x.launched()
	for _, v := range x.victims {
		x.w.Await("node "+v.name, func() bool { return x.online(v.name) })
	}
	return x
}

func (x *torture) online(name string) bool {
	n, err := x.w.Client.Node(x.w.Context(), name)
	return err == nil && n.State == "online"
}

// rage does things to the farm until the time is over or a build went wrong.
func (x *torture) rage(length time.Duration, failed <-chan error) {
	end := time.Now().Add(length)
	next := time.Now()
	for time.Now().Before(end) {
		at := next
		for _, e := range x.pending {
			if e.at.Before(at) {
				at = e.at
			}
		}
		select {
		case <-time.After(time.Until(at)): // the point of it
		case err := <-failed:
			x.Fatal(err)
		}
		x.due(time.Now())
		if !time.Now().Before(next) {
			x.fault()
			next = time.Now().Add(x.between(200*time.Millisecond, 2500*time.Millisecond))
		}
	}
}

func (x *torture) between(least, most time.Duration) time.Duration {
	return least + time.Duration(x.rnd.Int64N(int64(most-least)))
}

func (x *torture) later(d time.Duration, do func() bool) {
	x.pending = append(x.pending, event{time.Now().Add(d), do})
}

// due does what is to be done by now.
func (x *torture) due(now time.Time) {
	all := x.pending
	x.pending = nil
	for _, e := range all {
		switch {
		case e.at.After(now):
			x.pending = append(x.pending, e)
		case !e.do():
			x.later(200*time.Millisecond, e.do)
		}
	}
}

// heal waits until all that was done is undone and everything is there.
func (x *torture) heal() {
	x.w.Await("the end of all faults", func() bool {
		x.due(time.Now())
		return len(x.pending) == 0
	})
	for _, v := range x.victims {
		x.w.Await("node "+v.name, func() bool { return x.online(v.name) })
	}
}

func (x *torture) note(what, whom string) {
	x.faults[what]++
	x.say(what + " " + whom)
}

func (x *torture) say(what string) { x.Logf("%6.1fs %s", time.Since(x.began).Seconds(), what) }

// fault does one thing to the controller, to the cable, or to an agent to which nothing is being done.
func (x *torture) fault() {
	where, long := x.rnd.IntN(8), x.between(0, 15*time.Second)
	v, kind := x.victims[x.rnd.IntN(len(x.victims))], x.rnd.IntN(4)
	free := func() bool { v.busy = false; return true }
	switch {
	case where == 0:
		x.killController()
		return
	case where == 1:
		x.cut(long)
		return
	case v.busy:
		return
	}
	v.busy = true
	switch {
	case kind == 0:
		x.freeze(v, long, free)
	case kind == 1 && v.agent != nil:
		x.drain(v, free)
	case kind == 2:
		x.takeOffline(v, long/3, free)
	default:
		x.kill(v, long/5, free)
	}
}

func (x *torture) killController() {
	if x.down {
		return
	}
	x.down = true
	x.note("kill", "the controller")
	x.w.KillController()
	x.later(x.between(0, 5*time.Second), func() bool {
		x.w.StartController()
		x.down = false
		return true
	})
}

// pids are the processes of an agent.
func (v *victim) pids() []int {
	if v.agent != nil {
		return []int{v.agent.PID()}
	}
	return world.AgentsBelow(v.root)
}

func (x *torture) kill(v *victim, away time.Duration, free func() bool) {
	x.note("kill", v.name)
	if v.agent == nil {
		for _, pid := range v.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		free()
		return
	}
	v.agent.Kill()
	x.later(away, func() bool { v.agent.Start(); return free() })
}

func (x *torture) freeze(v *victim, long time.Duration, free func() bool) {
	x.note("freeze", fmt.Sprintf("%s for %v", v.name, long.Round(time.Millisecond)))
	pids := v.pids()
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	x.later(long, func() bool {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		return free()
	})
}

// drain asks an agent to end, and starts it again when it has.
func (x *torture) drain(v *victim, free func() bool) {
	x.note("drain", v.name)
	v.agent.Signal(syscall.SIGTERM)
	x.later(0, func() bool {
		select {
		case <-v.agent.Ended():
			v.agent.Start()
			return free()
		default:
			return false
		}
	})
}

func (x *torture) cut(long time.Duration) {
	for _, v := range x.victims {
		if v.island && v.busy {
			return
		}
	}
	which := []world.Direction{world.Both, world.ToAgent, world.FromAgent}[x.rnd.IntN(3)]
	x.note("cut", fmt.Sprintf("the cable %v for %v", which, long.Round(time.Millisecond)))
	busy := func(yes bool) {
		for _, v := range x.victims {
			if v.island {
				v.busy = yes
			}
		}
	}
	busy(true)
	x.island.Cut(which)
	x.later(long, func() bool {
		x.island.Heal()
		busy(false)
		return true
	})
}

// takeOffline is what people do; that the controller is away for it is no fault of theirs.
func (x *torture) takeOffline(v *victim, long time.Duration, free func() bool) {
	if x.w.Client.NodeOffline(x.w.Context(), v.name, api.NodeOffline{Reason: "torture"}) != nil {
		free()
		return
	}
	x.note("offline", v.name)
	x.later(long, func() bool { return x.w.Client.NodeOnline(x.w.Context(), v.name) == nil && free() })
}

// footprint is what a farm at rest uses.
type footprint struct {
	goroutines, files float64        // of the controller
	agents            map[string]int // open files of each agent
}

func (x *torture) measure() footprint {
	f := footprint{agents: map[string]int{}}
	f.goroutines, f.files = x.w.Metric("go_goroutines"), x.w.Metric("process_open_fds")
	for _, v := range x.victims {
		for _, pid := range v.pids() {
			open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			f.agents[v.name] += len(open)
		}
	}
	return f
}

// settled: invariant I7, of what a farm at rest uses.
func (x *torture) settled(before footprint) {
	var now footprint
	defer func() {
		if x.Failed() {
			x.Logf("before %+v, after %+v", before, now)
		}
	}()
	x.w.Await("the farm to use no more than before", func() bool {
		now = x.measure()
		for name, n := range now.agents {
			if n > before.agents[name]+12 {
				return false
			}
		}
		return now.goroutines <= before.goroutines+40 && now.files <= before.files+20
	})
	if m := resident(x.T, x.w.ControllerPID()); m > 300<<20 {
		x.Errorf("the controller has %d MiB", m>>20)
	}
}

// keptShims is how many shims without work an agent keeps for the next.
const keptShims = 8

// nothingLeft: invariant I6. Agents are there, and the shims that they keep.
func (x *torture) nothingLeft() {
	var left []string
	defer func() {
		if x.Failed() {
			x.Logf("left over: %s", strings.Join(left, "\n"))
		}
	}()
	x.w.Await("everything that builds started to be gone", func() bool {
		left = left[:0]
		for _, v := range x.victims {
			shims := 0
			for _, p := range world.Leftovers(v.root) {
				switch {
				case strings.Contains(p, " agent --"), strings.Contains(p, " --stdio"):
				case strings.Contains(p, " shim ") && shims < keptShims:
					shims++
				default:
					left = append(left, v.name+": "+p)
				}
			}
		}
		left = append(left, world.Running("sleep", daemonTime)...)
		return len(left) == 0
	})
}

// crew is who submits builds.
type crew struct {
	w      *world.World
	jobs   []job
	oracle string
	ended  chan struct{}
	failed chan error
	group  sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]int // guarded by mu
}

func newCrew(w *world.World, jobs []job, oracle string) *crew {
	return &crew{w: w, jobs: jobs, oracle: oracle, ended: make(chan struct{}), failed: make(chan error, 16), accepted: map[string]int{}}
}

func (c *crew) add(rnd *rand.Rand) {
	c.group.Go(func() {
		for {
			select {
			case <-c.ended:
				return
			default:
			}
			if err := c.one(c.jobs[rnd.IntN(len(c.jobs))], rnd); err != nil {
				c.failed <- err
				return
			}
		}
	})
}

// stop waits until everybody has seen the end of what they submitted.
func (c *crew) stop() { close(c.ended); c.group.Wait() }
