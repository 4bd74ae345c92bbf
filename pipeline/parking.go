package pipeline

import (
	"container/list"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/step"
)

// place is where a run is.
//
//	ready ──its turn──▶ loaded ──only waits, and others want the room──▶ parked
//	  ▲                   │ the ledger failed, or it was parked            │
//	  └───────────────────┴── what it waits for, an abort, a timeout ──────┘
//
// A parked run is what the ledger has, its places in the queue, and what calls it back. To load it is to resume it, as after a restart:
// whoever looks at the build sees no difference. It is parked when it has been quiet for Config.Quiet, or when the quiet runs in
// memory have more threads than Config.MaxQuiet: then those that have been quiet for longest go. A run stays that
// holds an executor (there are not more of these than executors), or that is due soon.
type place uint8

const (
	ready  place = iota // in Runner.called or Runner.resumed
	loaded              // evaluated by a goroutine of serve
	parked
	gone // it has ended, or the Runner has
)

const (
	minAway = 20 * time.Second // a run that is due before is not parked
	early   = time.Second      // a parked run is called so much before it is due, to be there in time
)

// errParked ends the evaluation of a run that is to be parked.
var errParked = errors.New("the pipeline leaves memory until there is something to do")

// still is what is evaluated of a run: an *interp.Program, or the fetching of its text.
type still interface {
	Rest() interp.Rest
	Waits() ([]step.Wake, bool)
}

// position is what the Runner knows of a run. Runner.mu guards it.
type position struct {
	place   place
	loading bool          // it has one of MaxLoading
	what    still         // is evaluated; nil when nothing is yet, or any more
	quiet   bool          // as what.Rest said, of a loaded run
	threads int           // of a quiet run that may be parked
	since   time.Time     // when it became quiet
	bench   *list.Element // in Runner.quiet; nil when it is not there

	evict   context.CancelCauseFunc // ends the evaluation of a loaded run
	parking bool                    // it was called
	again   bool                    // it was called back since
	back    back                    // what calls it back, while it is being parked
	cancel  []func()                // what calls it back, once it is parked
	pause   time.Duration           // before it is resumed after a failure
}

// back is what calls a parked run back.
type back struct {
	wakes []step.Wake
	due   time.Time // zero is never
}

// attend has the Runner look at what is evaluated of a run from now on.
func (r *Runner) attend(u *run, what still) {
	r.mu.Lock()
	u.at.what = what
	r.mu.Unlock()
	r.look(u, what)
}

// look hears that what is evaluated of a run came to rest, or goes on.
func (r *Runner) look(u *run, what still) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.at.what != what || u.at.parking {
		return
	}
	now := what.Rest()
	if now.Settled {
		r.settle(u)
	}
	switch {
	case now.Quiet && !u.at.quiet:
		u.at.quiet, u.at.since, u.at.threads = true, time.Now(), max(now.Threads, 1)
		r.active--
		if _, ok := r.back(u); ok {
			u.at.bench = r.quiet.PushBack(u)
			r.quietThreads += u.at.threads
			r.squeeze()
		}
		r.ring()
	case !now.Quiet && u.at.quiet:
		r.rouse(u)
	}
}

// rouse counts a quiet run among the active ones again. The caller holds mu.
func (r *Runner) rouse(u *run) {
	u.at.quiet = false
	r.active++
	r.unbench(u)
}

// unbench takes a run from those that may be parked. The caller holds mu.
func (r *Runner) unbench(u *run) {
	if u.at.bench != nil {
		r.quiet.Remove(u.at.bench)
		r.quietThreads -= u.at.threads
		u.at.bench = nil
	}
}

// settle gives back the right to load, if the run has it. The caller holds mu.
func (r *Runner) settle(u *run) {
	if u.at.loading {
		u.at.loading = false
		r.loading--
		r.ring()
	}
}

// evaluated hears that nothing is evaluated of a run any more; it may take some time yet to end.
func (r *Runner) evaluated(u *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle(u)
	if u.at.quiet {
		r.rouse(u)
	}
	u.at.what = nil
}

// back returns what would call a quiet run back; ok says that it can leave: nothing wants it here but its waits. The caller holds mu.
func (r *Runner) back(u *run) (b back, ok bool) {
	b.wakes, ok = u.at.what.Waits()
	b.due = u.nextDue()
	for _, w := range b.wakes {
		b.due = earlier(b.due, w.At)
	}
	soon := !b.due.IsZero() && b.due.Sub(r.c.Now()) < minAway
	return b, ok && !soon && !u.nodes.holds() && u.listeners.some.Load() == 0
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// squeeze parks the runs that have been quiet for long, and of the others those that were so first when they are too many. The
// caller holds mu.
func (r *Runner) squeeze() {
	for e := r.quiet.Front(); e != nil; e = r.quiet.Front() {
		u := e.Value.(*run)
		left := r.c.Quiet - time.Since(u.at.since)
		if left > 0 && r.quietThreads <= r.c.MaxQuiet {
			if r.ticker == nil {
				r.ticker = time.AfterFunc(left, r.tick)
			}
			return
		}
		r.park(u)
	}
}

// tick looks at the quiet runs when the first of them has been so for long.
func (r *Runner) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticker = nil
	r.squeeze()
}

