package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/queue"
)

// waiting is an item that waits in the queue, whether its run is in memory or not.
type waiting struct {
	ticket Ticket
	since  time.Time
	said   atomic.Bool // why it waits
}

// question is what an item waits for, which is asked and said once when that takes long.
type question struct {
	u    *run
	w    *waiting
	item queue.ItemID
	say  func(why string)
}

// ask has the question answered when patience is over, by what speaks for the run. cancel takes that back, and waits for an answer
// that is being said.
func (q *question) ask(speak func(do func())) (cancel func()) {
	if q.w.said.Load() {
		return func() {}
	}
	var (
		mu   sync.Mutex
		over bool
	)
	timer := time.AfterFunc(patience-time.Since(q.w.since), func() {
		q.u.r.asked.add(func() {
			speak(func() {
				mu.Lock()
				defer mu.Unlock()
				if !over {
					q.answer()
				}
			})
		})
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}

func (q *question) answer() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if why, err := q.u.r.c.Queue.Why(ctx, q.item); err == nil && !q.w.said.Load() {
		q.say(why.Summary)
		q.w.said.Store(true)
	}
}

// watch looks after the item of a parked run: it rings when the item waits no longer, and says why it waits.
func (q *question) watch(ring func()) (cancel func()) {
	stop, hush := q.w.ticket.AfterFunc(ring), q.ask(q.u.meanwhile)
	return func() { stop(); hush() }
}

// meanwhile does something for a parked run that needs its console. A run that is not parked sees to itself.
func (u *run) meanwhile(do func()) {
	if !u.life.TryLock() { // it is evaluated: only its evaluation and this hold life, and this is done for one run at a time
		return
	}
	defer u.life.Unlock()
	if u.over {
		return
	}
	out, err := u.r.c.Logs.Build(u.id)
	if err != nil {
		u.log.Warn("console", "err", err)
		return
	}
	defer out.Release()
	u.out.Store(out)
	do()
}

// errands are done one after the other, by a goroutine that is there while there are any: thousands come at the same moment and can wait. The
// zero value is ready.
type errands struct {
	mu   sync.Mutex
	todo []func()
	done chan struct{} // closed when the goroutine ends; nil when there is none
}

func (e *errands) add(do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.todo = append(e.todo, do)
	if e.done == nil {
		e.done = make(chan struct{})
		go e.run(e.done)
	}
}

func (e *errands) run(done chan struct{}) {
	defer close(done)
	for {
		e.mu.Lock()
		if len(e.todo) == 0 {
			e.todo, e.done = nil, nil
			e.mu.Unlock()
			return
		}
		do := e.todo[0]
		e.todo = e.todo[1:]
		e.mu.Unlock()
		do()
	}
}

// drop forgets what is left, and waits for what is being done.
func (e *errands) drop() {
	e.mu.Lock()
	e.todo = nil
	done := e.done
	e.mu.Unlock()
	if done != nil {
		<-done
	}
}
