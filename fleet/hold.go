package fleet

import (
	"context"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// CauseTools is the kind of an OfflineCause of a node whose tools are not what they should be.
const CauseTools = "tools"

// Hold keeps a connected node from taking work for a cause, or lets it go again with a nil one. What runs on it runs on. It means one
// session, as Status counts them: a session that has ended is held no more, and Config.Hold is asked about the next. It
// reports whether the session was still there.
func (r *Roster) Hold(ctx context.Context, name NodeName, session uint64, cause *OfflineCause) (there bool, err error) {
	err = r.do(ctx, func() {
		e := r.nodes[name]
		if e == nil || e.conn == nil || e.session != session {
			return
		}
		if there = true; cause == nil && e.held == nil {
			return
		}
		e.held = cause
		if cause != nil {
			e.log.printf("No work is given to it: %s", cause.Text)
		}
		r.settle(e)
	})
	return there, err
}

// Warn tells what is wrong with a node that takes work all the same: in its log and its history. fault.NotFound.
func (r *Roster) Warn(ctx context.Context, name NodeName, cause OfflineCause) (err error) {
	return r.tellOf(ctx, name, func(e *entry) {
		e.log.printf("Warning: %s", cause.Text)
		r.history.add(Record{Node: name, At: time.Now().UTC(), State: e.state, Cause: &cause})
	})
}

// Note writes a line into a node's log. fault.NotFound.
func (r *Roster) Note(ctx context.Context, name NodeName, text string) error {
	return r.tellOf(ctx, name, func(e *entry) { e.log.printf("%s", text) })
}

func (r *Roster) tellOf(ctx context.Context, name NodeName, f func(*entry)) error {
	known := false
	err := r.do(ctx, func() {
		if e := r.nodes[name]; e != nil {
			known = true
			f(e)
		}
	})
	if err == nil && !known {
		err = fault.New(fault.NotFound, "node %s: there is no such node", name)
	}
	return err
}
