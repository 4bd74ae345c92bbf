package flow

import (
	"context"
	"strconv"
	"time"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Sleep is `sleep 10` and `sleep(time: 2, unit: 'MINUTES')`. Its end is kept: what passed while the controller was down counts.
type Sleep struct{}

// Spec implements step.Step.
func (Sleep) Spec() step.Spec {
	return step.Spec{Name: "sleep", Sole: "time", Doc: "wait for a time",
		Params: []step.Param{{Name: "time", Type: step.Int, Required: true}, unitParam("SECONDS")}}
}

// Run implements step.Step.
func (Sleep) Run(t step.Thread, c *step.Call) (value.Value, error) {
	d, err := duration(c.Int("time"), c.String("unit"))
	if err != nil {
		return nil, err
	}
	t.Print("Sleeping for " + Span(d))
	return nil, rest(t, d, "")
}

// rest waits for d, measured from the first time it is called at this address and key.
func rest(t step.Thread, d time.Duration, key string) error {
	run := t.Run()
	end, err := deadline(t, d, "deadline"+key)
	if err != nil {
		return err
	}
	_, err = t.Do(step.Effect{Name: "sleep", Key: "sleep" + key, Args: d.String(), Run: func(ctx context.Context, _ step.Address) (any, error) {
		timer := time.NewTimer(end.Sub(run.Now()))
		defer timer.Stop()
		defer step.Wait(ctx, step.Wake{At: end})()
		select {
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}})
	return err
}

// WaitUntil is `waitUntil { condition }`: it asks again, at growing intervals, until the body's value is true.
type WaitUntil struct{}

// Spec implements step.Step.
func (WaitUntil) Spec() step.Spec {
	return step.Spec{Name: "waitUntil", Block: true, Doc: "run the body again until it returns true",
		Params: []step.Param{{Name: "initialRecurrencePeriod", Type: step.Int, Default: int64(250)}, {Name: "quiet", Type: step.Boolean, Default: false}}}
}

// Run implements step.Step.
func (WaitUntil) Run(t step.Thread, c *step.Call) (value.Value, error) {
	const longest = 15 * time.Second
	pause := min(max(time.Duration(c.Int("initialRecurrencePeriod"))*time.Millisecond, time.Millisecond), longest)
	for n := 1; ; n++ {
		v, err := block(t, c, "", nil)
		if err != nil {
			return nil, err
		}
		done, ok := v.(bool)
		if !ok {
			text, _ := value.Text(v)
			return nil, &value.Exception{Class: "java.lang.ClassCastException", Message: "body return value " + text + " is not boolean"}
		}
		if done {
			return nil, nil
		}
		if !c.Bool("quiet") {
			t.Print("Will try again after " + Span(pause))
		}
		if err := rest(t, pause, strconv.Itoa(n)); err != nil {
			return nil, err
		}
		pause = min(pause*12/10, longest)
	}
}
