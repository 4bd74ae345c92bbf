package rest_test

import (
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/servertest"
)

// S1-67: people ask why a build went where it did, and what would be if.
func TestExplain(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	c, ctx := f.Client, f.Context()

	f.Job("ran", `node('linux') { echo 'there' }`)
	f.Ended(f.Build("ran"))
	p, err := c.Explain(ctx, "ran#1")
	if err != nil || p.State != "left" || p.Decision == nil || p.Decision.Node != "n1" || p.Decision.At == nil || len(p.Decision.Candidates) != 1 || !p.Decision.Candidates[0].Chosen {
		t.Fatalf("%+v, %v", p, err)
	}
	if k := p.Decision.Candidates[0]; k.Score == nil || len(k.Terms) == 0 || k.Terms[0].Name != "free" {
		t.Errorf("%+v", k)
	}
	f.Ended(f.Build("ran"))
	if p, err = c.Explain(ctx, "ran#2"); err != nil || p.Decision.Candidates[0].Terms[0].Name != "last" || p.Expected == "" {
		t.Errorf("the second time: %+v, %v", p, err)
	}

	f.Job("waits", `node('gpu && linux') { echo 'there' }`)
	b := f.Build("waits")
	f.Await("it waits", func() bool { q, err := c.Queue(ctx); return err == nil && len(q) == 1 })
	p, err = c.Explain(ctx, "waits#1")
	if err != nil || p.State != "waiting" || p.Position != 1 || len(p.Nodes) != 1 || p.Nodes[0].Predicate != "label" || p.Nodes[0].Score != nil || p.Decision != nil {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = c.Explain(ctx, p.Item.ID, "node n1 label gpu")
	if err != nil || p.Decision == nil || p.Decision.Node != "n1" || p.Decision.At != nil || len(p.If) != 1 || !strings.Contains(p.Summary, "‘n1’ would take it") {
		t.Errorf("with the label: %+v, %v", p, err)
	}
	p, err = c.Explain(ctx, "waits#1", "node n1 label gpu", "node n1 offline")
	if err != nil || p.Decision != nil || p.Nodes[0].Predicate != "offline" || !strings.Contains(p.Summary, "it would wait") {
		t.Errorf("offline: %+v, %v", p, err)
	}
	expect(t, "no such node", second(c.Explain(ctx, "waits#1", "node n3 online")), fault.NotFound, "n3")
	expect(t, "no change", second(c.Explain(ctx, "waits#1", "node n1 fly")), fault.Invalid, "fly", "node NAME online")
	expect(t, "an item that has ended", second(c.Explain(ctx, "ran#1", "node n1 online")), fault.Conflict, "ended")
	expect(t, "nothing", second(c.Explain(ctx, "nothing")), fault.NotFound, "nothing")
	labels := []string{"linux", "gpu"}
	expect(t, "give the label", second(c.UpdateNode(ctx, "n1", api.NodeUpdate{Labels: &labels})), none)
	f.Ended(b)
}
