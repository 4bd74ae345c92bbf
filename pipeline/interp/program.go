package interp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Program is one run of a script.
//
// The goroutine of Run is its scheduler. It hands the baton to one ready thread after another, in the order they became ready.
// When none is, it applies the next event: of the replayed journal first, then of the live one.
type Program struct {
	c    Config
	lim  Limits
	log  *slog.Logger
	run  step.Run
	used budget

	// What follows belongs to the holder of the baton, or to the scheduler while nobody has it.
	cur      *Thread
	ready    []*Thread
	threads  []*Thread // that have not ended, in order of their start
	yield    chan struct{}
	effects  map[step.Address]*effect // under way
	deferred []*effect                // to be started when the replay is over
	bodies   map[step.Address]*body   // interruptible bodies that have not returned
	root     *body
	past     replay
	script   *script
	vars     *value.Map // the binding
	patterns map[string]*value.Regex
	classes  map[string]*class

	effectCtx context.Context
	endEffect context.CancelCauseFunc
	working   sync.WaitGroup
	w         *writer
	fatal     atomic.Pointer[fatalError]

	mu       sync.Mutex
	events   []event   // durable, to be applied in this order
	requests []request // interruptions asked for
	aborts   int
	rest     rest
	bell     chan struct{} // one token: events or requests have something
}

// fatalError ends every thread; no script can catch it.
type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

// cause is what the effects under way are told: an exception when the run is over and what they started must end, ErrStopped
// when it will be resumed.
func (f *fatalError) cause() error {
	var k *killed
	var l *LimitError
	var d *Diverged
	switch {
	case errors.As(f.err, &k):
		return k.e
	case errors.As(f.err, &l), errors.As(f.err, &d):
		return &value.Exception{Class: value.FlowInterrupted, Result: "FAILURE", Message: f.err.Error(), Causes: []string{f.err.Error()}}
	}
	return ErrStopped
}

