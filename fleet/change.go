package fleet

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Put adds or changes a node, durably. Executors, labels, mode, environment and description change live; a change of
// launcher or remote root connects it anew, whoever had it disconnected, and one of the setup connects it anew to do it. Of a node that exists, Offline and Created stay as they are.
// fault.Invalid says which field is wrong.
func (r *Roster) Put(ctx context.Context, n Node) error {
	n, err := r.checked(n)
	if err != nil {
		return fault.With(fault.Invalid, err)
	}
	return r.edit(ctx, n.Name, func(old *Node) (Node, error) {
		n.Down, n.Used = nil, false
		if old != nil {
			n.Offline, n.Created, n.Used = old.Offline, old.Created, old.Used
			if !movedOn(*old, n) {
				n.Down = old.Down
			}
		}
		return n, nil
	}, func(e *entry, old Node) {
		e.pulse.limits.Store(&n.Monitors)
		e.pulse.probes.set(n.Probes)
		r.observe(e)
		r.retain(e)
		if e.away == nil && (movedOn(old, n) || !reflect.DeepEqual(old.Setup, n.Setup)) {
			r.relaunch(e)
		}
	})
}

// movedOn reports whether a node's agent is reached in another way now.
func movedOn(old, n Node) bool {
	return old.RemoteRoot != n.RemoteRoot || !reflect.DeepEqual(old.Launcher, n.Launcher)
}

// checked returns a copy of n that shares nothing with it, or says what is wrong with it.
func (r *Roster) checked(n Node) (Node, error) {
	if err := CheckName(n.Name); err != nil {
		return n, err
	}
	if n.Mode == "" {
		n.Mode = Normal
	}
	switch {
	case n.Mode != Normal && n.Mode != Exclusive:
		return n, fmt.Errorf("node %s: mode %q: expected normal or exclusive", n.Name, n.Mode)
	case n.Executors < 0 || n.Executors > maxExecutors:
		return n, fmt.Errorf("node %s: %d executors: expected 0 to %d", n.Name, n.Executors, maxExecutors)
	case slices.Contains(n.Labels, ""):
		return n, fmt.Errorf("node %s: a label is empty", n.Name)
	case r.cfg.Launchers[n.Launcher.Kind] == nil:
		kinds := slices.Sorted(maps.Keys(r.cfg.Launchers))
		return n, fmt.Errorf("node %s: launcher %q: expected one of %s", n.Name, n.Launcher.Kind, strings.Join(kinds, ", "))
	}
	if r.cfg.Monitors != nil {
		if err := r.cfg.Monitors.Check(n.Monitors); err != nil {
			return n, fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	if err := r.checkProbes(n.Probes); err != nil {
		return n, fmt.Errorf("node %s: %w", n.Name, err)
	}
	if r.cfg.Retention != nil {
		if _, err := r.cfg.Retention(n.Retention); err != nil {
			return n, fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	if n.Setup != nil && r.cfg.CheckSetup != nil {
		if err := r.cfg.CheckSetup(n.Setup); err != nil {
			return n, fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	if n.Created.IsZero() {
		n.Created = time.Now().UTC()
	}
	n.Labels = slices.Clone(n.Labels)
	n.Env = maps.Clone(n.Env)
	n.Launcher.Config = maps.Clone(n.Launcher.Config)
	n.Retention.Config = maps.Clone(n.Retention.Config)
	n.Monitors = maps.Clone(n.Monitors)
	n.Probes = maps.Clone(n.Probes)
	n.Tools = maps.Clone(n.Tools)
	if n.Setup != nil {
		n.Setup = new(*n.Setup)
	}
	return n, nil
}

const maxExecutors = 10_000

// Remove disconnects and forgets a node. fault.NotFound.
func (r *Roster) Remove(ctx context.Context, name NodeName) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	if err := r.cfg.Store.DeleteNode(ctx, name); err != nil {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	return r.do(context.WithoutCancel(ctx), func() {
		if e := r.nodes[name]; e != nil {
			r.drop(e)
		}
	})
}

// edit changes a node in the Store and then in the roster. One edit runs at a time, so that none is lost.
func (r *Roster) edit(ctx context.Context, name NodeName, change func(old *Node) (Node, error), then func(e *entry, old Node)) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	var old *Node
	err := r.do(ctx, func() {
		if e := r.nodes[name]; e != nil {
			n := e.node
			old = &n
		}
	})
	if err != nil {
		return err
	}
	n, err := change(old)
	if err != nil {
		return err
	}
	if err := r.cfg.Store.PutNode(ctx, n); err != nil {
		return fmt.Errorf("keep node %s: %w", name, err)
	}
	var failed error
	err = r.do(context.WithoutCancel(ctx), func() {
		e := r.nodes[name]
		if e == nil {
			failed = r.load(n, Record{})
			return
		}
		e.node = n
		then(e, *old)
		r.settle(e)
	})
	if err != nil {
		return err
	}
	return failed
}

func (r *Roster) lock(ctx context.Context) error {
	select {
	case r.editing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Roster) unlock() { <-r.editing }

// Idle tells that no lease is left on a draining node. It does not block.
func (r *Roster) Idle(name NodeName) {
	r.idleMu.Lock()
	defer r.idleMu.Unlock()
	r.idle = append(r.idle, name)
	select {
	case r.idled <- struct{}{}:
	default:
	}
}

// drained suspends the draining nodes that have become idle.
func (r *Roster) drained() {
	r.idleMu.Lock()
	names := r.idle
	r.idle = nil
	r.idleMu.Unlock()
	for _, name := range names {
		if e := r.nodes[name]; e != nil && e.draining {
			e.draining = false
			r.settle(e)
		}
	}
}
