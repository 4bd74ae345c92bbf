package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

func draining(n fleet.NodeName, labels ...string) fleet.Status {
	st := suspended(n, labels...)
	st.State, st.Node.Offline = fleet.Draining, nil
	return st
}

// The summary names the true reason, where Jenkins has no sentence for it.
func TestSummaryOfPolicyAndDraining(t *testing.T) {
	policy := queue.Policy{Limits: map[string]int{"licence": 0}, Allow: map[fleet.NodeName][]string{"secure": {"ops/**"}}}
	const drains = "‘a’ is not accepting tasks (Disconnected by alice : new disk)"
	const limited = "‘a’ is not accepting tasks (at most 0 executors may be in use on nodes of label ‘licence’, and 0 are)"
	for _, tc := range []struct {
		name    string
		nodes   []fleet.Status
		item    queue.Item
		summary string
	}{
		{"one, draining", []fleet.Status{draining("a", "ecs")}, queue.Item{Label: "ecs"}, drains},
		{"pinned, draining", []fleet.Status{draining("a"), online("b", 1)}, queue.Item{Node: "a"}, drains},
		{"draining and offline", []fleet.Status{draining("a", "ecs"), offline("b", 1, "ecs")}, queue.Item{Label: "ecs"}, drains},
		{"any, draining", []fleet.Status{draining("a"), offline("b", 1)}, queue.Item{}, "Waiting for next available executor: " + drains},
		{"limited", []fleet.Status{online("a", 1, "licence")}, queue.Item{Label: "licence"}, limited},
		{"any, limited", []fleet.Status{online("a", 1, "licence")}, queue.Item{}, limited},
		{"limited, another online", []fleet.Status{online("a", 1, "licence", "x"), online("b", 0, "x")}, queue.Item{Label: "x"}, "Waiting for next available executor on ‘x’"},
		// S1-14
		{"not allowed", []fleet.Status{online("secure", 1)}, queue.Item{Label: "secure", Build: build.ID{Job: "app", Number: 1}}, "‘app’ lacks permission to run on ‘secure’"},
		{"any, not allowed", []fleet.Status{online("secure", 1)}, queue.Item{Build: build.ID{Job: "app", Number: 1}}, "‘app’ lacks permission to run on ‘secure’"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, func(w *world) {
				if err := w.SetPolicy(w.Context(), policy); err != nil {
					t.Fatal(err)
				}
				for _, st := range tc.nodes {
					w.farm.set(st)
				}
				tc.item.ID = "x"
				w.waits(w.submit(tc.item))
				e, err := w.Why(w.Context(), "x")
				if err != nil || !strings.HasPrefix(e.Summary, tc.summary) {
					t.Errorf("got  %s\nwant %s (%v)", e.Summary, tc.summary, err)
				}
				r, err := w.Explain(w.Context(), "x")
				if err != nil || r.Summary != e.Summary || len(r.Nodes) != len(tc.nodes) {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}

func TestExplainNamesEveryNode(t *testing.T) {
	run(t, func(w *world) {
		far := online("far", 2, "linux")
		far.RoundTrip = 205 * time.Millisecond
		for _, st := range []fleet.Status{far, online("near", 1, "linux"), online("other", 1), offline("off", 1, "linux")} {
			w.farm.set(st)
		}
		synctest.Wait()
		g := w.granted(w.submit(queue.Item{ID: "1", Label: "linux", Affinity: "app", Build: build.ID{Job: "app", Number: 7}}))
		r, err := w.Explain(w.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		free := queue.Term{Name: "free", Points: 10, Text: "1 of 1 executors free"}
		want := []queue.Candidate{
			{Node: "near", Chosen: true, Scored: true, Score: 10, Terms: []queue.Term{free}},
			{Node: "far", Scored: true, Score: -10, Terms: []queue.Term{
				{Name: "free", Points: 10, Text: "2 of 2 executors free"}, {Name: "distance", Points: -20, Text: "round trip of 205ms"}}},
		}
		if d := cmp.Diff(want, r.Decision.Candidates); d != "" || g.Node != "near" || r.State != queue.Leased || r.Decision.Admitted != 3 || r.Decision.Free != 2 {
			t.Errorf("%+v (-want +got):\n%s", r, d)
		}
		w.granted(w.submit(queue.Item{ID: "2", Label: "linux"}))
		w.granted(w.submit(queue.Item{ID: "3", Label: "linux"}))
		w.waits(w.submit(queue.Item{ID: "4", Label: "linux", Affinity: "app"}))
		r, err = w.Explain(w.Context(), "4")
		if err != nil {
			t.Fatal(err)
		}
		got := map[fleet.NodeName]queue.Predicate{}
		for _, k := range r.Nodes {
			got[k.Node] = k.Predicate
			if k.Scored == (k.Predicate == queue.NoLabel) {
				t.Errorf("%+v", k)
			}
		}
		if d := cmp.Diff(map[fleet.NodeName]queue.Predicate{"far": queue.Busy, "near": queue.Busy, "other": queue.NoLabel, "off": queue.IsOffline}, got); d != "" || r.State != queue.Waiting {
			t.Errorf("%+v (-want +got):\n%s", r, d)
		}
		if id, err := w.Find(w.Context(), "app#7"); id != "1" || err != nil {
			t.Errorf("%q, %v", id, err)
		}
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		if r, err = w.Explain(w.Context(), "1"); err != nil || r.State != queue.Left || r.Decision == nil {
			t.Errorf("when it has ended: %+v, %v", r, err)
		}
	})
}

// S3-29 in part: what more executors or another label would do is answered before they are given.
func TestWhatIf(t *testing.T) {
	run(t, func(w *world) {
		for _, st := range []fleet.Status{online("n1", 1, "linux"), offline("n2", 1, "linux"), online("n3", 1, "windows")} {
			w.farm.set(st)
		}
		synctest.Wait()
		w.granted(w.submit(queue.Item{ID: "runs", Label: "linux"}))
		w.waits(w.submit(queue.Item{ID: "first", Label: "linux"}))
		w.waits(w.submit(queue.Item{ID: "x", Label: "linux"}))
		for _, tc := range []struct {
			changes []string
			node    fleet.NodeName
		}{
			{[]string{"node n2 online"}, ""}, // the first takes it
			{[]string{"node n2 online", "node n2 executors 2"}, "n2"},
			{[]string{"node n1 executors 3"}, "n1"},
			{[]string{"node n3 label linux"}, ""},
			{[]string{"node n3 label linux", "node n2 online"}, "n3"},
			{[]string{"node n1 offline"}, ""},
			{[]string{"node n1 exclusive", "node n1 executors 2"}, ""},
		} {
			var changes []queue.Change
			for _, text := range tc.changes {
				ch, err := queue.ParseChange(text)
				if err != nil || ch.String() != text {
					t.Fatalf("%q is read as %q, %v", text, ch, err)
				}
				changes = append(changes, ch)
			}
			r, err := w.Explain(w.Context(), "x", changes...)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Decision; (got == nil) != (tc.node == "") || got != nil && got.Node != tc.node || len(r.Nodes) != 3 {
				t.Errorf("%q: %s: %+v", tc.changes, r.Summary, got)
			}
		}
		w.waits(w.submit(queue.Item{ID: "y", Label: "linux"})) // nothing was changed
		r, err := w.Explain(w.Context(), "runs", queue.Change{Node: "n1", Verb: "offline"}, queue.Change{Node: "n2", Verb: "online"})
		if err != nil || r.Decision == nil || r.Decision.Node != "n2" {
			t.Errorf("what runs: %+v, %v", r, err)
		}
		if _, err := w.Explain(w.Context(), "x", queue.Change{Node: "n11", Verb: "online"}); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("a node that there is not: %v", err)
		}
	})
}

func TestChangesThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "n3 online", "node n3", "node  online", "node n3 fly", "node n3 executors x", "node n3 executors -1", "node n3 label", "node a/b online"} {
		if ch, err := queue.ParseChange(text); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "node NAME online") {
			t.Errorf("%q: %+v, %v", text, ch, err)
		}
	}
}

func TestSetPolicyMovesWhatWaits(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 2, "licence"))
		if err := w.SetPolicy(w.Context(), queue.Policy{Limits: map[string]int{"licence": 1}}); err != nil {
			t.Fatal(err)
		}
		w.granted(w.submit(queue.Item{ID: "1"}))
		second := w.submit(queue.Item{ID: "2"})
		w.waits(second)
		if err := w.SetPolicy(w.Context(), queue.Policy{Limits: map[string]int{"&&": 1}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a wrong policy: %v", err)
		}
		w.waits(second)
		if err := w.SetPolicy(w.Context(), queue.Policy{}); err != nil {
			t.Fatal(err)
		}
		w.granted(second)
	})
}