// New checks the configuration. Nothing runs before Run.
func New(c Config) (*Program, error) {
	switch {
	case c.File == nil:
		return nil, fault.New(fault.Invalid, "program: no script")
	case c.Run == nil:
		return nil, fault.New(fault.Invalid, "program: no run behind it")
	}
	p := &Program{c: c, lim: c.Limits.withDefaults(), log: c.Log, run: c.Run, yield: make(chan struct{}), bell: make(chan struct{}, 1),
		effects: map[step.Address]*effect{}, bodies: map[step.Address]*body{}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.past, err = newReplay(c.Replay); err != nil {
		return nil, err
	}
	p.root = &body{p: p, id: "abort"}
	if p.past.interrupted(p.root.id) {
		p.aborts = 1
	}
	p.bodies[p.root.id] = p.root
	return p, nil
}

// Run evaluates the program to its end. The error is nil; the *value.Exception that nobody caught; ErrStopped when ctx ended
// first (nothing was journalled after that, and the program can be resumed); a *Diverged when the journal does not fit the
// program; a *LimitError; or the farm's own failure. It returns when every goroutine it started has ended.
func (p *Program) Run(ctx context.Context) error {
	p.effectCtx, p.endEffect = context.WithCancelCause(context.WithoutCancel(ctx))
	defer p.endEffect(ErrStopped)
	stop := context.AfterFunc(ctx, func() { p.die(ErrStopped) })
	defer stop()
	p.w = newWriter(p, p.past.last)
	writerDone := make(chan struct{})
	go func() { defer close(writerDone); p.w.loop(context.WithoutCancel(ctx)) }()

	first := p.spawn(nil, "", nil)
	var result error
	first.begin(func() error { result = p.main(first); return result })
	p.schedule()
	if f := p.fatal.Load(); f != nil {
		result = f.err
	} else if addr, left := p.past.leftover(); left {
		result = &Diverged{Address: addr, Journal: "a completed effect", Program: "ended before it"}
	}
	p.w.close()
	<-writerDone
	p.working.Wait()
	if p.w.err != nil && !isEnd(result) {
		result = p.w.err
	}
	if ex, ok := result.(*value.Exception); ok {
		result = plain(ex)
	}
	return p.recordKill(context.WithoutCancel(ctx), result)
}

// isEnd reports an error that is the program's own end, which a journal that failed meanwhile must hide.
func isEnd(err error) bool { return errors.Is(err, ErrStopped) }

// recordKill journals that the program was ended at once, so that a resumed one ends there too.
func (p *Program) recordKill(ctx context.Context, result error) error {
	var k *killed
	if !errors.As(result, &k) {
		return result
	}
	if !k.replayed && p.w.err == nil && p.c.Journal != nil {
		payload, _ := json.Marshal(outcome{Exception: k.e})
		if err := p.c.Journal.Append(ctx, []Entry{{Seq: p.w.seq + 1, Kind: Killed, Payload: payload}}); err != nil {
			return err
		}
	}
	return k.e
}

// killed is the end of a program that was aborted twice.
type killed struct {
	e        *value.Exception
	replayed bool
}

func (k *killed) Error() string { return k.e.Error() }

func (p *Program) main(t *Thread) error {
	s, err := p.newScript(p.c.File)
	if err != nil {
		return err
	}
	p.script = s
	script := func() (value.Value, error) { return t.runScript(s) }
	if p.c.Around != nil {
		return p.c.Around(t, script)
	}
	_, err = script()
	return err
}

// die ends the program: the first cause stays. From any goroutine.
func (p *Program) die(err error) {
	if p.fatal.CompareAndSwap(nil, &fatalError{err}) {
		p.mu.Lock()
		changed := p.stirred()
		p.mu.Unlock()
		p.ring()
		p.changed(changed)
	}
}

func (p *Program) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Abort interrupts all that runs, once; finally and post blocks run afterwards. A second call, or one after an abort in the journal, ends the program at once, with
// e as Run's error. From any goroutine, before Run too.
func (p *Program) Abort(e *value.Exception) {
	p.mu.Lock()
	p.aborts++
	second := p.aborts > 1
	p.mu.Unlock()
	if second {
		p.die(&killed{e: e})
		return
	}
	p.root.Interrupt(e)
}

// Current is the thread that holds the baton: for the code of Objects, which have no thread of their own.
func (p *Program) Current() *Thread { return p.cur }

// schedule runs until every thread has ended.
func (p *Program) schedule() {
	for len(p.threads) > 0 {
		if f := p.fatal.Load(); f != nil {
			p.unwind(f)
		}
		if len(p.ready) > 0 {
			t := p.ready[0]
			p.ready = p.ready[1:]
			p.give(t)
			continue
		}
		if p.fatal.Load() == nil {
			p.next()
		}
	}
}

func (p *Program) give(t *Thread) {
	p.cur = t
	t.wake <- struct{}{}
	<-p.yield
	p.cur = nil
}

// unwind makes every thread that waits for an effect ready, with the end of the program as the effect's error.
func (p *Program) unwind(f *fatalError) {
	p.endEffect(f.cause())
	for _, t := range p.threads {
		if t.eff != nil {
			t.settle(nil, f)
		}
	}
}

// next applies one event, and waits for it when there is none. Threads are all blocked.
func (p *Program) next() {
	if e, ok := p.past.next(); ok {
		p.apply(e)
		return
	}
	if !p.past.over {
		p.past.over = true
		p.goLive()
		return
	}
	p.mu.Lock()
	requests := p.requests
	p.requests = nil
	var e event
	have := len(p.events) > 0
	if have {
		e = p.events[0]
		p.events = p.events[1:]
	}
	p.mu.Unlock()
	for _, r := range requests {
		p.ask(r)
	}
	switch {
	case have:
		p.apply(e)
	case len(requests) == 0:
		p.lull()
		<-p.bell
	}
}

// goLive starts what the replayed journal left without an end.
func (p *Program) goLive() {
	for _, e := range p.deferred {
		p.launch(e)
	}
	p.deferred = nil
}
