package interp

import (
	"context"
	"fmt"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Steps, 500_000_000)
	set(&l.Bytes, 8<<30)
	if l.Depth == 0 {
		l.Depth = 1000
	}
	if l.Collection == 0 {
		l.Collection = 2_000_000
	}
	if l.String == 0 {
		l.String = 64 << 20
	}
	return l
}

// budget is what the program has used. It belongs to the baton's holder.
type budget struct{ steps, bytes int64 }

// breath is how many nodes a thread evaluates between two effects before it lets others have a turn.
const breath = 1_000_000

// tick counts one evaluated node. Code that computes for long without any effect makes one of its own now and then: there an
// abort or a timeout reaches it. The count is the same on replay, and so is the place.
func (t *Thread) tick() error {
	p := t.p
	p.used.steps++
	if t.evaluated++; t.evaluated >= breath {
		if _, err := t.do(step.Effect{Name: "breath", Key: "breath", Run: func(ctx context.Context, _ step.Address) (any, error) {
			return nil, context.Cause(ctx)
		}}, true); err != nil {
			return err
		}
	}
	if p.used.steps&0xff != 0 {
		return nil
	}
	if p.used.steps > p.lim.Steps {
		p.die(&LimitError{What: "evaluation steps", Max: p.lim.Steps, At: t.where()})
	}
	if f := p.fatal.Load(); f != nil {
		return f
	}
	return nil
}

// spend counts memory that a value takes; the largest part of it was or will be made by the caller.
func (t *Thread) spend(bytes int) error {
	p := t.p
	p.used.bytes += int64(bytes)
	if p.used.bytes > p.lim.Bytes {
		p.die(&LimitError{What: "bytes of memory", Max: p.lim.Bytes, At: t.where()})
		return p.fatal.Load()
	}
	return nil
}

// room refuses a collection of n elements when it is too large.
func (t *Thread) room(n int) error {
	if n > t.p.lim.Collection {
		t.p.die(&LimitError{What: "elements in one collection", Max: int64(t.p.lim.Collection), At: t.where()})
		return t.p.fatal.Load()
	}
	return t.spend(n * 16)
}

// text refuses a string that is too long.
func (t *Thread) roomText(n int) error {
	if n > t.p.lim.String {
		t.p.die(&LimitError{What: "bytes in one string", Max: int64(t.p.lim.String), At: t.where()})
		return t.p.fatal.Load()
	}
	return t.spend(n)
}

// newText checks the length of a string that was made.
func (t *Thread) newText(s string) (value.Value, error) {
	if err := t.roomText(len(s)); err != nil {
		return nil, err
	}
	return s, nil
}

// enter counts a call within calls.
func (t *Thread) enter() error {
	if t.depth >= t.p.lim.Depth {
		return t.throw("java.lang.StackOverflowError", fmt.Sprintf("calls are nested deeper than %d", t.p.lim.Depth))
	}
	t.depth++
	return nil
}

// where is the place being evaluated: "WorkflowScript:12".
func (t *Thread) where() string { return fmt.Sprintf("%s:%d", t.file, t.at.Line) }

// throw makes an exception of a Java class at the place being evaluated.
func (t *Thread) throw(class, message string) *value.Exception {
	return &value.Exception{Class: class, Message: message, Trace: []string{t.where()}}
}

func (t *Thread) throwf(class, format string, args ...any) *value.Exception {
	return t.throw(class, fmt.Sprintf(format, args...))
}
