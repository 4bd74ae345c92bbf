package serve_test

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/serve"
)

// I3: a Renew that the network held up for longer than the grace does not keep a step alive until after the moment at which the
// controller gives its item to another agent.
func TestALateRenewDoesNotOutliveItsLease(t *testing.T) {
	const ttl, grace = 4 * time.Second, 2 * time.Second
	c := newController(t, false)
	p := newPath(t, c.URL)
	startHere(t, serve.Config{URL: p.url(), Token: "owj_good", Name: "n", Root: t.TempDir()})
	m, ctx := c.next(t).Machine(), t.Context()
	l := agent.Lease{Item: "item", Epoch: 1}
	if _, err := m.Open(ctx, agent.OpenRequest{Lease: l, Job: "job", Policy: agent.Kill, TTL: ttl}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, agent.StartRequest{Lease: l, Step: "s", Argv: []string{"sleep", "600"}}); err != nil {
		t.Fatal(err)
	}
	_, answered, _, err := m.Renew(ctx, []agent.Lease{l}, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.flow.Lock()
	sent := time.Now() // the controller counts from here
	late := make(chan error, 1)
	go func() {
		_, _, _, err := m.Renew(ctx, []agent.Lease{l}, answered)
		late <- err
	}()
	<-time.After(ttl - time.Second)
	p.flow.Unlock()
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	t.Logf("the Renew took %v", time.Since(sent))
	e, err := m.Follow(ctx, l, "s", 0, func(agent.Output) error { return nil })
	if err != nil || !e.Stopped {
		t.Fatalf("%+v, %v; want the step stopped", e, err)
	}
	if lived := e.Ended.Sub(sent); lived >= ttl+grace {
		t.Errorf("the step lived for %v after the last Renew was sent; the item is given out again after %v", lived, ttl+grace)
	} else {
		t.Logf("the step lived for %v", lived)
	}
	if err := m.Close(ctx, l); err != nil {
		t.Error(err)
	}
}
