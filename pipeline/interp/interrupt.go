package interp

import (
	"encoding/json"
	"slices"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// body is one call of Interruptible, or the whole program.
//
//	open ──Interrupt──▶ asked ──journal──▶ fired
//	  └──────────── the body returns ─────────▶ closed (gone from Program.bodies)
type body struct {
	p            *Program
	id           step.Address
	depth        int // bodies around it
	asked, fired bool
}

// request is an interruption that somebody asked for.
type request struct {
	b *body
	e *value.Exception
}

// interrupt is one firing, on its way to the threads in the body.
type interrupt struct {
	b     *body
	e     *value.Exception
	taken bool // by one thread at least
}

// Interrupt implements step.Interrupter.
func (b *body) Interrupt(e *value.Exception) {
	b.p.mu.Lock()
	b.p.requests = append(b.p.requests, request{b, e})
	changed := b.p.stirred()
	b.p.mu.Unlock()
	b.p.ring()
	b.p.changed(changed)
}

// ask journals a request, unless the body was interrupted before or has returned. The replay is over.
func (p *Program) ask(r request) {
	if r.b.asked || r.b.fired || p.bodies[r.b.id] != r.b {
		return
	}
	r.b.asked = true
	o := outcome{Exception: plain(r.e)}
	payload, err := json.Marshal(o)
	if err != nil {
		p.die(err)
		return
	}
	p.w.put(Entry{Kind: Interrupted, Address: r.b.id, Payload: payload}, func() { p.tell(event{Interrupted, r.b.id, o}) })
}

// fire interrupts the threads in the body, once. A thread that waits for branches is left alone: they get it.
func (b *body) fire(e *value.Exception) {
	if b.fired {
		return
	}
	b.fired = true
	in := &interrupt{b: b, e: e}
	for _, t := range b.p.threads {
		if t.branches == 0 && slices.Contains(t.bodies, b) {
			t.interrupted(in)
		}
	}
}

func (t *Thread) interrupted(in *interrupt) {
	t.pending = append(t.pending, in)
	if t.eff != nil {
		t.eff.cancel(in.e)
		t.eff.stir()
	}
}

// takeInterrupt returns what interrupts the thread now, nil when nothing does. Of several the outermost is told: it leaves the inner bodies too.
func (t *Thread) takeInterrupt() *value.Exception {
	var out *interrupt
	for _, in := range t.pending {
		if out == nil || in.b.depth < out.b.depth {
			out = in
		}
	}
	t.pending = nil
	if out == nil {
		return nil
	}
	out.taken = true
	e := *out.e
	return &e
}

// Interrupted returns what interrupts the thread now, nil when nothing does. It is for whoever judges by the end of a body what
// follows: an interruption that came when the body's last effect was about to end well has not been seen by anybody.
func (t *Thread) Interrupted() error {
	if f := t.p.fatal.Load(); f != nil {
		return f
	}
	if e := t.takeInterrupt(); e != nil {
		return e
	}
	return nil
}

// Interruptible implements step.Thread.
func (t *Thread) Interruptible(run func(step.Interrupter) (value.Value, error)) (value.Value, error) {
	b := &body{p: t.p, id: t.place(".", "body"), depth: len(t.bodies) + 1}
	return t.within(b, func() (value.Value, error) { return run(b) })
}

func (t *Thread) within(b *body, run func() (value.Value, error)) (value.Value, error) {
	outer := t.bodies
	t.bodies = append(outer[:len(outer):len(outer)], b)
	t.p.bodies[b.id] = b
	defer func() {
		t.bodies = outer
		delete(t.p.bodies, b.id)
		t.pending = slices.DeleteFunc(t.pending, func(in *interrupt) bool { return in.b == b })
	}()
	return run()
}
