package inbound_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
)

// S1-107: where an agent that dials comes from, and why it was refused.
func TestExamine(t *testing.T) {
	p := newPort(t, inbound.Config{Probe: 50 * time.Millisecond, Handover: 50 * time.Millisecond})
	clear := true
	p.hub.Explain(func(_ context.Context, _ fleet.Node, tell func(fleet.Hop)) bool {
		tell(fleet.Hop{Name: "url", OK: clear})
		return clear
	})
	is := func(ok bool, says, hint string) {
		t.Helper()
		var last fleet.Hop
		p.hub.Examine(t.Context(), fleet.Node{Name: "a"}, func(h fleet.Hop) { last = h })
		if last.Name != "dial" || last.OK != ok || !strings.Contains(last.Text, says) || !strings.Contains(last.Hint, hint) {
			t.Errorf("%+v, want %v %q → %q", last, ok, says, hint)
		}
	}
	is(false, "no agent has dialled", "why it does not get through")
	p.hub.Refused("10.0.0.7:4711", errors.New("the credential is not known"))
	is(false, "were refused: 10.0.0.7:4711 at ", "node token --node 'a'")

	p.dial(t, "a", "one")
	if err := <-p.results; err == nil {
		t.Fatal("taken, though nobody waits")
	}
	is(false, "nobody waits for node a", "reconnect 'a'")

	p.dial(t, "a", "two")
	link, err := p.hub.Launch(t.Context(), fleet.Node{Name: "a"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-p.results; err != nil {
		t.Fatal(err)
	}
	is(true, "connected from 127.0.0.1:", "")
	link.Close()
	is(false, "and is gone", "outwork agent install")
	p.hub.Refused("10.0.0.7:4712", errors.New("the credential is not known"))
	is(false, "and is gone; callers without a credential that holds were refused: 10.0.0.7:4712", "node token")

	clear = false
	p.hub.Examine(t.Context(), fleet.Node{Name: "a"}, func(h fleet.Hop) {
		if h.Name != "url" {
			t.Errorf("looked further: %+v", h)
		}
	})
}
