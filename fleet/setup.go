package fleet

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// Setup is what is done before a machine is used for the first time, and again when any of it has changed.
type Setup struct {
	Files   string        `json:"files,omitempty"`   // folder of the controller whose files are copied to the machine; "" copies none
	Prepare string        `json:"prepare,omitempty"` // command line that is run on the controller, in Files, before they are copied
	Command string        `json:"command,omitempty"` // script that is run on the machine, where the files are
	Timeout time.Duration `json:"timeout,omitempty"` // of all of it; 0 is 30 min
}

// Preparation is one visit at a machine that has just connected and takes no work yet.
type Preparation struct {
	Node    Node
	Labels  []string // all of them, as Status.Assigned
	Machine agent.Machine
	System  agent.Description
	Lease   agent.Lease // to open on the machine; what is left of it is closed afterwards
	Log     io.Writer   // the node's
}

// CauseSetup is the kind of an OfflineCause of a node whose setup failed.
const CauseSetup = "setup"

// ownLease begins the items of leases that the roster itself opens on a machine; the queue knows nothing of them.
const ownLease = "fleet/"

// setUp prepares a machine as its node wants, with heartbeats meanwhile. A failure is an *unwell: the node stays offline.
func (s *session) setUp(ctx context.Context) error {
	n := s.loop.node
	if n.Setup == nil || s.r.cfg.Prepare == nil {
		return nil
	}
	p := Preparation{Node: n, Labels: assigned(n, s.machine), Machine: s.conn.Machine(), System: s.machine, Log: s.loop.log,
		Lease: agent.Lease{Item: s.own + "setup", Epoch: 1}}
	return s.alive(ctx, func(ctx context.Context) error {
		if err := s.r.cfg.Prepare(ctx, p); err != nil {
			return &unwell{&OfflineCause{Kind: CauseSetup, Text: "Setup failed: " + err.Error(), When: time.Now()}}
		}
		return nil
	})
}

// alive has heartbeats go on while something is done on a machine that nobody uses yet. When they end the connection, what is done ends
// too, and their reason is returned.
func (s *session) alive(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beats := make(chan error, 1)
	go func() {
		defer cancel()
		beats <- s.beat(ctx)
	}()
	err := do(ctx)
	ended := ctx.Err() != nil
	cancel()
	if beat := <-beats; ended { // it failed because of that
		return beat
	}
	return err
}

// named gives the leases of a session a name of their own: those that an earlier session has left are closed like others that nobody knows.
func (s *session) named() {
	s.own, s.unwatch = ownLease+rand.Text()+"/", func() {}
}

// strangers are the leases of a list that this session has not opened itself.
func (s *session) strangers(leases []agent.Lease) []agent.Lease {
	var out []agent.Lease
	for _, l := range leases {
		if !strings.HasPrefix(l.Item, s.own) {
			out = append(out, l)
		}
	}
	return out
}
