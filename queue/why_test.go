package queue_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

func suspended(n fleet.NodeName, labels ...string) fleet.Status {
	st := online(n, 1, labels...)
	c := fleet.ByUser("alice", "new disk")
	st.State, st.Cause, st.Node.Offline = fleet.Suspended, &c, &c
	return st
}

func exclusive(n fleet.NodeName, labels ...string) fleet.Status {
	st := online(n, 1, labels...)
	st.Node.Mode = fleet.Exclusive
	return st
}

func TestWhySummary(t *testing.T) {
	for _, tc := range []struct {
		name       string
		nodes      []fleet.Status
		item       queue.Item
		summary    string
		suggestion string
	}{
		{"no nodes", nil, queue.Item{Label: "ecs"}, "There are no nodes with the label ‘ecs’", ""},
		{"no such label", []fleet.Status{online("Outwork", 2)}, queue.Item{Label: "ecs"}, "There are no nodes with the label ‘ecs’", ""},
		{"the controller alone", []fleet.Status{online(fleet.BuiltIn, 1)}, queue.Item{Label: "ecs"}, "‘built-in’ doesn’t have label ‘ecs’", ""},
		{"near label", []fleet.Status{online("a", 1, "linux")}, queue.Item{Label: "linx && !windows"}, "There are no nodes with the label ‘linx&&!windows’", "linux"},
		{"one, offline", []fleet.Status{offline("a", 1, "ecs"), online("b", 1)}, queue.Item{Label: "ecs"}, "‘a’ is offline", ""},
		{"one, suspended", []fleet.Status{suspended("a", "ecs")}, queue.Item{Label: "ecs"}, "‘a’ is offline", ""},
		{"all offline", []fleet.Status{offline("a", 1, "ecs"), suspended("b", "ecs")}, queue.Item{Label: "ecs"}, "All nodes of label ‘ecs’ are offline", ""},
		{"one, busy", []fleet.Status{online("a", 0, "ecs"), online("b", 9)}, queue.Item{Label: "ecs"}, "Waiting for next available executor on ‘a’, which has no executors", ""},
		{"pinned, offline", []fleet.Status{offline("a", 1), online("b", 1)}, queue.Item{Node: "a"}, "‘a’ is offline", ""},
		{"pinned, unknown", []fleet.Status{online("b", 1)}, queue.Item{Node: "a", Label: "x"}, "There are no nodes with the label ‘x’ and the name ‘a’", ""},
		{"any, no nodes", nil, queue.Item{}, "Waiting for next available executor: there are no nodes", ""},
		{"any, all offline", []fleet.Status{offline("a", 1)}, queue.Item{}, "Waiting for next available executor: all nodes are offline", ""},
		{"any, reserved", []fleet.Status{exclusive("b"), exclusive("a"), offline("c", 1)}, queue.Item{},
			"‘a’ is reserved for jobs with matching label expression; ‘b’ is reserved for jobs with matching label expression", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, func(w *world) {
				for _, st := range tc.nodes {
					w.farm.set(st)
				}
				tc.item.ID = "x"
				w.waits(w.submit(tc.item))
				e, err := w.Why(w.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				if e.Summary != tc.summary || e.Suggestion != tc.suggestion {
					t.Errorf("got  %s (%s)\nwant %s (%s)", e.Summary, e.Suggestion, tc.summary, tc.suggestion)
				}
				if len(e.Nodes) != len(tc.nodes) {
					t.Errorf("%d reasons for %d nodes", len(e.Nodes), len(tc.nodes))
				}
			})
		})
	}
}

func TestWhyBusy(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1, "linux"))
		w.granted(w.submit(queue.Item{ID: "1", Label: "linux"}))
		w.submit(queue.Item{ID: "2", Label: "linux"})
		w.submit(queue.Item{ID: "3", Label: "linux"})
		w.submit(queue.Item{ID: "4"})
		for id, want := range map[queue.ItemID]string{
			"3": "Waiting for next available executor on ‘a’",
			"4": "Waiting for next available executor",
		} {
			if e, err := w.Why(w.Context(), id); err != nil || e.Summary != want {
				t.Errorf("%s: %q %v, want %q", id, e.Summary, err, want)
			}
		}
		if e, _ := w.Why(w.Context(), "3"); e.Position != 2 {
			t.Errorf("position %d, want 2", e.Position)
		}
		w.farm.set(online("b", 0, "linux"))
		synctest.Wait()
		if e, _ := w.Why(w.Context(), "3"); e.Summary != "Waiting for next available executor on ‘linux’" {
			t.Errorf("with two nodes: %q", e.Summary)
		}
		if _, err := w.Why(w.Context(), "1"); !fault.Is(err, fault.NotFound) {
			t.Errorf("of a leased item: %v", err)
		}
	})
}

func TestWhyNamesEveryNode(t *testing.T) {
	run(t, func(w *world) {
		drain := suspended("draining", "linux")
		drain.State = fleet.Draining
		for _, st := range []fleet.Status{
			online("plain", 1), exclusive("exclusive", "linux"), offline("offline", 1, "linux"), suspended("suspended", "linux"), drain, online("none", 0, "linux"),
		} {
			w.farm.set(st)
		}
		w.granted(w.submit(queue.Item{ID: "runs", Label: "linux"}))
		w.submit(queue.Item{ID: "x", Label: "linux"})
		e, err := w.Why(w.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		want := []queue.NodeReason{
			{Node: "draining", Predicate: queue.NotTaking, Reason: "‘draining’ is not accepting tasks (Disconnected by alice : new disk)"},
			{Node: "exclusive", Predicate: queue.Busy, Reason: "Waiting for next available executor on ‘exclusive’"},
			{Node: "none", Predicate: queue.NotTaking, Reason: "‘none’ is not accepting tasks (it has no executors)"},
			{Node: "offline", Predicate: queue.IsOffline, Reason: "‘offline’ is offline (Connection was broken: EOF)"},
			{Node: "plain", Predicate: queue.NoLabel, Reason: "‘plain’ doesn’t have label ‘linux’"},
			{Node: "suspended", Predicate: queue.NotTaking, Reason: "‘suspended’ is not accepting tasks (Disconnected by alice : new disk)"},
		}
		if d := cmp.Diff(want, e.Nodes); d != "" {
			t.Errorf("reasons (-want +got):\n%s", d)
		}
	})
}

func TestCompositeIsShort(t *testing.T) {
	run(t, func(w *world) {
		for i := range 8 {
			w.farm.set(exclusive(fleet.NodeName(fmt.Sprintf("n%d", i))))
		}
		w.waits(w.submit(queue.Item{ID: "x"}))
		e, err := w.Why(w.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for i := range 5 {
			want += fmt.Sprintf("‘n%d’ is reserved for jobs with matching label expression; ", i)
		}
		if want += "... and 3 more"; e.Summary != want {
			t.Errorf("got %s\nwant %s", e.Summary, want)
		}
	})
}
