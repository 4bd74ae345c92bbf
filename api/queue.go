package api

import "time"

// Placement explains an item of the queue: what each node is to it, and how it got its node.
type Placement struct {
	Item       QueueItem   `json:"item"`
	State      string      `json:"state" enum:"waiting,granting,leased,held,left" doc:"left is of an item that has ended."`
	Summary    string      `json:"summary"`
	Position   int         `json:"position,omitempty" doc:"Of an item that waits: those that go before it, plus one."`
	Stuck      bool        `json:"stuck,omitempty" doc:"It waits for a label without a node online, or for ten times as long as it is expected to take, or for a day."`
	Suggestion string      `json:"suggestion,omitempty" doc:"A label that exists and is near to one that does not."`
	Expected   string      `json:"expected,omitempty" doc:"How long its work is expected to take on an ordinary node; absent when nothing is known."`
	If         []string    `json:"if,omitempty" doc:"What was assumed."`
	Nodes      []Candidate `json:"nodes" doc:"Of an item that waits, or when something was assumed: every node, by name."`
	Decision   *Decision   `json:"decision,omitempty" doc:"How it got its node, or would get it. Kept in memory for the newest 4096 placements."`
}

// Decision is what a node was chosen from, with the scores of that moment.
type Decision struct {
	Node       string      `json:"node"`
	Executor   int         `json:"executor"`
	At         *time.Time  `json:"at,omitempty"`
	Admitted   int         `json:"admitted" doc:"Nodes that may run such work at all."`
	Free       int         `json:"free" doc:"Of them, those that had a free executor."`
	Candidates []Candidate `json:"candidates" doc:"The best 16 of the free ones, the chosen one first."`
}

// Candidate is a node as an item sees it.
type Candidate struct {
	Node      string   `json:"node"`
	Chosen    bool     `json:"chosen,omitempty"`
	Predicate string   `json:"predicate,omitempty" enum:"label,reserved,pinned,accepting,offline,busy,allow,limit" doc:"What refuses the item; absent when nothing does."`
	Reason    string   `json:"reason,omitempty"`
	Score     *float64 `json:"score,omitempty" doc:"Absent for a node that may never run such work."`
	Terms     []Term   `json:"terms,omitempty"`
}

// Term is one part of a score.
type Term struct {
	Name   string  `json:"name" enum:"last,free,speed,distance,controller"`
	Points float64 `json:"points"`
	Text   string  `json:"text"`
}
