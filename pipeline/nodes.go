package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

const (
	patience  = 15 * time.Second // before a waiting node block says why it waits
	openTime  = 20 * time.Second // for a granted machine to open its lease; then the item waits again
	closeTime = 10 * time.Second // for a machine to close its lease; then the roster's reconciling closes it
	retryTime = time.Second
	refusals  = 3 // in a row, until a machine that is there and does not open the lease is left; then too the item waits again
)

// nodes is the step.Nodes of a run.
type nodes struct {
	u *run

	mu    sync.Mutex
	open  map[queue.ItemID]queue.Grant // acquired and not released
	waits map[queue.ItemID]*waiting    // in the queue; at first what was there when the run was parked
}

// newNodes takes over what the run's last evaluation left in the queue.
func newNodes(u *run) *nodes {
	n := &nodes{u: u, open: map[queue.ItemID]queue.Grant{}, waits: u.kept}
	if n.waits == nil {
		n.waits = map[queue.ItemID]*waiting{}
	}
	u.kept = nil
	return n
}

// lostError is an exception that retry(conditions: [agent()]) knows, and queue.ErrLost too.
type lostError struct{ e *value.Exception }

func (l *lostError) Error() string   { return l.e.Error() }
func (l *lostError) Unwrap() []error { return []error{l.e, queue.ErrLost} }

func lost(node string) error {
	text := "Agent " + node + " was lost"
	return &lostError{&value.Exception{Class: value.FlowInterrupted, Message: text, Result: "ABORTED", Causes: []string{text}, Tags: []string{"agent"}}}
}

func (n *nodes) itemID(a step.Address) queue.ItemID {
	return queue.ItemID(n.u.id.String() + "/" + string(a))
}

func (n *nodes) item(id queue.ItemID, r step.Request) queue.Item {
	it := queue.Item{ID: id, Label: r.Label, Build: n.u.id, Title: title(n.u.id, r.Stage), Priority: n.u.job.Priority,
		Affinity: string(n.u.id.Job) + "/" + r.Label, Work: string(n.u.id.Job) + "/" + r.Label + "/" + r.Stage, Policy: r.Policy, Waiting: n.u.r.c.Now().UTC()}
	if it.Policy == "" {
		it.Policy = agent.Hold
	}
	return it
}

// title is what Jenkins calls the work of a node block.
func title(id build.ID, stage string) string {
	text := fmt.Sprintf("part of %s #%d", id.Job, id.Number)
	if stage != "" {
		text += " (" + stage + ")"
	}
	return text
}

// Acquire implements step.Nodes.
func (n *nodes) Acquire(ctx context.Context, a step.Address, r step.Request, waiting func(why string)) (*step.Node, error) {
	it := n.item(n.itemID(a), r)
	for {
		g, err := n.grant(ctx, it, waiting)
		if err != nil {
			return nil, err
		}
		ws, err := n.openLease(ctx, g, r, it.Policy)
		switch {
		case err == nil:
			n.keep(g)
			return n.Attach(g, ws), nil
		case ctx.Err() != nil:
			return nil, n.giveUp(ctx, g)
		case errors.Is(err, queue.ErrLost):
			return nil, err
		case !fault.Is(err, fault.Unavailable):
			_ = n.releaseGrant(context.WithoutCancel(ctx), g)
			return nil, fmt.Errorf("open the workspace on %s: %w", g.Node, err)
		}
		n.u.log.Warn("a granted node could not open its lease; the item waits again", "node", string(g.Node), "err", err)
		// fault.Conflict says that the machine did open it, and only its answer was lost: then it is asked again. After any
		// error the queue is asked anew what the item has.
		if _, err := n.u.r.c.Queue.Return(ctx, g); err != nil {
			n.u.log.Info("the grant was not given back", "item", string(g.Item), "err", err)
			pause(ctx, retryTime)
		}
	}
}

