// Package sim runs the queue's state machine through bad days: agents join, die, are cut off, come back, restart with and without
// their disks; the controller is killed between any two writes and stopped for a minute; messages are late, lost, doubled and
// overtake each other; clocks jump. An oracle that sees everything checks after each event what Outwork promises.
//
// The queue is the real one (queue.Core, queue.Batches); agents, the roster and those who wait for executors are models of what
// agent, fleet and pipeline promise. A run is a function of its seed: the same seed gives the same run.
//
// Nothing is assumed of how long a message is under way: an agent acts on what arrives after minutes, or when a partition heals.
// Options.TTL and Options.CountArrival break the bargain between the two sides, to see that the oracle sees it.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outwork-build/outwork/queue"
)

// Options shape a run. The zero value is the usual one.
type Options struct {
	Nodes int           // 0 is a number from 1 to 5, by the seed
	Items int           // 0 is a number from 1 to 24, by the seed
	Bad   time.Duration // how long faults happen; 0 is 6 minutes
	Late  time.Duration // the longest a message is under way without a partition; 0 is 90 s
	TTL   time.Duration // of a lease, as the queue believes; 0 is 30 s, which is what the agents believe
	// CountArrival has agents count a lease's TTL from when they hear a Renew, not from one that they know to be answered.
	CountArrival bool
}

// Result says what a run saw.
type Result struct {
	Events, Starts, Done, Lost, Restarts, Deaths, Partitions int
}

// Failure is a promise that was broken, with what happened before.
type Failure struct {
	Seed  uint64
	At    time.Duration
	What  string
	Trace []string // the newest lines
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: at %v: %s\n%s", f.Seed, f.At, f.What, strings.Join(f.Trace, "\n"))
}

const (
	ttl, grace = 30 * time.Second, 15 * time.Second
	holdWindow = 5 * time.Minute
	beatEvery  = 10 * time.Second
	patience   = 2 * time.Hour // after the faults, until everything must have ended
)

func (s *sim) limits() queue.Limits {
	return queue.Limits{TTL: s.opts.TTL, Grace: grace, HoldWindow: holdWindow, KeepEnded: time.Hour, Unclaimed: 10 * time.Minute, MaxWaiting: 10_000}
}

// limited is the label that a policy may limit; see queue.Policy.
const limited = "even"

// drawPolicy has a limit in half of the runs.
func (s *sim) drawPolicy() {
	s.policy = queue.Policy{Pack: s.one(2)}
	if s.one(2) {
		s.policy.Limits = map[string]int{limited: 1 + s.rng.IntN(3)}
	}
}

// sim is one run: a clock, what is to happen, and the parts.
type sim struct {
	seed   uint64
	opts   Options
	policy queue.Policy
	rng    *rand.Rand
	now    time.Duration
	skew   time.Duration // of the wall clock
	agenda agenda
	seq    uint64
	calm   bool // no more faults
	trace  []string
	failed *Failure
	result Result

	ctl    *controller
	nodes  []*node
	items  []*client
	oracle *oracle
}

// Run is one run. It returns a *Failure when a promise was broken.
func Run(seed uint64, opts Options) (Result, error) {
	s := &sim{seed: seed, opts: opts, rng: rand.New(rand.NewPCG(seed, 0x0077_0077)), oracle: newOracle()}
	if s.opts.Bad == 0 {
		s.opts.Bad = 6 * time.Minute
	}
	if s.opts.Late == 0 {
		s.opts.Late = ttl + grace + ttl + grace
	}
	if s.opts.TTL == 0 {
		s.opts.TTL = ttl
	}
	s.build()
	for len(s.agenda) > 0 && s.failed == nil && s.now < s.opts.Bad+patience && !s.over() {
		e := heap.Pop(&s.agenda).(*event)
		s.now = e.at
		s.result.Events++
		e.f()
	}
	if s.failed == nil {
		s.oracle.atEnd(s)
	}
	if s.failed != nil {
		return s.result, s.failed
	}
	return s.result, nil
}

// over reports whether the faults are over and nothing is left to be done.
func (s *sim) over() bool {
	if !s.calm {
		return false
	}
	for _, c := range s.items {
		if !c.finished() {
			return false
		}
	}
	return s.left() == ""
}

// build makes the world and plans its faults.
func (s *sim) build() {
	if s.opts.Nodes == 0 {
		s.opts.Nodes = 1 + s.rng.IntN(5)
	}
	if s.opts.Items == 0 {
		s.opts.Items = 1 + s.rng.IntN(24)
	}
	s.drawPolicy()
	s.ctl = newController(s)
	for i := range s.opts.Nodes {
		s.nodes = append(s.nodes, newNode(s, i))
	}
	for i := range s.opts.Items {
		s.items = append(s.items, newClient(s, i))
	}
	s.ctl.start()
	for at := s.upTo(30 * time.Second); at < s.opts.Bad; at += s.upTo(40 * time.Second) {
		s.at(at, s.fault)
	}
	s.at(s.opts.Bad, s.heal)
}

// at plans something.
func (s *sim) at(t time.Duration, f func()) {
	s.seq++
	heap.Push(&s.agenda, &event{t, s.seq, f})
}

func (s *sim) after(d time.Duration, f func()) { s.at(s.now+d, f) }

// upTo draws a time from (0, d].
func (s *sim) upTo(d time.Duration) time.Duration { return 1 + time.Duration(s.rng.Int64N(int64(d))) }

// one draws true once in n times.
func (s *sim) one(n int) bool { return s.rng.IntN(n) == 0 }

func (s *sim) instant() queue.Instant {
	return queue.Instant{Mono: s.now, Wall: time.Unix(1_800_000_000, 0).Add(s.now + s.skew).UTC()}
}

const traced = 400 // lines

func (s *sim) logf(format string, args ...any) {
	if len(s.trace) >= 2*traced {
		s.trace = append(s.trace[:0], s.trace[traced:]...)
	}
	s.trace = append(s.trace, fmt.Sprintf("%12v ", s.now)+fmt.Sprintf(format, args...))
}

// broken records the first promise that is broken.
func (s *sim) broken(format string, args ...any) {
	if s.failed == nil {
		s.failed = &Failure{Seed: s.seed, At: s.now, What: fmt.Sprintf(format, args...), Trace: s.trace[max(0, len(s.trace)-traced):]}
	}
}

// delay is how long a message is under way.
func (s *sim) delay() time.Duration {
	if !s.calm && s.one(40) {
		return s.upTo(s.opts.Late)
	}
	return s.upTo(20 * time.Millisecond)
}

// copies is how often a message arrives: once, but in bad times up to three times.
func (s *sim) copies() int {
	if !s.calm && s.one(20) {
		return 2 + s.rng.IntN(2)
	}
	return 1
}

// event is something planned. Events of one time happen in the order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	f   func()
}

// agenda is a heap of events; its methods are for container/heap.
type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at != a[j].at {
		return a[i].at < a[j].at
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*event)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return e
}
