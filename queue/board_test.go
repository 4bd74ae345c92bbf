package queue

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// naive is what board.place means, said without any index: it looks at every item and every node.
type naive struct {
	policy  Policy
	rules   *rules
	nodes   map[fleet.NodeName]fleet.Status
	used    map[fleet.NodeName]map[int]ItemID
	waiting map[ItemID]naiveItem
	last    map[string]fleet.NodeName
	times   times
}

type naiveItem struct {
	it   Item
	expr *label.Expr
	seq  uint64
}

func (n *naive) free(name fleet.NodeName) int {
	st, ok := n.nodes[name]
	if !ok || st.State != fleet.Online {
		return 0
	}
	for text, most := range n.policy.Limits {
		expr, _ := label.Parse(text)
		if !expr.Matches(label.In(st.Assigned)) {
			continue
		}
		inUse := 0
		for o, slots := range n.used {
			if expr.Matches(label.In(n.labels(o))) {
				inUse += len(slots)
			}
		}
		if inUse >= most {
			return 0
		}
	}
	return max(0, st.Node.Executors-len(n.used[name]))
}

// labels of a node; one that was removed while work ran on it keeps those it had, as the board does.
func (n *naive) labels(name fleet.NodeName) []string { return n.nodes[name].Assigned }

func (n *naive) admits(x naiveItem, st fleet.Status) bool {
	if x.it.Node != "" && x.it.Node != st.Node.Name {
		return false
	}
	if x.it.Node == "" && x.expr == nil && st.Node.Mode == fleet.Exclusive {
		return false
	}
	if globs, ruled := n.policy.Allow[st.Node.Name]; ruled && !slices.ContainsFunc(globs, func(g string) bool { return globMatches(g, string(x.it.Build.Job)) }) {
		return false
	}
	return x.expr.Matches(label.In(st.Assigned))
}

func (n *naive) place() []placed {
	var order []naiveItem
	for _, x := range n.waiting {
		order = append(order, x)
	}
	slices.SortFunc(order, func(a, b naiveItem) int {
		return cmp.Or(cmp.Compare(b.it.Priority, a.it.Priority), cmp.Compare(a.seq, b.seq))
	})
	var out []placed
	for _, x := range order {
		var best fleet.NodeName
		for name, st := range n.nodes {
			if n.free(name) == 0 || !n.admits(x, st) {
				continue
			}
			if best == "" || n.better(x, name, best) {
				best = name
			}
		}
		if best == "" {
			continue
		}
		slot := 0
		for n.used[best][slot] != "" {
			slot++
		}
		n.used[best][slot] = x.it.ID
		n.last[x.it.Affinity] = best
		delete(n.waiting, x.it.ID)
		out = append(out, placed{x.it.ID, best, slot})
	}
	return out
}

// better compares by score. Without what is remembered of work and distance it must be as the words say: the last node, then the
// least loaded (or the most), then the first by name.
func (n *naive) better(x naiveItem, a, b fleet.NodeName) bool {
	w, known := n.times.works.get(x.it.Affinity)
	if known || n.nodes[a].RoundTrip+n.nodes[b].RoundTrip > 0 {
		if sa, sb := n.score(x, w, a), n.score(x, w, b); sa != sb {
			return sa > sb
		}
		return a < b
	}
	if last := n.last[x.it.Affinity]; x.it.Affinity != "" && (a == last || b == last) {
		return a == last
	}
	fa, fb := n.free(a)*n.nodes[b].Node.Executors, n.free(b)*n.nodes[a].Node.Executors
	if fa != fb {
		return (fa > fb) != n.policy.Pack
	}
	return a < b
}

func (n *naive) score(x naiveItem, w *WorkTimes, name fleet.NodeName) float64 {
	st := n.nodes[name]
	c := candidate{node: name, free: n.free(name), executors: st.Node.Executors, roundTrip: st.RoundTrip, controller: name == fleet.BuiltIn,
		last: x.it.Affinity != "" && n.last[x.it.Affinity] == name, expected: n.times.expected(w)}
	if c.expected > 0 {
		c.here = n.times.here(w, name, c.expected)
	}
	return n.rules.score(&c)
}

