package tools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	reach    = 10 * time.Second // that a connected node's machine may take to be had
	tryAgain = time.Minute      // after a sync that failed
)

func connected(st fleet.Status) bool {
	return st.State == fleet.Online || st.State == fleet.Suspended || st.State == fleet.Draining
}

// pass begins the syncs that are due, and returns when one that failed is tried again; zero is never.
func (s *Service) pass(ctx context.Context, syncs *sync.WaitGroup) (again time.Time) {
	s.mu.Lock()
	idle := len(s.entries) == 0 && len(s.known) == 0
	s.mu.Unlock()
	if idle {
		return again
	}
	present := map[fleet.NodeName]bool{}
	for _, st := range s.nodes.Snapshot() {
		present[st.Node.Name] = true
		due, at := s.due(ctx, st)
		if !at.IsZero() && (again.IsZero() || at.Before(again)) {
			again = at
		}
		if due {
			syncs.Go(func() { _, _ = s.sync(ctx, st.Node.Name) })
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, k := range s.known {
		if !present[name] && k.busy == nil {
			delete(s.known, name)
		}
	}
	return again
}

// due reports whether a node is to be synced now, or when a try that failed is repeated.
func (s *Service) due(ctx context.Context, st fleet.Status) (due bool, again time.Time) {
	c, err := s.want(st)
	if c == nil && err == nil && connected(st) && st.Cause != nil && st.Cause.Kind == fleet.CauseTools {
		s.hold(ctx, st.Node.Name, st.Session, nil) // it gets none any more
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(st.Node.Name)
	same := k.session == st.Session && k.made.Equal(st.Node.Created)
	tried := same && k.state.State == Failed
	switch {
	case k.busy != nil || k.queued:
	case c == nil && err == nil:
		k.state = State{}
	case !connected(st) || errors.Is(err, errNotYet):
		if k.state.State == None {
			k.state.State = Waiting
		}
	case err != nil && tried && k.state.Error == err.Error():
	case err == nil && same && k.want == c.root && k.state.State == Synced:
	case err == nil && tried && k.want == c.root && s.cfg.Now().Before(k.again):
		return false, k.again
	default:
		k.queued = true
		return true, time.Time{}
	}
	return false, time.Time{}
}

// Result is what came of one node's sync.
type Result struct {
	Node  fleet.NodeName
	State State
}

// Sync looks at the folders and makes the tools of nodes like them, whether or not they seem to be: what was changed on a node is put
// right. Of a node that cannot be synced the State says why.
func (s *Service) Sync(ctx context.Context, names []fleet.NodeName) ([]Result, error) {
	if err := s.Rescan(ctx); err != nil {
		return nil, err
	}
	results := make([]Result, len(names))
	var all sync.WaitGroup
	for i, n := range names {
		all.Go(func() {
			state, err := s.sync(ctx, n)
			if err != nil {
				state.State, state.Error = Failed, err.Error()
			}
			results[i] = Result{n, state}
		})
	}
	all.Wait()
	s.wake()
	return results, ctx.Err()
}

// sync makes one node's tools what they should be. Of two for one node the second waits for the first.
func (s *Service) sync(ctx context.Context, name fleet.NodeName) (State, error) {
	k, before, err := s.begin(ctx, name)
	if err != nil {
		return State{}, err
	}
	st, found := s.nodes.Node(name)
	if !found {
		return s.end(k, State{}), fault.New(fault.NotFound, "there is no node %q", name)
	}
	if !connected(st) {
		return s.end(k, before), fault.New(fault.Unavailable, "node %s is not connected: its tools are synced when it is", name)
	}
	c, err := s.want(st)
	if c == nil && err == nil {
		return s.end(k, State{}), nil
	}
	state, session, begun := State{State: Synced}, st.Session, time.Now()
	if err == nil {
		state.Root, state.Files, state.Bytes, state.Warnings = c.root, c.files, c.bytes, c.warnings
		var done agent.ToolsSynced
		done, session, err = s.call(ctx, name, agent.ToolsRequest{Root: c.root, Keep: c.keep})
		state.Path, state.Changed, state.Fetched, state.Moved = done.Path, done.Changed, done.Blobs, done.Bytes
	}
	if ctx.Err() != nil {
		return s.end(k, before), context.Cause(ctx)
	}
	state.Took = time.Since(begun)
	s.settle(ctx, st, session, k, &state, before, err)
	return s.end(k, state), nil
}

// begin waits until nobody else syncs the node, and for a slot.
func (s *Service) begin(ctx context.Context, name fleet.NodeName) (k *node, before State, err error) {
	for {
		s.mu.Lock()
		k, before = s.of(name), s.of(name).state
		busy := k.busy
		if busy == nil {
			k.busy, k.queued = make(chan struct{}), false
		}
		s.mu.Unlock()
		if busy == nil {
			select {
			case s.slots <- struct{}{}:
				return k, before, nil
			case <-ctx.Done():
				s.free(k)
				return nil, before, context.Cause(ctx)
			}
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, before, context.Cause(ctx)
		}
	}
}

func (s *Service) free(k *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(k.busy)
	k.busy = nil
}

// end shows what came of a sync.
func (s *Service) end(k *node, state State) State {
	<-s.slots
	s.mu.Lock()
	k.state = state
	s.mu.Unlock()
	s.free(k)
	s.changed.Notify()
	s.wake()
	return state
}

// call has the node's agent sync.
func (s *Service) call(ctx context.Context, name fleet.NodeName, r agent.ToolsRequest) (agent.ToolsSynced, uint64, error) {
	s.show(name)
	wait, cancel := context.WithTimeout(ctx, reach)
	m, session, err := s.nodes.WaitMachine(wait, name)
	cancel()
	if err != nil {
		return agent.ToolsSynced{}, session, err
	}
	keeper, ok := m.(agent.Toolkeeper)
	if !ok {
		return agent.ToolsSynced{}, session, fault.New(fault.Incompatible, "this machine keeps no tools")
	}
	done, err := keeper.SyncTools(ctx, r)
	if fault.Is(err, fault.Incompatible) {
		err = fault.New(fault.Incompatible, "its agent is too old to keep tools: update it: %w", err)
	}
	return done, session, err
}

// show says that a node is being synced.
func (s *Service) show(name fleet.NodeName) {
	s.mu.Lock()
	s.of(name).state.State = Syncing
	s.mu.Unlock()
	s.changed.Notify()
}

// settle draws the consequences of a sync, of which err says why it failed.
func (s *Service) settle(ctx context.Context, st fleet.Status, session uint64, k *node, state *State, before State, err error) {
	name := st.Node.Name
	s.mu.Lock()
	required := s.required(st)
	k.session, k.made, k.want = session, st.Node.Created, state.Root
	if err != nil {
		state.State, state.Error, state.At = Failed, err.Error(), before.At
		k.again = s.cfg.Now().Add(tryAgain)
	} else {
		state.At = s.cfg.Now().UTC()
	}
	s.mu.Unlock()
	s.metrics.count(*state)
	switch {
	case err != nil && required:
		s.hold(ctx, name, session, cause("Its tools could not be synced: "+state.Error, s.cfg.Now()))
	case err != nil && state.Error != before.Error:
		s.tell(s.nodes.Warn(ctx, name, *cause("The tools could not be synced: "+state.Error, s.cfg.Now())))
	case err == nil:
		s.hold(ctx, name, session, nil)
		if state.Changed {
			s.tell(s.nodes.Note(ctx, name, fmt.Sprintf("Tools synced to %s: %d files, %d of them fetched (%d bytes), in %v",
				state.Path, state.Files, state.Fetched, state.Moved, state.Took.Round(time.Millisecond))))
		}
	}
	if err == nil && len(state.Warnings) > 0 && !slices.Equal(state.Warnings, before.Warnings) {
		s.tell(s.nodes.Warn(ctx, name, *cause("Not all of the tools could be synced: "+strings.Join(state.Warnings, "; "), s.cfg.Now())))
	}
}

func (s *Service) hold(ctx context.Context, name fleet.NodeName, session uint64, cause *fleet.OfflineCause) {
	_, err := s.nodes.Hold(ctx, name, session, cause)
	s.tell(err)
}

func (s *Service) tell(err error) {
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Canceled) {
		s.cfg.Log.Warn("the roster could not be told of a node's tools", "error", err)
	}
}
