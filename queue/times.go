package queue

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// WorkTimes is how long one kind of work took, by the nodes it ran on. It is a value: whoever has one does not change it.
type WorkTimes struct {
	Work  string      `json:"work"`  // Item.Work, or Item.Affinity
	Nodes []NodeTimes `json:"nodes"` // the one that ran it last comes last
}

// NodeTimes is how long work took on one node.
type NodeTimes struct {
	Node fleet.NodeName  `json:"node"`
	Last []time.Duration `json:"last"` // of the newest runs, the newest last
}

const (
	timedRuns  = 5   // of a work on a node
	timedNodes = 16  // of a work
	speedStep  = 0.2 // of the way to what a run says
	speedLimit = 3.0 // of the logarithm: about 20 times as fast or slow
)

// typical is the median: one run that was broken off does not move it.
func (t NodeTimes) typical() time.Duration { return median(t.Last) }

func median(all []time.Duration) time.Duration {
	var room [timedNodes]time.Duration
	sorted := append(room[:0], all...)
	slices.Sort(sorted)
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// on is how long the work takes on a node; 0 is not known.
func (w *WorkTimes) on(n fleet.NodeName) time.Duration {
	if w == nil {
		return 0
	}
	for i := range w.Nodes {
		if w.Nodes[i].Node == n {
			return w.Nodes[i].typical()
		}
	}
	return 0
}

// with is w and one more run.
func (w *WorkTimes) with(work string, n fleet.NodeName, took time.Duration) *WorkTimes {
	out := &WorkTimes{Work: work}
	mine := NodeTimes{Node: n}
	if w != nil {
		for _, t := range w.Nodes {
			if t.Node == n {
				mine.Last = slices.Clone(t.Last)
			} else {
				out.Nodes = append(out.Nodes, t)
			}
		}
	}
	mine.Last = append(mine.Last, took)
	mine.Last = mine.Last[max(0, len(mine.Last)-timedRuns):]
	out.Nodes = append(out.Nodes, mine)
	out.Nodes = out.Nodes[max(0, len(out.Nodes)-timedNodes):]
	return out
}

// times remembers how long work took, and what follows from that for the speed of nodes: on which the same work is done sooner.
type times struct {
	works  recent[*WorkTimes]
	speeds map[fleet.NodeName]float64 // logarithm; 0 is an ordinary node
}

// learn hears of a run.
func (t *times) learn(work string, n fleet.NodeName, took time.Duration) *WorkTimes {
	old, _ := t.works.get(work)
	w := old.with(work, n, max(took, time.Millisecond))
	t.works.put(work, w)
	t.compare(w)
	return w
}

// compare learns the speed of nodes from a work that several have done.
func (t *times) compare(w *WorkTimes) {
	if len(w.Nodes) < 2 {
		return
	}
	var room [timedNodes]time.Duration
	all := room[:0]
	for _, x := range w.Nodes {
		all = append(all, x.typical())
	}
	ordinary := float64(median(all))
	if t.speeds == nil {
		t.speeds = map[fleet.NodeName]float64{}
	}
	for i, x := range w.Nodes {
		speed := t.speeds[x.Node]
		speed += speedStep * (math.Log(ordinary/float64(all[i])) - speed)
		t.speeds[x.Node] = max(-speedLimit, min(speed, speedLimit))
	}
}

// restore takes what a ledger has kept. The speeds follow again from the works.
func (t *times) restore(all []WorkTimes) {
	for _, w := range all {
		t.works.put(w.Work, &w)
		for _, x := range w.Nodes { // as often as it ran, as far as that is known
			for range x.Last {
				t.compare(&w)
			}
		}
	}
}

// speed of a node; 1 is ordinary, 2 needs half the time.
func (t *times) speed(n fleet.NodeName) float64 {
	if s, ok := t.speeds[n]; ok {
		return math.Exp(s)
	}
	return 1
}

// expected is how long work takes on a node of ordinary speed; 0 is not known.
func (t *times) expected(w *WorkTimes) time.Duration {
	if w == nil {
		return 0
	}
	var room [timedNodes]time.Duration
	all := room[:0]
	for _, x := range w.Nodes {
		all = append(all, time.Duration(float64(x.typical())*t.speed(x.Node)))
	}
	return median(all)
}

// here is how long work takes on a node: as long as it did there, or as long as the node's speed lets one expect.
func (t *times) here(w *WorkTimes, n fleet.NodeName, expected time.Duration) time.Duration {
	if d := w.on(n); d > 0 {
		return d
	}
	return time.Duration(float64(expected) / t.speed(n))
}

func (t *times) clone() times { return times{t.works.clone(), maps.Clone(t.speeds)} }
