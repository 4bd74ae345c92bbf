package interp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// forgetTime is how long Effect.Forget may take: what it did not release goes with its lease.
const forgetTime = 30 * time.Second

// maxPayload is the longest result of an effect, encoded: a journal need not keep longer entries.
const maxPayload = 16<<20 - 64<<10

// effect is one Thread.Do under way.
type effect struct {
	step.Effect
	t       *Thread
	address step.Address
	hash    string
	ctx     context.Context
	cancel  context.CancelCauseFunc
	resumed bool // it had started before the controller did
	// repeatable effects leave no mark on the world (a clock, a random number): their start is not journalled.
	repeatable bool
}

// Do implements step.Thread. What it returns is what the journal would give back on replay: an error that is no *value.Exception
// keeps its text and its fault.Kind, and nothing else.
func (t *Thread) Do(e step.Effect) (json.RawMessage, error) { return t.do(e, false) }

func (t *Thread) do(e step.Effect, repeatable bool) (json.RawMessage, error) {
	p := t.p
	t.evaluated = 0
	t.flush()
	if f := p.fatal.Load(); f != nil {
		return nil, f
	}
	eff := &effect{Effect: e, t: t, address: t.place(".", e.Key), hash: hash(e.Args), repeatable: repeatable}
	if ex := t.takeInterrupt(); ex != nil {
		return nil, ex
	}
	if past, ok := p.past.started[eff.address]; ok {
		if past.Name != e.Name || past.Hash != eff.hash {
			err := &Diverged{Address: eff.address, Journal: past.Name + " (" + past.Hash + ")", Program: e.Name + " (" + eff.hash + ")"}
			p.die(err)
			return nil, p.fatal.Load()
		}
		eff.resumed = true
	}
	p.effects[eff.address] = eff
	t.eff = eff
	eff.ctx, eff.cancel = context.WithCancelCause(step.WithWaiter(step.WithLast(p.effectCtx, p.effectCtx.Done()), eff))
	switch {
	case p.past.completed[eff.address]: // its turn comes
	case p.past.over:
		p.launch(eff)
	default:
		p.deferred = append(p.deferred, eff)
	}
	t.pause()
	return t.result, t.err
}

func hash(args any) string {
	data, err := json.Marshal(args)
	if err != nil {
		data = fmt.Appendf(nil, "%T", args)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// launch makes the start durable and then runs the effect. Its first run is left out when it was interrupted before that.
func (p *Program) launch(e *effect) {
	act := func() {
		if err := context.Cause(e.ctx); err != nil && !e.resumed {
			p.complete(e, nil, err)
			return
		}
		p.working.Add(1)
		go func() {
			defer p.working.Done()
			v, err := e.act()
			e.stir()
			p.complete(e, v, err)
		}()
	}
	if e.resumed || e.repeatable {
		act()
		return
	}
	p.w.put(Entry{Kind: Started, Address: e.address, Name: e.Name, Hash: e.hash}, act)
}

// act runs the effect; a panic in it is the farm's failure, not the controller's end.
func (e *effect) act() (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.t.p.log.Error("effect panicked", "effect", e.Name, "address", e.address, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: internal error: %v", e.Name, r)
		}
	}()
	return e.Run(e.ctx, e.address)
}

// complete journals how an effect ended. Nothing is when the program has been told to stop: the effect will be asked again.
func (p *Program) complete(e *effect, v any, err error) {
	if p.fatal.Load() != nil {
		return
	}
	o := outcomeOf(v, err)
	payload, merr := json.Marshal(o)
	if merr != nil {
		p.die(fmt.Errorf("effect %s at %s: %w", e.Name, e.address, merr))
		return
	}
	if len(payload) > maxPayload {
		o = outcome{Exception: value.Abort(fmt.Sprintf("%s: its result takes %d bytes: at most %d can be kept; write it to a file instead", e.Name, len(payload), maxPayload))}
		if payload, merr = json.Marshal(o); merr != nil {
			p.die(merr)
			return
		}
	}
	entry := Entry{Kind: Completed, Address: e.address, Payload: payload}
	if e.repeatable {
		entry.Name, entry.Hash = e.Name, e.hash
	}
	p.w.put(entry, func() {
		p.tell(event{Completed, e.address, o})
		if e.Forget != nil {
			p.working.Add(1)
			go func() {
				defer p.working.Done()
				ctx, cancel := context.WithTimeout(p.effectCtx, forgetTime)
				defer cancel()
				e.Forget(ctx, e.address)
			}()
		}
	})
}

// apply tells the program of one event. Every thread is blocked.
func (p *Program) apply(ev event) {
	switch ev.kind {
	case Interrupted:
		if b := p.bodies[ev.address]; b != nil {
			b.fire(ev.outcome.Exception)
		}
	case Killed:
		p.die(&killed{e: ev.outcome.Exception, replayed: true})
	case Completed:
		e := p.effects[ev.address]
		if e == nil {
			p.die(&Diverged{Address: ev.address, Journal: "a completed effect", Program: "none"})
			return
		}
		raw, err := ev.outcome.result()
		if err != nil {
			if ex := e.t.takeInterrupt(); ex != nil {
				err = ex
			}
		}
		e.t.settle(raw, err)
	}
}
