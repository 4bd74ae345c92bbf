package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// A node that is held from its first moment is never online before it is let go, and each session is asked about anew.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := &fleet.OfflineCause{Kind: fleet.CauseTools, Text: "tools come first", When: time.Now()}
		var asked []fleet.Status
		w.begin(fleet.Config{Hold: func(st fleet.Status) *fleet.OfflineCause {
			asked = append(asked, st)
			return first
		}})
		m := &machine{boot: "boot-1"}
		w.launcher.machines["a"] = m
		w.put(fleet.Node{Name: "a", Executors: 1, Labels: []string{"gcc"}})
		c := <-w.conns
		w.is("a", fleet.Suspended, "tools come first")
		if len(asked) != 1 || asked[0].Machine.OS != "linux" || !slices.Contains(asked[0].Assigned, "gcc") {
			t.Errorf("asked: %+v", asked)
		}
		if _, _, err := w.WaitMachine(w.Context(), "a"); err != nil {
			t.Errorf("a held machine cannot be used: %v", err)
		}

		let := func(session uint64, cause *fleet.OfflineCause, want bool) {
			t.Helper()
			if there, err := w.Hold(w.Context(), "a", session, cause); there != want || err != nil {
				t.Errorf("hold: %v %v", there, err)
			}
		}
		let(1, nil, true)
		w.is("a", fleet.Online, "")
		let(1, &fleet.OfflineCause{Kind: fleet.CauseTools, Text: "disk full"}, true)
		w.is("a", fleet.Suspended, "disk full")
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("alice", "")))
		w.is("a", fleet.Suspended, "Disconnected by alice")

		c.end(errors.New("cut"))
		c.wait()
		time.Sleep(2 * time.Second)
		<-w.conns
		let(1, nil, false)
		if _, err := w.Bulk(w.Context(), []fleet.NodeName{"a"}, fleet.Order{Verb: fleet.VerbOnline, Cause: fleet.ByUser("alice", "")}); err != nil {
			t.Error(err)
		}
		w.is("a", fleet.Suspended, "tools come first")
		let(2, nil, true)
		w.is("a", fleet.Online, "")

		w.ok(w.Warn(w.Context(), "a", fleet.OfflineCause{Kind: fleet.CauseTools, Text: "a link is left out", When: time.Now()}))
		w.ok(w.Note(w.Context(), "a", "tools are synced"))
		w.is("a", fleet.Online, "")
		rs, err := w.History(w.Context(), "a")
		if err != nil || rs[0].State != fleet.Online || rs[0].Cause == nil || rs[0].Cause.Text != "a link is left out" {
			t.Errorf("history: %+v %v", rs, err)
		}
		text, _, err := w.Log("a", 0)
		if err != nil || !strings.Contains(string(text), "Warning: a link is left out\n") || !strings.Contains(string(text), "tools are synced\n") {
			t.Errorf("log: %s %v", text, err)
		}
		if err := w.Note(w.Context(), "nobody", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("a node that is not there: %v", err)
		}
		w.stop()
	})
}