// grant submits the item, which is idempotent, and waits for its executor. A queue that cannot be reached is asked again.
func (n *nodes) grant(ctx context.Context, it queue.Item, waiting func(string)) (queue.Grant, error) {
	for {
		w, err := n.submit(ctx, it)
		var g queue.Grant
		if err == nil {
			g, err = n.wait(ctx, w, it.ID, waiting)
		}
		switch {
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			if w == nil && isException(context.Cause(ctx)) {
				n.drop(context.WithoutCancel(ctx), it)
			}
			return g, context.Cause(ctx)
		case errors.Is(err, queue.ErrLost):
			return g, lost("of this node block")
		case fault.Is(err, fault.Invalid):
			return g, value.Abort(err.Error())
		case !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Canceled):
			return g, fmt.Errorf("queue: %w", err)
		}
		pause(ctx, retryTime)
	}
}

// submit puts an item into the queue, or finds it where it waits since before its run was parked.
func (n *nodes) submit(ctx context.Context, it queue.Item) (*waiting, error) {
	n.mu.Lock()
	w := n.waits[it.ID]
	n.mu.Unlock()
	if w != nil {
		return w, nil
	}
	t, err := n.u.r.c.Queue.Submit(ctx, it)
	if err != nil {
		return nil, err
	}
	w = &waiting{ticket: t, since: time.Now()}
	n.mu.Lock()
	n.waits[it.ID] = w
	n.mu.Unlock()
	return w, nil
}

// giveUp ends an acquisition whose context ended after the grant: an abort gives the executor back, a stop keeps it.
func (n *nodes) giveUp(ctx context.Context, g queue.Grant) error {
	cause := context.Cause(ctx)
	if isException(cause) {
		_ = n.releaseGrant(context.WithoutCancel(ctx), g)
	}
	return cause
}

// wait waits for the grant and says once why, when it takes long. What waits when the run leaves memory is kept.
func (n *nodes) wait(ctx context.Context, w *waiting, id queue.ItemID, say func(string)) (queue.Grant, error) {
	u, over := n.u, func() {}
	if !w.ticket.Ready() { // what does not wait must not leave
		why := &question{u: u, w: w, item: id, say: say}
		defer why.ask(func(do func()) { do() })()
		over = step.Wait(ctx, step.Wake{When: func(ring func()) func() { return why.watch(ring) }})
	}
	g, err := w.ticket.Wait(ctx)
	over()
	if err != nil && ctx.Err() != nil && !isException(context.Cause(ctx)) {
		return g, err
	}
	n.mu.Lock()
	delete(n.waits, id)
	n.mu.Unlock()
	if err != nil && isException(context.Cause(ctx)) {
		n.withdraw(context.WithoutCancel(ctx), w.ticket)
	}
	return g, err
}

// keeps reports whether an item waits in the queue.
func (n *nodes) keeps(id queue.ItemID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.waits[id] != nil
}

// holds reports whether there are executors that must be given back.
func (n *nodes) holds() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open) > 0
}

// drop takes an item out of the queue that an earlier life of the controller may have put there, whatever it has become.
func (n *nodes) drop(ctx context.Context, it queue.Item) {
	t, err := n.u.r.c.Queue.Submit(ctx, it)
	if err != nil {
		if !errors.Is(err, queue.ErrLost) {
			n.u.log.Info("an item was not taken out of the queue", "item", string(it.ID), "err", err)
		}
		return
	}
	n.withdraw(ctx, t)
}

// withdraw takes an item out of the queue; when it was granted at the same moment, the grant is given back.
func (n *nodes) withdraw(ctx context.Context, t Ticket) {
	err := t.Withdraw(ctx)
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	if g, err := t.Wait(ctx); err == nil {
		_ = n.releaseGrant(ctx, g)
	}
}

// openLease opens the lease on the granted machine. Unavailable says that the machine could not be had in time, or does not take
// work: it drains.
func (n *nodes) openLease(ctx context.Context, g queue.Grant, r step.Request, p agent.Policy) (agent.Workspace, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	for refused := 1; ; refused++ {
		m, err := n.machine(ctx, g)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = fault.With(fault.Unavailable, err)
			}
			return agent.Workspace{}, err
		}
		st, _ := n.u.r.c.Fleet.Node(g.Node)
		ws, err := m.Open(ctx, agent.OpenRequest{Lease: g.Lease(), Job: string(n.u.id.Job), Workspace: r.Workspace, Build: n.u.id.String(), Env: st.Node.Env, Policy: p, TTL: n.u.r.c.LeaseTTL})
		if err == nil {
			err = n.u.r.c.Queue.Opened(ctx, g)
		}
		switch {
		case err == nil:
			return ws, nil
		case fault.Is(err, fault.Stale):
			return ws, lost(string(g.Node))
		case !fault.Is(err, fault.Unavailable) || ctx.Err() != nil || refused == refusals:
			return ws, err
		}
		pause(ctx, retryTime)
	}
}