// How long work took is known after a restart, and so is the node: S1-64.
func TestTimesAndLastNodeSurviveARestart(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		w.farm.set(online("b", 1))
		synctest.Wait()
		hog := w.granted(w.submit(queue.Item{ID: "hog"}))
		g := w.granted(w.submit(queue.Item{ID: "1", Affinity: "app"}))
		if err := w.Opened(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second) // of the bubble
		for _, g := range []queue.Grant{g, hog} {
			if err := w.Release(w.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		w.stop()
		w.begin(queue.Config{})
		if again := w.granted(w.submit(queue.Item{ID: "2", Affinity: "app"})); again.Node != g.Node {
			t.Errorf("on %s, was on %s", again.Node, g.Node)
		}
		r, err := w.Explain(w.Context(), "2")
		if err != nil || r.Expected != 20*time.Second {
			t.Errorf("expected to take %v: %v", r.Expected, err)
		}
	})
}

// Jenkins' isStuck: label offline; else ten times as long as expected, at least ten minutes; else a day.
func TestStuck(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		w.farm.set(offline("b", 1, "gpu"))
		synctest.Wait()
		g := w.granted(w.submit(queue.Item{ID: "1", Affinity: "app"}))
		if err := w.Opened(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		w.farm.set(online("a", 0))
		synctest.Wait()
		w.submit(queue.Item{ID: "known", Affinity: "app"})
		w.submit(queue.Item{ID: "unknown"})
		w.submit(queue.Item{ID: "offline", Label: "gpu"})
		stuck := func() (out []string) {
			for _, st := range w.Snapshot() {
				if st.Stuck {
					out = append(out, string(st.Item.ID))
				}
			}
			slices.Sort(out)
			return out
		}
		for _, tc := range []struct {
			after time.Duration
			want  []string
		}{{time.Minute, []string{"offline"}}, {20 * time.Minute, []string{"known", "offline"}}, {24 * time.Hour, []string{"known", "offline", "unknown"}}} {
			time.Sleep(tc.after)
			if got := stuck(); !slices.Equal(got, tc.want) {
				t.Errorf("after %v: %q are stuck, want %q", tc.after, got, tc.want)
			}
		}
	})
}

