package queue

import (
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
)

// Decision is how an item got its node: what it was chosen from, with the scores of that moment.
type Decision struct {
	Item       ItemID         `json:"item"`
	Build      build.ID       `json:"build,omitzero"`
	Epoch      uint64         `json:"epoch,omitempty"` // 0 of one that was only tried
	Node       fleet.NodeName `json:"node"`
	Executor   int            `json:"executor"`
	At         time.Time      `json:"at,omitzero"`
	Expected   time.Duration  `json:"expected,omitempty"` // of the work; 0 was not known
	Admitted   int            `json:"admitted"`           // nodes that might run such work at all
	Free       int            `json:"free"`               // of them, those with a free executor
	Candidates []Candidate    `json:"candidates"`         // the best 16 of the free ones, the chosen one first
}

// Candidate is a node as seen by an item.
type Candidate struct {
	Node      fleet.NodeName `json:"node"`
	Predicate Predicate      `json:"predicate,omitempty"` // what refuses the item; "" is nothing
	Reason    string         `json:"reason,omitempty"`    // in words
	Chosen    bool           `json:"chosen,omitempty"`
	Scored    bool           `json:"scored"` // the node may run such work, now or later: Score and Terms say how well
	Score     float64        `json:"score"`
	Terms     []Term         `json:"terms,omitempty"`
}

// Term is one part of a score.
type Term struct {
	Name   string  `json:"name"` // of the weight: last, free, speed, distance, controller
	Points float64 `json:"points"`
	Text   string  `json:"text"`
}

const decisionsKept = 4096

// decisions remembers the newest decisions, in memory only: a restart forgets them.
type decisions struct {
	of    map[ItemID]*decision
	order []*decision // a ring once it is full
	next  int
}

// decision is a Decision before it is put into words.
type decision struct {
	build  build.ID
	row    LeaseRow
	choice choice
	rules  *rules // that scored it
}

func (d *decisions) add(b build.ID, row LeaseRow, ch choice, r *rules) {
	if d.of == nil {
		d.of = map[ItemID]*decision{}
	}
	x := &decision{b, row, ch, r}
	d.of[row.Item] = x
	if len(d.order) < decisionsKept {
		d.order = append(d.order, x)
		return
	}
	old := d.order[d.next]
	if d.of[old.row.Item] == old {
		delete(d.of, old.row.Item)
	}
	d.order[d.next] = x
	d.next = (d.next + 1) % decisionsKept
}

// newest is the last decided item of a build.
func (d *decisions) newest(b build.ID) (ItemID, bool) {
	for i := range d.order {
		x := d.order[(d.next-1-i+2*len(d.order))%len(d.order)]
		if x.build == b {
			return x.row.Item, true
		}
	}
	return "", false
}

func (d *decision) say() *Decision {
	ch := &d.choice
	out := &Decision{Item: d.row.Item, Build: d.build, Epoch: d.row.Epoch, Node: d.row.Node, Executor: d.row.Executor, At: d.row.Granted,
		Expected: ch.expected, Admitted: ch.admitted, Free: ch.free, Candidates: []Candidate{}}
	for i := range ch.best {
		w := &ch.best[i]
		out.Candidates = append(out.Candidates, Candidate{Node: w.node, Chosen: w.node == d.row.Node, Scored: true, Score: w.score, Terms: d.rules.say(&w.candidate)})
	}
	return out
}
