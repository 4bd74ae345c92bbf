package queue

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// candidate is all that the score of a node for an item depends on.
type candidate struct {
	node       fleet.NodeName
	free       int // executors
	executors  int
	last       bool          // it ran this work last
	controller bool          // it is the controller's own machine
	roundTrip  time.Duration // of its heartbeats; 0 is not known
	expected   time.Duration // of the work on a node of ordinary speed; 0 is not known
	here       time.Duration // of the work on this node; 0 is not known
}

// The terms of a score.
const (
	lastTerm = iota
	freeTerm
	speedTerm
	distanceTerm
	controllerTerm
	termCount
)

var termNames = [termCount]string{"last", "free", "speed", "distance", "controller"}

const (
	near      = 5 * time.Millisecond // round trips up to this are as good as none: they vary more than they matter
	farUnit   = 100 * time.Millisecond
	farMost   = 5 // units
	speedMost = 4 // doublings
)

// terms is the score of a candidate, term by term. It is pure: what decides and what explains call the same.
func (r *rules) terms(c *candidate) (t [termCount]float64) {
	if c.last {
		t[lastTerm] = r.weights.Last
	}
	if c.executors > 0 {
		part := float64(c.free) / float64(c.executors)
		if r.pack {
			part = 1 - part
		}
		t[freeTerm] = r.weights.Free * part
	}
	if far := c.roundTrip - near; far > 0 {
		t[distanceTerm] = -r.weights.Distance * min(float64(far)/float64(farUnit), farMost)
	}
	if c.expected <= 0 {
		return t
	}
	length := min(float64(c.expected)/float64(r.long), 1)
	if c.here > 0 {
		faster := math.Log2(float64(c.expected) / float64(c.here))
		t[speedTerm] = r.weights.Speed * length * max(-speedMost, min(faster, speedMost))
	}
	if c.controller {
		t[controllerTerm] = -r.weights.Controller * length
	}
	return t
}

func (r *rules) score(c *candidate) float64 {
	sum := 0.0
	for _, t := range r.terms(c) {
		sum += t
	}
	return sum
}

// say puts the terms into words; those that give nothing are left out.
func (r *rules) say(c *candidate) []Term {
	out := []Term{}
	for i, points := range r.terms(c) {
		if points == 0 {
			continue
		}
		text := ""
		switch i {
		case lastTerm:
			text = "it ran this work last"
		case freeTerm:
			text = fmt.Sprintf("%d of %d executors free", c.free, c.executors)
			if r.pack {
				text += ", fuller ones first"
			}
		case speedTerm:
			text = fmt.Sprintf("expected to take %s here, %s on an ordinary node", short(c.here), short(c.expected))
		case distanceTerm:
			text = fmt.Sprintf("round trip of %v", c.roundTrip.Round(time.Millisecond))
		case controllerTerm:
			text = fmt.Sprintf("the controller’s own machine, for work of %s", short(c.expected))
		}
		out = append(out, Term{Name: termNames[i], Points: points, Text: text})
	}
	return out
}

func short(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// weighed is a candidate and its score.
type weighed struct {
	candidate
	score float64
}

func (w *weighed) better(o *weighed) bool {
	if w.score != o.score {
		return w.score > o.score
	}
	return w.node < o.node
}

const shown = 16 // candidates that a decision remembers

// insert keeps the best candidates, the best first.
func insert(best []weighed, w weighed) []weighed {
	if len(best) == shown && !w.better(&best[shown-1]) {
		return best
	}
	at := len(best)
	for at > 0 && w.better(&best[at-1]) {
		at--
	}
	if len(best) == shown {
		best = best[:shown-1]
	}
	return slices.Insert(best, at, w)
}
