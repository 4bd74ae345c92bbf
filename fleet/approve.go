package fleet

import (
	"context"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// HostKey is by what a host on the way to a machine is known, or asks to be.
type HostKey struct {
	Hop         string    // "jump 1"; "" is the machine itself
	Address     string    // host:port
	Algorithm   string    // "ssh-ed25519"
	Fingerprint string    // "SHA256:…"
	Before      string    // of the key that was approved before and that the host does not show any more; "" is none
	Seen        time.Time // first
	Approved    bool      // the host is let in with it
}

// Approver is a Launcher that lets hosts in by keys that a person has approved.
type Approver interface {
	// HostKeys returns the newest key of each host on the way to a machine that was seen. fault.Conflict: the node's hosts are known in
	// another way.
	HostKeys(ctx context.Context, n Node) ([]HostKey, error)
	// Approve lets a host in with the key that awaits approval and has this fingerprint. fault.Conflict: none has.
	Approve(ctx context.Context, n Node, fingerprint string) (HostKey, error)
}

// Login is how the controller logs in at a host on the way to a machine.
type Login struct {
	Hop     string // "jump 1"; "" is the machine itself
	User    string
	Address string   // host:port
	Lines   []string // of authorized_keys, which let the controller's keys in and no more than that; none without keys
}

// Keyed is a Launcher that logs in with keys.
type Keyed interface {
	// Logins returns how it logs in, in the order of the way. It opens the keys and goes nowhere.
	Logins(ctx context.Context, n Node) ([]Login, error)
}

// Logins returns how the controller logs in for a node, which need not be in the roster. fault.Conflict: with its launcher it does not.
func (r *Roster) Logins(ctx context.Context, n Node) ([]Login, error) {
	k, ok := r.cfg.Launchers[n.Launcher.Kind].(Keyed)
	if !ok {
		return nil, fault.New(fault.Conflict, "node %s: the controller logs in nowhere with launcher %s", n.Name, n.Launcher.Kind)
	}
	return k.Logins(ctx, n)
}

// approver finds a node and who approves its keys.
func (r *Roster) approver(name NodeName) (Node, Approver, error) {
	st, ok := r.Node(name)
	if !ok {
		return Node{}, nil, fault.New(fault.NotFound, "node %s: there is no such node", name)
	}
	a, ok := r.cfg.Launchers[st.Node.Launcher.Kind].(Approver)
	if !ok {
		return Node{}, nil, fault.New(fault.Conflict, "node %s: nothing is approved with launcher %s", name, st.Node.Launcher.Kind)
	}
	return st.Node, a, nil
}

// HostKeys returns the keys that the hosts on the way to a node showed last. fault.NotFound: there is no such node;
// fault.Conflict: they are not known by keys that people approve.
func (r *Roster) HostKeys(ctx context.Context, name NodeName) ([]HostKey, error) {
	n, a, err := r.approver(name)
	if err != nil {
		return nil, err
	}
	return a.HostKeys(ctx, n)
}

// Approve lets a host on the way to a node in with a key that awaits it. Who did is in the node's history, and the node is
// connected now, unless a person or its retention keeps it disconnected. fault.NotFound and fault.Conflict as of HostKeys; also
// fault.Conflict: no key of this fingerprint awaits approval.
func (r *Roster) Approve(ctx context.Context, name NodeName, fingerprint, by string) (HostKey, error) {
	n, a, err := r.approver(name)
	if err != nil {
		return HostKey{}, err
	}
	k, err := a.Approve(ctx, n, fingerprint)
	if err != nil {
		return k, err
	}
	text := "Host key " + k.Fingerprint + " of " + k.Address + " approved by " + by
	if k.Before != "" {
		text += ", in place of " + k.Before
	}
	err = r.do(context.WithoutCancel(ctx), func() {
		e := r.nodes[name]
		if e == nil {
			return
		}
		now := time.Now().UTC()
		e.log.printf("%s", text)
		e.noted = Record{Node: name, At: now, State: e.state, Cause: &OfflineCause{Kind: CauseUser, Text: text, By: by, When: now}}
		if e.state == Connecting {
			e.noted.State = Offline
		}
		r.history.add(e.noted)
		if e.conn == nil && e.node.Down == nil && e.away == nil {
			e.cause = e.noted.Cause // until the attempt has come to something
			r.relaunch(e)
			r.settle(e)
		}
	})
	return k, err
}