// What the trial says comes true when the change is made.
func TestWhatIfComesTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []fleet.NodeName{"n1", "n2", "n3", "n4"}
		labels := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"gpu", "linux"}), rapid.ID[string])
		c, now, nodes := queue.NewCore(queue.Limits{TTL: time.Minute, Grace: time.Minute, HoldWindow: time.Minute, KeepEnded: time.Minute, MaxWaiting: 1000}), queue.Instant{Mono: 1}, []fleet.Status{}
		for i, n := range names {
			st := online(n, rapid.IntRange(0, 2).Draw(t, "executors"))
			st.State = rapid.SampledFrom([]fleet.State{fleet.Online, fleet.Offline}).Draw(t, "state")
			st.Assigned, st.Revision = append(labels.Draw(t, "labels"), string(n)), uint64(i+1)
			slices.Sort(st.Assigned)
			nodes = append(nodes, st)
		}
		c.SetFleet(now, nodes)
		if err := c.SetPolicy(now, queue.Policy{Limits: map[string]int{"gpu": rapid.IntRange(0, 4).Draw(t, "limit")}}); err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(1, 12).Draw(t, "items") {
			it := queue.Item{ID: queue.ItemID(fmt.Sprint(i)), Label: rapid.SampledFrom([]string{"", "gpu", "linux", "gpu&&linux", "n1"}).Draw(t, "label"),
				Affinity: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "affinity"), Priority: rapid.IntRange(0, 1).Draw(t, "priority")}
			if _, _, err := c.Submit(now, it); err != nil {
				t.Fatal(err)
			}
			c.Place(now)
		}
		var waiting []queue.ItemID
		for _, st := range c.Snapshot() {
			if st.State == queue.Waiting {
				waiting = append(waiting, st.Item.ID)
			}
		}
		if len(waiting) == 0 {
			t.Skip("nothing waits")
		}
		id := rapid.SampledFrom(waiting).Draw(t, "item")
		i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
		text := fmt.Sprintf("node %s %s", nodes[i].Node.Name, rapid.SampledFrom([]string{"online", "offline", "label gpu", "label linux gpu", "executors 3"}).Draw(t, "change"))
		ch, err := queue.ParseChange(text)
		if err != nil {
			t.Fatal(err)
		}
		before := c.Snapshot()
		r, err := c.WhatIf(id, []queue.Change{ch})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, c.Snapshot()); d != "" {
			t.Fatalf("asking changed something:\n%s", d)
		}
		st := &nodes[i]
		switch st.Revision += 100; ch.Verb {
		case "online":
			st.State = fleet.Online
		case "offline":
			st.State = fleet.Offline
		case "executors":
			st.Node.Executors = ch.Executors
		case "label":
			st.Assigned = append(slices.Clone(st.Assigned), ch.Labels...)
			slices.Sort(st.Assigned)
			st.Assigned = slices.Compact(st.Assigned)
		}
		c.SetFleet(now, nodes)
		c.Place(now)
		for _, is := range c.Snapshot() {
			if is.Item.ID != id {
				continue
			}
			if (is.Grant == nil) != (r.Decision == nil) || is.Grant != nil && (is.Grant.Node != r.Decision.Node || is.Grant.Executor != r.Decision.Executor) {
				t.Fatalf("%s: was told %s, %+v; came to be %s %+v", text, r.Summary, r.Decision, is.State, is.Grant)
			}
			after, err := c.Explain(id)
			if err != nil {
				t.Fatal(err)
			}
			if is.Grant == nil {
				if d := cmp.Diff(after.Nodes, r.Nodes); d != "" {
					t.Fatalf("reasons (-true +told):\n%s", d)
				}
			}
		}
	})
}