// placed is a placement without what it was chosen from.
type placed struct {
	item ItemID
	node fleet.NodeName
	slot int
}

func placedBy(b *board, t *rapid.T) (out []placed) {
	for _, p := range b.place() {
		best := p.choice.best
		if len(best) == 0 || best[0].node != p.node || p.choice.free < len(best) || p.choice.admitted < p.choice.free {
			t.Fatalf("the choice of %s on %s: %+v", p.item, p.node, p.choice)
		}
		out = append(out, placed{p.item, p.node, p.slot})
	}
	return out
}

func drawPolicy(t *rapid.T) Policy {
	return Policy{
		Pack:   rapid.Bool().Draw(t, "pack"),
		Limits: rapid.MapOfN(rapid.SampledFrom([]string{"linux", "gpu", "docker&&linux", "!gpu"}), rapid.IntRange(0, 5), 0, 2).Draw(t, "limits"),
		Allow: rapid.MapOfN(rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3"}),
			rapid.SliceOfN(rapid.SampledFrom([]string{"a", "team/*", "**"}), 0, 2), 0, 2).Draw(t, "allow"),
	}
}

// TestPlaceAgreesWithNaive drives the indexed board and the naive reference through the same changes. Agreement implies what
// the reference has by construction: no over-commit, no refusing node, no free slot left that an item could use, priority order.
func TestPlaceAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy(t)
		r, err := policy.compile()
		if err != nil {
			t.Fatal(err)
		}
		b := newBoard(r)
		n := &naive{
			policy: policy, rules: r,
			nodes: map[fleet.NodeName]fleet.Status{}, used: map[fleet.NodeName]map[int]ItemID{}, waiting: map[ItemID]naiveItem{}, last: map[string]fleet.NodeName{},
		}
		waiters := map[ItemID]*waiter{}
		labels := []string{"linux", "docker", "gpu"}
		jobs := []build.ID{{}, {Job: "a"}, {Job: "team/x"}, {Job: "team/y/z"}}
		exprs := []string{"", "linux", "docker&&!gpu", "linux||gpu", "gpu->docker", "n1", "nowhere"}
		seq := uint64(0)
		place := func(t *rapid.T) {
			trial := placedBy(b.clone(), t) // what a copy does the board does, and a copy changes nothing
			got, want := placedBy(b, t), n.place()
			if !slices.Equal(trial, got) {
				t.Fatalf("a copy placed %v, the board %v", trial, got)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("placed %v, want %v", got, want)
			}
			for _, p := range got {
				delete(waiters, p.item)
			}
			for _, l := range b.limits {
				used := 0
				for _, p := range b.places {
					if l.expr.Matches(label.In(p.labels)) {
						used += len(p.used)
					}
				}
				if used != l.used {
					t.Fatalf("limit %s counts %d, in use are %d", l.expr, l.used, used)
				}
			}
			if b.length != len(n.waiting) {
				t.Fatalf("%d wait on the board, want %d", b.length, len(n.waiting))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": place,
			"submit": func(t *rapid.T) {
				for range rapid.IntRange(1, 6).Draw(t, "count") {
					seq++
					it := Item{
						ID: ItemID(fmt.Sprintf("i%d", seq)), Label: rapid.SampledFrom(exprs).Draw(t, "label"), Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
						Build:    rapid.SampledFrom(jobs).Draw(t, "job"),
						Affinity: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "affinity"),
						Node:     rapid.SampledFrom([]fleet.NodeName{"", "", "", "n1", "n2", "gone"}).Draw(t, "pin"),
					}
					expr, err := label.Parse(it.Label)
					if err != nil {
						t.Fatal(err)
					}
					w := &waiter{id: it.ID, affinity: it.Affinity, work: it.Affinity, job: string(it.Build.Job), priority: it.Priority, seq: seq}
					waiters[it.ID] = w
					b.add(w, expr, it.Node)
					n.waiting[it.ID] = naiveItem{it, expr, seq}
				}
			},
			"ran": func(t *rapid.T) {
				work, took := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "work"), time.Duration(rapid.IntRange(1, 1000).Draw(t, "took"))*time.Second
				node := rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3", fleet.BuiltIn}).Draw(t, "node")
				b.times.learn(work, node, took)
				n.times.learn(work, node, took)
			},
			"policy": func(t *rapid.T) {
				n.policy = drawPolicy(t)
				r, err := n.policy.compile()
				if err != nil {
					t.Fatal(err)
				}
				b, n.rules = b.ruled(r), r
			},
			"withdraw": func(t *rapid.T) {
				if len(waiters) == 0 {
					t.Skip("nothing waits")
				}
				id := rapid.SampledFrom(sortedKeys(waiters)).Draw(t, "item")
				b.remove(waiters[id])
				delete(waiters, id)
				delete(n.waiting, id)
			},
			"node": func(t *rapid.T) {
				name := rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3", fleet.BuiltIn}).Draw(t, "node")
				st := fleet.Status{
					Node: fleet.Node{
						Name: name, Executors: rapid.IntRange(0, 4).Draw(t, "executors"),
						Mode: rapid.SampledFrom([]fleet.Mode{fleet.Normal, fleet.Exclusive}).Draw(t, "mode"),
					},
					State:     rapid.SampledFrom([]fleet.State{fleet.Online, fleet.Online, fleet.Online, fleet.Suspended, fleet.Offline, fleet.Draining}).Draw(t, "state"),
					RoundTrip: rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, 200 * time.Millisecond}).Draw(t, "trip"),
				}
				st.Assigned = append(rapid.SliceOfDistinct(rapid.SampledFrom(labels), rapid.ID[string]).Draw(t, "labels"), string(name))
				slices.Sort(st.Assigned)
				b.setNode(st)
				n.nodes[name] = st
				if n.used[name] == nil {
					n.used[name] = map[int]ItemID{}
				}
			},
			"remove": func(t *rapid.T) {
				name := rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3", fleet.BuiltIn}).Draw(t, "node")
				b.removeNode(name)
				st := n.nodes[name] // a place with work on it still has its labels
				n.nodes[name] = fleet.Status{Node: fleet.Node{Name: name, Mode: st.Node.Mode}, State: fleet.Offline, Assigned: st.Assigned}
				if len(n.used[name]) == 0 {
					delete(n.nodes, name)
				}
			},
			"free": func(t *rapid.T) {
				var busy []placed
				for name, slots := range n.used {
					for slot, id := range slots {
						busy = append(busy, placed{id, name, slot})
					}
				}
				if len(busy) == 0 {
					t.Skip("nothing runs")
				}
				slices.SortFunc(busy, func(a, b placed) int { return cmp.Compare(a.item, b.item) })
				p := rapid.SampledFrom(busy).Draw(t, "slot")
				b.vacate(p.node, p.slot, p.item)
				delete(n.used[p.node], p.slot)
			},
		})
	})
}

