package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
	"github.com/outwork-build/outwork/internal/fault"
)

const maxPiece = 64 << 10

// gather is the least time between two looks at a growing spool: a step that prints in a loop must not wake its followers
// for every line.
const gather = 2 * time.Millisecond

var pieces = sync.Pool{New: func() any { b := make([]byte, maxPiece); return &b }}

// Follow hands out a step's output from offset on until its end.
func (h *Host) Follow(ctx context.Context, id agent.Lease, s agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	l, err := h.find(id)
	if err != nil {
		return agent.Exit{}, err
	}
	if h.followers.Add(1) > int64(h.cfg.MaxFollowers) {
		h.followers.Add(-1)
		return agent.Exit{}, fault.New(fault.Exhausted, "the machine has %d followers, its limit", h.cfg.MaxFollowers)
	}
	defer h.followers.Add(-1)
	f, err := l.reader(s, offset)
	if err != nil {
		return agent.Exit{}, err
	}
	defer f.close()
	return f.run(ctx, sink)
}

// reader opens a step's files: they can be read to their end even after the lease is closed.
func (l *lease) reader(s agent.StepID, offset int64) (*follower, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st, err := l.step(s)
	if err == nil && l.buried {
		err = fault.New(fault.NotFound, "lease %q epoch %d is closed", l.id.Item, l.id.Epoch)
	}
	if err != nil {
		return nil, err
	}
	if err := l.read(st.slot); err != nil {
		return nil, err
	}
	f := &follower{l: l, st: st, slot: st.slot, file: st.slot.file, at: offset}
	if st.Capture {
		f.stdout, err = shim.OpenShared(l.stdout(st), false)
	}
	if err == nil {
		err = f.checkOffset()
	}
	if err != nil {
		f.closeLocked()
		return nil, err
	}
	return f, nil
}

type follower struct {
	l      *lease
	st     *step
	slot   *slot
	file   *os.File // the slot's, which counts this reader
	at     int64
	stdout *os.File // with Capture
}

func (f *follower) close() {
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.closeLocked()
}

// closeLocked is close for those who hold the lease's mu.
func (f *follower) closeLocked() {
	f.l.unread(f.st, f.slot)
	if f.stdout != nil {
		_ = f.stdout.Close()
	}
}

// checkOffset refuses offsets that the output does not have. After a crash of the machine a spool may be shorter than what
// was read of it before: then the step is Lost, and what is missing is no fault of the caller.
func (f *follower) checkOffset() error {
	fi, err := f.file.Stat()
	if err != nil {
		return err
	}
	size := max(fi.Size()-shim.OutputStart, 0)
	if f.st.ended() {
		if f.st.exit.Lost {
			return nil
		}
		size = f.st.exit.Output
	}
	if f.at < 0 || f.at > size {
		return fault.New(fault.Invalid, "step %q: offset %d is outside of its output, which has %d bytes", f.st.Step, f.at, size)
	}
	return nil
}

func (f *follower) run(ctx context.Context, sink func(agent.Output) error) (agent.Exit, error) {
	for {
		limit := int64(math.MaxInt64)
		ended := f.st.ended()
		if ended {
			limit = f.st.exit.Output
		}
		if err := f.handOut(ctx, limit, sink); err != nil {
			return agent.Exit{}, err
		}
		if ended && f.at < limit && !f.st.exit.Lost {
			return agent.Exit{}, fmt.Errorf("step %q: its file ends at byte %d of %d of its output", f.st.Step, f.at, limit)
		}
		if ended {
			return f.exit()
		}
		if err := f.wait(ctx); err != nil {
			return agent.Exit{}, err
		}
	}
}

// handOut gives what is in the spool now, up to limit.
func (f *follower) handOut(ctx context.Context, limit int64, sink func(agent.Output) error) error {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	for f.at < limit {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := f.file.ReadAt((*buf)[:min(maxPiece, limit-f.at)], shim.OutputStart+f.at)
		if n > 0 {
			if err := sink(agent.Output{Offset: f.at, Data: (*buf)[:n]}); err != nil {
				return err
			}
			f.at += int64(n)
			continue
		}
		if err == nil || errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	return nil
}

// wait returns when the spool may be longer than what was handed out, or the step has ended.
func (f *follower) wait(ctx context.Context) error {
	stop := f.l.h.stop.Done()
	pause := time.NewTimer(gather)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-f.st.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-f.l.watch(f.st, f.at):
	case <-f.st.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-stop:
		return errStopped()
	}
	return nil
}

// watch returns a channel that is closed when a step's spool is longer than at.
func (l *lease) watch(st *step, at int64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st.grown == nil {
		st.grown = make(chan struct{})
	}
	grown := st.grown
	if l.link != nil && !st.ended() {
		_ = l.link.send(shim.Message{Kind: shim.KindWatch, Step: st.key, Size: at}) // a lost shim ends the step, a new connection wakes us
	}
	return grown
}

// exit returns the step's end; its captured stdout is read now.
func (f *follower) exit() (agent.Exit, error) {
	e := f.st.exit
	out := agent.Exit{Code: e.Code, Signal: e.Signal, Stopped: e.Stopped, Lost: e.Lost, Reason: e.Reason,
		Output: e.Output, Dropped: e.Dropped, Started: e.Started, Ended: e.Ended}
	if f.stdout == nil {
		return out, nil
	}
	out.Stdout = make([]byte, min(e.Stdout, maxCapture))
	n, err := f.stdout.ReadAt(out.Stdout, 0)
	if n < len(out.Stdout) && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrClosed) {
		return agent.Exit{}, err
	}
	out.Stdout = out.Stdout[:n]
	return out, nil
}
