package interp

import (
	"sync"

	"github.com/outwork-build/outwork/pipeline/step"
)

// Rest says how much a program does.
type Rest struct {
	// Settled is that it has nothing to evaluate, or had not at some time: what it does goes on elsewhere, in effects under way.
	Settled bool
	// Quiet is that all its effects only wait. It is so until something ends one of the waits, or interrupts the program.
	Quiet   bool
	Threads int // of a quiet program, that have not ended
}

// rest is what a program knows of its effects' waits. Program.mu guards it.
type rest struct {
	Rest
	waits map[*effect]step.Wake // of the effects that only wait
}

// Rest says how much the program does. From any goroutine.
func (p *Program) Rest() Rest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rest.Rest
}

// Waits are what would call a quiet program back; ok says that it is quiet. Who then ends Run's context and runs the program again at
// the first call loses nothing: whatever the program does in between does not belong to its past, unless the journal has it.
func (p *Program) Waits() (wakes []step.Wake, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.rest.Quiet {
		return nil, false
	}
	for _, w := range p.rest.waits {
		wakes = append(wakes, w)
	}
	return wakes, true
}

// Wait implements step.Waiter.
func (e *effect) Wait(w step.Wake) (over func()) {
	p := e.t.p
	p.mu.Lock()
	if e.ctx.Err() == nil { // an effect that is told to end will, at once
		if p.rest.waits == nil {
			p.rest.waits = map[*effect]step.Wake{}
		}
		p.rest.waits[e] = w
	}
	p.mu.Unlock()
	p.ring() // the scheduler sees whether all do
	return sync.OnceFunc(e.stir)
}

// stir ends the effect's wait, if it waits.
func (e *effect) stir() {
	p := e.t.p
	p.mu.Lock()
	delete(p.rest.waits, e)
	changed := p.stirred()
	p.mu.Unlock()
	p.changed(changed)
}

// stirred ends the quiet, and reports whether there was any. The caller holds mu.
func (p *Program) stirred() bool {
	was := p.rest.Quiet
	p.rest.Quiet = false
	return was
}

// lull sees, before the scheduler sleeps, how much the program does. Entries of the journal on their way are work.
func (p *Program) lull() {
	if p.w.pending.Load() > 0 {
		return
	}
	p.mu.Lock()
	now := Rest{Settled: true, Threads: len(p.threads)}
	now.Quiet = len(p.effects) > 0 && len(p.rest.waits) == len(p.effects) && len(p.events) == 0 && len(p.requests) == 0
	changed := now.Settled != p.rest.Settled || now.Quiet != p.rest.Quiet
	p.rest.Rest = now
	p.mu.Unlock()
	p.changed(changed)
}

func (p *Program) changed(yes bool) {
	if yes && p.c.Changed != nil {
		p.c.Changed(p)
	}
}