// machine waits until the node is connected, or the lease is lost.
func (n *nodes) machine(ctx context.Context, g queue.Grant) (agent.Machine, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	gone := n.u.r.c.Queue.Lost(g)
	done := make(chan struct{})
	defer close(done)
	select {
	case <-gone:
		return nil, lost(string(g.Node))
	default:
	}
	go func() {
		select {
		case <-gone:
			cancel(lost(string(g.Node)))
		case <-done:
		}
	}()
	m, _, err := n.u.r.c.Fleet.WaitMachine(ctx, g.Node)
	switch {
	case err == nil:
		return m, nil
	case fault.Is(err, fault.NotFound):
		return nil, lost(string(g.Node))
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// Attach implements step.Nodes.
func (n *nodes) Attach(g queue.Grant, w agent.Workspace) *step.Node {
	node := &step.Node{Name: string(g.Node), Grant: g, Workspace: w, Lost: n.u.r.c.Queue.Lost(g),
		Machine: func(ctx context.Context) (agent.Machine, error) { return n.machine(ctx, g) }}
	if st, ok := n.u.r.c.Fleet.Node(g.Node); ok {
		node.OS, node.Labels, node.Env, node.Tools = st.Machine.OS, st.Assigned, nodeEnv(st), st.Node.Tools
	}
	return node
}

// nodeEnv is what the steps of a node find: the machine's own variables and over them the node's. NAME+X prepends.
func nodeEnv(st fleet.Status) map[string]string {
	env := maps.Clone(st.Machine.Env)
	if env == nil {
		env = map[string]string{}
	}
	separator := ":"
	if st.Machine.OS == "windows" {
		separator = ";"
	}
	for _, name := range slices.Sorted(maps.Keys(st.Node.Env)) { // NAME comes before NAME+X, as on the machine
		v := st.Node.Env[name]
		bare, _, prepends := strings.Cut(name, "+")
		if st.Machine.OS == "windows" {
			bare = strings.ToUpper(bare)
		}
		if old := env[bare]; prepends && old != "" {
			v += separator + old
		}
		env[bare] = v
	}
	return env
}

// Release implements step.Nodes. An abort does not shorten it; the end of the controller does, and then it is done again.
func (n *nodes) Release(ctx context.Context, node *step.Node) error {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !isException(cause) {
			cancel(cause)
		}
	})()
	return n.releaseGrant(inner, node.Grant)
}

// releaseGrant closes the lease on the machine, when that can be reached, and then gives the executor back, which it tries
// until the ledger has it.
func (n *nodes) releaseGrant(ctx context.Context, g queue.Grant) error {
	n.closeLease(ctx, g)
	for {
		err := n.u.r.c.Queue.Release(ctx, g)
		if err == nil || fault.Is(err, fault.Stale) || fault.Is(err, fault.NotFound) {
			n.mu.Lock()
			delete(n.open, g.Item)
			n.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n.u.log.Warn("an executor could not be given back; it is tried again", "item", string(g.Item), "err", err)
		pause(ctx, retryTime)
	}
}

func (n *nodes) closeLease(ctx context.Context, g queue.Grant) {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	m, err := n.machine(ctx, g)
	if err == nil {
		err = m.Close(ctx, g.Lease())
	}
	if err != nil {
		n.u.log.Info("a lease was not closed on its machine", "node", string(g.Node), "item", string(g.Item), "err", err)
	}
}

func (n *nodes) keep(g queue.Grant) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[g.Item] = g
}

// releaseAll gives back what the program did not get to: it was killed, or the farm failed.
func (n *nodes) releaseAll(ctx context.Context) {
	n.mu.Lock()
	left, waits := slices.Collect(maps.Values(n.open)), slices.Collect(maps.Values(n.waits))
	clear(n.waits)
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*closeTime)
	defer cancel()
	for _, w := range waits {
		n.withdraw(ctx, w.ticket)
	}
	for _, g := range left {
		_ = n.releaseGrant(ctx, g)
	}
}
