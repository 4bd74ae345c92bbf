package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
)

// Reasons are told the nearest to a place first, in the singular of one node, and of many nodes only some are named.
func TestRefusals(t *testing.T) {
	var ns []queue.NodeReason
	for i := range 15 {
		ns = append(ns, queue.NodeReason{Node: fleet.NodeName(fmt.Sprint("l", i)), Predicate: queue.NoLabel})
	}
	for _, p := range []queue.Predicate{queue.Pinned, queue.Forbidden, "something new", queue.Limited, queue.IsOffline, queue.IsOffline, queue.Busy} {
		ns = append(ns, queue.NodeReason{Node: "n", Predicate: p})
	}
	var got []string
	for _, r := range refusals(ns) {
		got = append(got, fmt.Sprintf("%d %s, %d named", r.Count(), r.Text(), len(r.Nodes)))
	}
	want := []string{"1 would take it, and all its executors are in use, 1 named", "1 is at a limit, 1 named", "2 are offline, 2 named", "1 is not for this job, 1 named", "15 do not have the labels, 12 named",
		"1 is not the node it is pinned to, 1 named", "1 does not take it, 1 named"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSortRows(t *testing.T) {
	now := time.Now()
	row := func(name string, st fleet.State, busy int, level fleet.Level, since time.Duration) nodeRow {
		return nodeRow{Status: fleet.Status{Node: fleet.Node{Name: fleet.NodeName(name)}, State: st, Since: now.Add(-since), Monitors: map[string]fleet.Verdict{"disk": {Level: level}}}, Busy: make([]queue.ItemStatus, busy)}
	}
	for by, want := range map[string]string{"name": "a b c d", "state": "c d b a", "work": "b a c d", "health": "d a b c", "changed": "d c b a", "nonsense": "a b c d"} {
		ns := []nodeRow{row("a", fleet.Online, 1, fleet.Warning, 4), row("b", fleet.Suspended, 2, fleet.Good, 3), row("c", fleet.Offline, 0, fleet.Good, 2), row("d", fleet.Offline, 0, fleet.Bad, 1)}
		sortRows(ns, by)
		var got []string
		for _, n := range ns {
			got = append(got, string(n.Node.Name))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("by %s: %v, expected %s", by, got, want)
		}
	}
}

// A node that is away shows as lost when nobody wanted that.
func TestLost(t *testing.T) {
	for kind, want := range map[string]bool{fleet.CauseUser: false, "idle": false, "schedule": false, fleet.CauseNew: false, fleet.CauseChannel: true, fleet.CauseLaunch: true, fleet.CauseHeartbeat: true, "monitor": true} {
		n := nodeRow{Status: fleet.Status{State: fleet.Offline, Cause: &fleet.OfflineCause{Kind: kind}}}
		if n.Lost() != want || strings.Contains(n.Look(), "s-lost") != want {
			t.Errorf("%s: lost %v, looks %s", kind, n.Lost(), n.Look())
		}
	}
	if (nodeRow{Status: fleet.Status{State: fleet.Online}}).Look() != "s-online" {
		t.Error("online")
	}
}

func TestWords(t *testing.T) {
	if count(1, "node") != "1 node" || count(0, "node") != "0 nodes" || count(2, "executor") != "2 executors" {
		t.Error("count")
	}
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 2: "2 bytes", 1536: "2 KiB", 3 << 20: "3.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, expected %s", n, got, want)
		}
	}
	for word, want := range map[string]string{"n1": "n1", "a b": "'a b'", "it's": `'it'\''s'`, "": ""} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s, expected %s", word, got, want)
		}
	}
	if got := stays(fleet.RetentionSpec{Kind: "schedule", Config: map[string]string{"startTimeSpec": "0 8 * * *", "upTime": "10h", "keepWhenActive": "true"}}); got != "by schedule: let it finish its work at the end, at 0 8 * * *, for 10h" {
		t.Error(got)
	}
	if got := limitWords(map[string]fleet.Limit{"disk": {Action: fleet.Warn, Bad: 5 << 30}, "clock": {Warn: 1500}}); strings.Join(got, "; ") != "clock, warning at 1.5s; disk: warn, bad at 5 GiB" {
		t.Error(got)
	}
}

// Links of a page that a proxy shows below a path lead below it, those of buttons too; what came from people is left alone.
func TestLinksBelowAPath(t *testing.T) {
	s := &site{Config: Config{URL: func() string { return "https://ci.example.org/ow" }}}
	for in, want := range map[string]string{
		`<button formaction="/nodes/a/drain">`:         `<button formaction="/ow/nodes/a/drain">`,
		`<form action="/new-node"><a href="/queue/x">`: `<form action="/ow/new-node"><a href="/ow/queue/x">`,
		`<ul data-base="/nodes-live?q=a">`:             `<ul data-base="/ow/nodes-live?q=a">`,
		`<a href="?sort=state">`:                       `<a href="?sort=state">`,
		`<a href="//elsewhere">`:                       `<a href="//elsewhere">`,
		`<input value="/opt/jdk">`:                     `<input value="/opt/jdk">`,
	} {
		if got := string(s.below([]byte(in))); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}
