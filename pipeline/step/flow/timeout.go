package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Timeout is `timeout(time: 5, unit: 'MINUTES') { … }`. Its deadline is kept: a restart does not grant more time. With activity the
// time counts from the last output of the body; while no controller runs there is none to hear of, so a restart counts as one.
type Timeout struct{}

// Spec implements step.Step.
func (Timeout) Spec() step.Spec {
	return step.Spec{Name: "timeout", Sole: "time", Block: true, Option: true, Doc: "end the body when it takes too long",
		Params: []step.Param{{Name: "time", Type: step.Int, Required: true}, unitParam("MINUTES"), {Name: "activity", Type: step.Boolean, Default: false}}}
}

func unitParam(def string) step.Param {
	return step.Param{Name: "unit", Type: step.Str, Default: def,
		Enum: []string{"NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"}}
}

// Run implements step.Step.
func (Timeout) Run(t step.Thread, c *step.Call) (value.Value, error) {
	d, err := duration(c.Int("time"), c.String("unit"))
	if err != nil {
		return nil, err
	}
	timer := &alarm{run: t.Run(), address: t.Address(), stage: t.Scope().StageID, stamps: t.Scope().Timestamps}
	if c.Bool("activity") {
		timer.quiet = d
		t.Print("Timeout set to expire after " + Span(d) + " without activity")
	} else {
		if timer.end, err = deadline(t, d, "deadline"); err != nil {
			return nil, err
		}
		t.Print("Timeout set to expire in " + Span(d))
	}
	v, err := t.Interruptible(func(in step.Interrupter) (value.Value, error) {
		defer timer.start(in)()
		return block(t, c, "", nil)
	})
	if e := timer.caused(err); e != nil {
		timer.announce()
		e.Tags = append(e.Tags, value.Spent)
	}
	return v, err
}

// deadline journals, under a key of the call, when something that takes d from now is over.
func deadline(t step.Thread, d time.Duration, key string) (time.Time, error) {
	run := t.Run()
	got, err := t.Do(step.Effect{Name: "deadline", Key: key, Args: d.String(), Run: func(context.Context, step.Address) (any, error) {
		return run.Now().Add(d), nil
	}})
	if err != nil {
		return time.Time{}, err
	}
	var end time.Time
	if err := json.Unmarshal(got, &end); err != nil {
		return time.Time{}, fmt.Errorf("read the journal's deadline: %w", err)
	}
	return end, nil
}

// alarm interrupts a body at its deadline, or when it has been quiet for long.
type alarm struct {
	end     time.Time
	quiet   time.Duration // 0: end is the deadline
	run     step.Run
	address step.Address
	stage   string
	stamps  bool
}

// start arms the alarm; the returned function disarms it. A deadline that is over already fires at once: the run was resumed.
// It says nothing then before the body has ended, because the body may have ended in time, before the restart.
func (a *alarm) start(in step.Interrupter) (stop func()) {
	if a.quiet > 0 {
		return a.listen(in)
	}
	left := a.end.Sub(a.run.Now())
	timer := time.AfterFunc(max(left, 0), func() {
		if left > 0 {
			a.announce()
		}
		in.Interrupt(a.exception())
	})
	forget := step.Due(a.run, a.end)
	return func() { timer.Stop(); forget() }
}

// listen arms an alarm that every output of the body puts off.
func (a *alarm) listen(in step.Interrupter) (stop func()) {
	timer := time.AfterFunc(a.quiet, func() {
		a.announce()
		in.Interrupt(a.exception())
	})
	l, ok := a.run.(step.Listener)
	if !ok {
		return func() { timer.Stop() }
	}
	var mu sync.Mutex
	over := false
	deaf := l.Listen(a.address, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over && timer.Stop() { // one that has fired stays so
			timer.Reset(a.quiet)
		}
	})
	return func() {
		mu.Lock()
		over = true
		timer.Stop()
		mu.Unlock()
		deaf()
	}
}

// announce prints its line once in the life of the run.
func (a *alarm) announce() {
	out := step.Stamped(a.run.Output(a.address+"/timeout", a.stage), a.stamps)
	_, _ = out.WriteAt([]byte("Cancelling nested steps due to timeout\n"), 0)
}

// exception carries the address in its trace, so that nested timeouts know their own.
func (a *alarm) exception() *value.Exception {
	return &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Timeout has been exceeded"}, Trace: []string{"timeout at " + string(a.address)}}
}

// caused returns the alarm's own exception; nil when err is another.
func (a *alarm) caused(err error) *value.Exception {
	var e *value.Exception
	if errors.As(err, &e) && e.Interrupts() && len(e.Trace) > 0 && e.Trace[0] == "timeout at "+string(a.address) {
		return e
	}
	return nil
}