func sortedKeys(m map[ItemID]*waiter) []ItemID {
	keys := make([]ItemID, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestIdleClassesAreBounded(t *testing.T) {
	r, err := Policy{}.compile()
	if err != nil {
		t.Fatal(err)
	}
	b := newBoard(r)
	b.setNode(fleet.Status{Node: fleet.Node{Name: "n", Executors: 1}, State: fleet.Online, Assigned: []string{"n"}})
	for i := range 5 * idleClasses {
		w := &waiter{id: ItemID(fmt.Sprint(i)), seq: uint64(i)}
		b.add(w, label.Atom(fmt.Sprintf("l%d", i)), "")
		b.place()
		b.remove(w)
	}
	if len(b.classes) > idleClasses || len(b.idle) > idleClasses {
		t.Errorf("%d classes and %d idle ones are kept, want at most %d", len(b.classes), len(b.idle), idleClasses)
	}
	if n := len(b.places["n"].active); n != 0 {
		t.Errorf("the node still knows %d classes", n)
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recent[fleet.NodeName]
	for i := range 5 * remembered {
		r.put(fmt.Sprint(i), "n")
	}
	if n := len(r.young) + len(r.old); n > 2*remembered || n < remembered {
		t.Errorf("%d affinities are remembered", n)
	}
	if _, ok := r.get(fmt.Sprint(5*remembered - 1)); !ok {
		t.Error("the newest affinity is forgotten")
	}
}
