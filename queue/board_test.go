package queue

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// naive is what board.place means, said without any index: it looks at every item and every node.
type naive struct {
	nodes   map[fleet.NodeName]fleet.Status
	used    map[fleet.NodeName]map[int]ItemID
	waiting map[ItemID]naiveItem
	last    map[string]fleet.NodeName
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
	return max(0, st.Node.Executors-len(n.used[name]))
}

func (n *naive) admits(x naiveItem, st fleet.Status) bool {
	if x.it.Node != "" && x.it.Node != st.Node.Name {
		return false
	}
	if x.it.Node == "" && x.expr == nil && st.Node.Mode == fleet.Exclusive {
		return false
	}
	return x.expr.Matches(label.In(st.Assigned))
}

func (n *naive) place() []placement {
	var order []naiveItem
	for _, x := range n.waiting {
		order = append(order, x)
	}
	slices.SortFunc(order, func(a, b naiveItem) int {
		return cmp.Or(cmp.Compare(b.it.Priority, a.it.Priority), cmp.Compare(a.seq, b.seq))
	})
	var out []placement
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
		out = append(out, placement{x.it.ID, best, slot})
	}
	return out
}

func (n *naive) better(x naiveItem, a, b fleet.NodeName) bool {
	if last := n.last[x.it.Affinity]; x.it.Affinity != "" && (a == last || b == last) {
		return a == last
	}
	fa, fb := n.free(a)*n.nodes[b].Node.Executors, n.free(b)*n.nodes[a].Node.Executors
	if fa != fb {
		return fa > fb
	}
	return a < b
}

// TestPlaceAgreesWithNaive drives the indexed board and the naive reference through the same changes. Agreement implies what
// the reference has by construction: no over-commit, no refusing node, no free slot left that an item could use, priority order.
func TestPlaceAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard()
		n := &naive{
			nodes: map[fleet.NodeName]fleet.Status{}, used: map[fleet.NodeName]map[int]ItemID{}, waiting: map[ItemID]naiveItem{}, last: map[string]fleet.NodeName{},
		}
		waiters := map[ItemID]*waiter{}
		labels := []string{"linux", "docker", "gpu"}
		exprs := []string{"", "linux", "docker&&!gpu", "linux||gpu", "gpu->docker", "n1", "nowhere"}
		seq := uint64(0)
		place := func(t *rapid.T) {
			got, want := b.place(), n.place()
			if !slices.Equal(got, want) {
				t.Fatalf("placed %v, want %v", got, want)
			}
			for _, p := range got {
				delete(waiters, p.item)
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
						Affinity: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "affinity"),
						Node:     rapid.SampledFrom([]fleet.NodeName{"", "", "", "n1", "n2", "gone"}).Draw(t, "pin"),
					}
					expr, err := label.Parse(it.Label)
					if err != nil {
						t.Fatal(err)
					}
					w := &waiter{id: it.ID, affinity: it.Affinity, priority: it.Priority, seq: seq}
					waiters[it.ID] = w
					b.add(w, expr, it.Node)
					n.waiting[it.ID] = naiveItem{it, expr, seq}
				}
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
				name := rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3", "n4"}).Draw(t, "node")
				st := fleet.Status{
					Node: fleet.Node{
						Name: name, Executors: rapid.IntRange(0, 4).Draw(t, "executors"),
						Mode: rapid.SampledFrom([]fleet.Mode{fleet.Normal, fleet.Exclusive}).Draw(t, "mode"),
					},
					State: rapid.SampledFrom([]fleet.State{fleet.Online, fleet.Online, fleet.Online, fleet.Suspended, fleet.Offline, fleet.Draining}).Draw(t, "state"),
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
				name := rapid.SampledFrom([]fleet.NodeName{"n1", "n2", "n3", "n4"}).Draw(t, "node")
				b.removeNode(name)
				delete(n.nodes, name)
			},
			"free": func(t *rapid.T) {
				var busy []placement
				for name, slots := range n.used {
					for slot, id := range slots {
						busy = append(busy, placement{id, name, slot})
					}
				}
				if len(busy) == 0 {
					t.Skip("nothing runs")
				}
				slices.SortFunc(busy, func(a, b placement) int { return cmp.Compare(a.item, b.item) })
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
	b := newBoard()
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
	var r recent
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
