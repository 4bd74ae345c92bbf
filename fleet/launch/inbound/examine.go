package inbound

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// attempt is an agent's try to connect.
type attempt struct {
	at   time.Time
	peer string
	err  error // why it was refused; nil when it was let in
}

const (
	strangersKept  = 8              // refused callers that are remembered
	strangersShown = 24 * time.Hour // for so long they matter
)

// Explain has Examine begin with what way finds: the credential, the address that agents are told, the port. It returns whether the way
// is clear so far. Call it before the Hub is used.
func (h *Hub) Explain(way func(ctx context.Context, n fleet.Node, tell func(fleet.Hop)) (clear bool)) {
	h.way = way
}

// Refused notes a caller that nobody knows: its credential did not hold. No node of it is known.
func (h *Hub) Refused(peer string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.strangers = append(h.strangers, attempt{time.Now(), peer, err})
	h.strangers = h.strangers[max(0, len(h.strangers)-strangersKept):]
}

// tried notes the newest attempt of a node's agent.
func (h *Hub) tried(name fleet.NodeName, peer string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempts[name] = attempt{time.Now(), peer, err}
}

var _ fleet.Examiner = (*Hub)(nil)

// Examine looks at the way that an agent takes to the controller, from the controller's side: what Explain said, and the agent's newest
// attempt with what came of it.
func (h *Hub) Examine(ctx context.Context, n fleet.Node, tell func(fleet.Hop)) {
	if h.way != nil && !h.way(ctx, n, tell) {
		return
	}
	h.mu.Lock()
	last, strangers, at := h.attempts[n.Name], slices.Clone(h.strangers), h.nodes[n.Name]
	h.mu.Unlock()
	tell(dialled(n.Name, last, strangers, at != nil && at.live() != nil))
}

// dialled judges the attempts of a node's agent.
func dialled(n fleet.NodeName, last attempt, strangers []attempt, connected bool) fleet.Hop {
	when := last.at.UTC().Format(time.RFC3339)
	hop := fleet.Hop{Name: "dial", OK: connected && last.err == nil}
	switch {
	case last.at.IsZero():
		hop.Text = "no agent has dialled as this node since the controller started"
		hop.Hint = "start it on the machine: outwork agent says why it does not get through (address, proxy, firewall, certificate)"
		hop.Text, hop.Hint = strange(n, hop, last.at, strangers)
	case hop.OK:
		hop.Text = "connected from " + last.peer + " since " + when
	case last.err == nil:
		hop.Text = "its agent was here last from " + last.peer + ", at " + when + ", and is gone"
		hop.Hint = "look at the agent on the machine: outwork agent tries again by itself while it runs; outwork agent install makes it a service"
		hop.Text, hop.Hint = strange(n, hop, last.at, strangers)
	case connected:
		hop.OK = true
		hop.Text = fmt.Sprintf("connected; another agent was refused from %s at %s: %v", last.peer, when, last.err)
		hop.Hint = "two agents have this node's credential: end one of them, or give it a name of its own"
	default:
		hop.Text = fmt.Sprintf("refused, from %s at %s: %v", last.peer, when, last.err)
		hop.Hint = "outwork node reconnect '" + string(n) + "' makes the controller wait for it anew; its agent tries again by itself"
	}
	return hop
}

// strange adds the callers that were refused lately, since the node's agent was here, and may be it.
func strange(n fleet.NodeName, hop fleet.Hop, here time.Time, strangers []attempt) (text, hint string) {
	var all []string
	for _, s := range slices.Backward(strangers) {
		if s.at.After(here) && time.Since(s.at) < strangersShown {
			all = append(all, fmt.Sprintf("%s at %s (%v)", s.peer, s.at.UTC().Format(time.RFC3339), s.err))
		}
	}
	if len(all) == 0 {
		return hop.Text, hop.Hint
	}
	return hop.Text + "; callers without a credential that holds were refused: " + strings.Join(all, ", "),
		"if one of these is it, its credential is no good any more: outwork node token --node '" + string(n) + "' lets it join anew"
}
