package fleet

import (
	"context"

	"github.com/outwork-build/outwork/internal/fault"
)

// Check says what is wrong with a node's settings without connecting to its machine, those that only its launcher
// understands included. fault.Invalid.
func (r *Roster) Check(n Node) error {
	n, err := r.checked(n)
	if err != nil {
		return fault.With(fault.Invalid, err)
	}
	if c, ok := r.cfg.Launchers[n.Launcher.Kind].(Checker); ok {
		return c.Check(n)
	}
	return nil
}

// Examine looks at the way to a node's machine hop by hop: tell hears each as it is passed, the last is the first that failed.
// fault.NotFound: there is no such node. fault.Conflict: the controller does not go to this machine, its agent dials.
func (r *Roster) Examine(ctx context.Context, name NodeName, tell func(Hop)) error {
	st, ok := r.Node(name)
	if !ok {
		return fault.New(fault.NotFound, "node %s: there is no such node", name)
	}
	kind := st.Node.Launcher.Kind
	e, ok := r.cfg.Launchers[kind].(Examiner)
	if !ok {
		return fault.New(fault.Conflict, "node %s: nothing can be examined from here with launcher %s", name, kind)
	}
	e.Examine(ctx, st.Node, tell)
	return ctx.Err()
}

// Launches reports whether the controller starts this node's agent; where it does not, the agent dials.
func (r *Roster) Launches(n Node) bool {
	w, ok := r.cfg.Launchers[n.Launcher.Kind].(Waiter)
	return !ok || !w.AgentsDial()
}

// FollowLog calls sink with a node's log from the byte at offset from on, and with what comes as it is written, until ctx ends
// or sink returns an error, which is returned. See Log for offsets. fault.NotFound: there is no such node, or it was removed;
// fault.Unavailable: the roster has stopped.
func (r *Roster) FollowLog(ctx context.Context, name NodeName, from int64, sink func(data []byte, next int64) error) error {
	v, ok := r.view(name)
	if !ok {
		return fault.New(fault.NotFound, "node %s: there is no such node", name)
	}
	grown, cancel := v.log.grown.Subscribe()
	defer cancel()
	for {
		data, next := v.log.read(from)
		from = next
		if len(data) > 0 {
			if err := sink(data, next); err != nil {
				return err
			}
		}
		if v.log.ended() {
			if _, ok := r.view(name); ok {
				return fault.New(fault.Unavailable, "node %s: its log has ended: the node was made anew, or the roster has stopped", name)
			}
			return fault.New(fault.NotFound, "node %s: it was removed", name)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