// park has a quiet run leave. The caller holds mu.
func (r *Runner) park(u *run) {
	r.unbench(u)
	if b, ok := r.back(u); ok { // otherwise it is about to go on, or due soon
		u.at.parking, u.at.back = true, b
		u.at.evict(errParked)
	}
}

// unload takes a run out of memory that was evaluated. The caller holds mu.
func (r *Runner) unload(u *run) {
	r.active--
	u.at.evict = nil
}

// parked leaves a run to what calls it back.
func (r *Runner) parked(u *run) {
	ring := func() { r.wake(u) }
	var cancel []func()
	back := u.at.back // nobody changes it now
	for _, w := range back.wakes {
		if w.When != nil {
			cancel = append(cancel, w.When(ring))
		}
	}
	if !back.due.IsZero() {
		t := time.AfterFunc(back.due.Sub(r.c.Now())-early, ring)
		cancel = append(cancel, func() { t.Stop() })
	}
	r.mu.Lock()
	u.at.pause = 0
	r.leave(u, cancel)
	again := u.at.again
	r.mu.Unlock()
	if again {
		r.wake(u)
	}
}

// leave puts a run down that was evaluated, until what cancel undoes calls it back. The caller holds mu.
func (r *Runner) leave(u *run, cancel []func()) {
	r.unload(u)
	u.at.place, u.at.parking, u.at.back, u.at.cancel = parked, false, back{}, cancel
	r.away++
	r.ring()
}

// later has a run that could not go on resumed after a pause, which grows.
func (r *Runner) later(u *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u.at.pause = min(max(2*u.at.pause, firstPause), lastPause)
	t := time.AfterFunc(u.at.pause, func() { r.wake(u) })
	r.leave(u, []func(){func() { t.Stop() }})
}

// wake calls a parked run back, and one that is about to be parked.
func (r *Runner) wake(u *run) {
	r.mu.Lock()
	var cancel []func()
	switch {
	case u.at.place == parked:
		cancel, u.at.cancel = u.at.cancel, nil
		u.at.place = ready
		r.away--
		r.called = append(r.called, u)
	case u.at.parking:
		u.at.again = true
	}
	r.mu.Unlock()
	for _, c := range cancel {
		c()
	}
	r.ring()
}

// load takes a run into memory. The caller holds mu.
func (r *Runner) load(u *run) {
	u.at.place, u.at.loading, u.at.parking, u.at.again = loaded, true, false, false
	r.loading++
	r.active++
}

// end forgets a run: the build has ended, or the Runner.
func (r *Runner) end(u *run) {
	r.mu.Lock()
	r.unload(u)
	u.at.place = gone
	delete(r.running, u.id)
	r.mu.Unlock()
	r.ring()
	r.news.Notify()
}

// close forgets the runs that nobody evaluates, when the Runner stops.
func (r *Runner) close() {
	r.mu.Lock()
	if r.ticker != nil {
		r.ticker.Stop()
		r.ticker = nil
	}
	left := slices.Collect(maps.Values(r.running))
	var cancel []func()
	for _, u := range left {
		cancel = append(cancel, u.at.cancel...)
		u.at.place, u.at.cancel = gone, nil
	}
	clear(r.running)
	r.called, r.resumed, r.away = nil, nil, 0
	r.mu.Unlock()
	for _, c := range cancel {
		c()
	}
	for _, u := range left {
		u.life.Lock()
		u.over = true
		u.life.Unlock()
	}
	r.asked.drop()
}

// dues are the times at which a run must be in memory. The zero value is ready.
type dues struct {
	mu   sync.Mutex
	next int
	at   map[int]time.Time
}

// Due implements step.Alarmed.
func (u *run) Due(at time.Time) (stop func()) {
	d := &u.dues
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[int]time.Time{}
	}
	d.next++
	id := d.next
	d.at[id] = at
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.at, id)
	}
}

// nextDue is the first time at which the run must be in memory; zero is never.
func (u *run) nextDue() (first time.Time) {
	u.dues.mu.Lock()
	defer u.dues.mu.Unlock()
	for _, at := range u.dues.at {
		first = earlier(first, at)
	}
	return first
}

// fetching is a run before it has its text. It implements step.Waiter and still.
type fetching struct {
	u *run

	mu   sync.Mutex
	wait *step.Wake // nil while it does something
}

func (f *fetching) Wait(w step.Wake) (over func()) {
	f.set(&w)
	return func() { f.set(nil) }
}

func (f *fetching) set(w *step.Wake) {
	f.mu.Lock()
	f.wait = w
	f.mu.Unlock()
	f.u.r.look(f.u, f)
}

func (f *fetching) Rest() interp.Rest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return interp.Rest{Settled: true, Quiet: f.wait != nil, Threads: 1}
}

func (f *fetching) Waits() ([]step.Wake, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wait == nil {
		return nil, false
	}
	return []step.Wake{*f.wait}, true
}
