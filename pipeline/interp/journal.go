package interp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// outcome is the payload of an entry: how an effect ended. Exactly one of Value, Exception and Fault says it.
type outcome struct {
	Value     json.RawMessage  `json:"value,omitempty"`
	Exception *value.Exception `json:"exception,omitempty"`
	Fault     string           `json:"fault,omitempty"` // the farm's own failure
	Kind      string           `json:"kind,omitempty"`  // its fault.Kind
}

func outcomeOf(v any, err error) outcome {
	if err == nil {
		raw, merr := json.Marshal(v)
		if merr == nil {
			return outcome{Value: raw}
		}
		err = fmt.Errorf("the result cannot be journalled: %w", merr)
	}
	var ex *value.Exception
	if errors.As(err, &ex) {
		return outcome{Exception: plain(ex)}
	}
	return outcome{Fault: err.Error(), Kind: fault.Of(err).String()}
}

// plain is an exception without the object of a script behind it, which cannot be journalled.
func plain(e *value.Exception) *value.Exception {
	left := 100
	return plainOf(e, &left)
}

// plainOf copies at most left exceptions: one may be its own cause.
func plainOf(e *value.Exception, left *int) *value.Exception {
	if *left--; e == nil || *left < 0 {
		return nil
	}
	c := *e
	c.Payload, c.Cause, c.Suppressed = nil, plainOf(e.Cause, left), nil
	for _, s := range e.Suppressed {
		if p := plainOf(s, left); p != nil {
			c.Suppressed = append(c.Suppressed, p)
		}
	}
	return &c
}

func (o outcome) result() (json.RawMessage, error) {
	switch {
	case o.Exception != nil:
		return nil, o.Exception
	case o.Fault != "":
		return nil, fault.New(fault.Parse(o.Kind), "%s", o.Fault)
	}
	return o.Value, nil
}

// event is something durable that the program is told of when it is its turn.
type event struct {
	kind    Kind
	address step.Address
	outcome outcome
}

// replay hands out the events of a journal that was kept, in its order.
type replay struct {
	events    []event
	started   map[step.Address]Entry
	completed map[step.Address]bool
	last      uint64 // Seq of the last entry
	over      bool
}

func newReplay(entries []Entry) (replay, error) {
	r := replay{started: map[step.Address]Entry{}, completed: map[step.Address]bool{}}
	for _, e := range entries {
		if e.Seq != r.last+1 {
			return r, fault.New(fault.Internal, "journal: entry %d follows entry %d", e.Seq, r.last)
		}
		r.last = e.Seq
		if e.Kind == Started {
			r.started[e.Address] = e
			continue
		}
		ev := event{kind: e.Kind, address: e.Address}
		if err := json.Unmarshal(e.Payload, &ev.outcome); err != nil {
			return r, fault.New(fault.Internal, "journal: entry %d: %w", e.Seq, err)
		}
		if e.Kind == Completed {
			r.completed[e.Address] = true
			if _, ok := r.started[e.Address]; !ok { // repeatable effects are only journalled when they have ended
				r.started[e.Address] = e
			}
		}
		r.events = append(r.events, ev)
	}
	return r, nil
}

func (r *replay) next() (event, bool) {
	if len(r.events) == 0 {
		return event{}, false
	}
	e := r.events[0]
	r.events = r.events[1:]
	return e, true
}

// interrupted reports whether the journal has the interruption of a body.
func (r *replay) interrupted(id step.Address) bool {
	return slices.ContainsFunc(r.events, func(e event) bool { return e.kind == Interrupted && e.address == id })
}

// leftover is a completion that no effect asked for.
func (r *replay) leftover() (step.Address, bool) {
	for _, e := range r.events {
		if e.kind == Completed {
			return e.address, true
		}
	}
	return "", false
}

// writer appends entries in the order they were put in, as many at once as have come together while the last append ran.
type writer struct {
	p    *Program
	err  error // of Append; read after loop has returned, or by loop
	seq  uint64
	mu   sync.Mutex
	todo []item
	done bool
	bell chan struct{}

	pending atomic.Int64 // entries put in, whose then has not been called yet
}

// item is an entry and what is to happen when it is durable.
type item struct {
	entry Entry
	then  func()
}

func newWriter(p *Program, last uint64) *writer {
	return &writer{p: p, seq: last, bell: make(chan struct{}, 1)}
}

func (w *writer) put(e Entry, then func()) {
	w.pending.Add(1)
	w.mu.Lock()
	w.todo = append(w.todo, item{e, then})
	w.mu.Unlock()
	w.ring()
}

func (w *writer) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// close ends loop; entries that are not yet being written are dropped.
func (w *writer) close() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	w.ring()
}

func (w *writer) loop(ctx context.Context) {
	for {
		w.mu.Lock()
		batch, done := w.todo, w.done
		w.todo = nil
		w.mu.Unlock()
		switch {
		case done:
			return
		case len(batch) == 0:
			<-w.bell
			continue
		case w.p.fatal.Load() != nil || w.err != nil:
			continue // nothing is journalled once the program has been told to stop
		}
		w.append(ctx, batch)
	}
}

func (w *writer) append(ctx context.Context, batch []item) {
	entries := make([]Entry, len(batch))
	for i, it := range batch {
		entries[i] = it.entry
		entries[i].Seq = w.seq + uint64(i) + 1
	}
	if w.p.c.Journal != nil {
		if err := w.p.c.Journal.Append(ctx, entries); err != nil {
			w.err = fmt.Errorf("journal: %w", err)
			w.p.die(w.err)
			return
		}
	}
	w.seq += uint64(len(batch))
	for _, it := range batch {
		it.then()
	}
	w.pending.Add(-int64(len(batch)))
	w.p.ring()
}

// tell queues a durable event for the scheduler.
func (p *Program) tell(e event) {
	p.mu.Lock()
	p.events = append(p.events, e)
	changed := p.stirred()
	p.mu.Unlock()
	p.ring()
	p.changed(changed)
}
