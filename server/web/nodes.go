package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/filter"
)

// nodeRow is a node in a table.
type nodeRow struct {
	fleet.Status
	Busy []queue.ItemStatus
	Free int // executors that take work now
}

// Worst is the worst finding of the node's monitors; its Level is "" when all is good.
func (n nodeRow) Worst() (worst fleet.Verdict) {
	for _, v := range n.Monitors {
		if v.Level == fleet.Bad || v.Level == fleet.Warning && worst.Level != fleet.Bad {
			worst = v
		}
	}
	return worst
}

// Host is the machine in few words.
func (n nodeRow) Host() string {
	if n.Machine.OS == "" {
		return ""
	}
	return n.Machine.OS + "/" + n.Machine.Arch
}

func (s *site) nodeRows(f filter.Filter) []nodeRow {
	busy := map[fleet.NodeName][]queue.ItemStatus{}
	for _, it := range s.Queue.Snapshot() {
		if it.Grant != nil {
			busy[it.Grant.Node] = append(busy[it.Grant.Node], it)
		}
	}
	var out []nodeRow
	for _, st := range s.Fleet.Snapshot() {
		xs := busy[st.Node.Name]
		if !f.Admits(st, len(xs)) {
			continue
		}
		slices.SortFunc(xs, func(a, b queue.ItemStatus) int { return a.Grant.Executor - b.Grant.Executor })
		out = append(out, newRow(st, xs))
	}
	return out
}

func newRow(st fleet.Status, busy []queue.ItemStatus) nodeRow {
	row := nodeRow{Status: st, Busy: busy}
	if st.State == fleet.Online {
		row.Free = max(0, st.Node.Executors-len(busy))
	}
	return row
}

// tally counts the nodes of a state.
type tally struct {
	State fleet.State
	Count int
	Query string // of the page that shows them alone
	Now   bool   // they are shown alone
}

// inFull is how many nodes a page shows with all that is known in a line; more are shown as cells.
const inFull = 60

type nodesPage struct {
	Nodes   []nodeRow
	Total   int // in the farm
	Tallies []tally
	Busy    int // executors at work on the nodes shown
	Slots   int // executors of the connected ones of them
	Query   url.Values
	Dense   bool   // show cells
	Problem string // what is wrong with the expression
}

// Live is where the changes of the page come from.
func (p nodesPage) Live() string { return "/nodes-live?" + p.Query.Encode() }

func (p nodesPage) Text() string  { return p.Query.Get("q") }
func (p nodesPage) State() string { return p.Query.Get("state") }

func (s *site) nodes(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "nodes", view{Title: "Nodes", Section: "nodes", Topics: "nodes queue", Data: s.nodesPage(r.URL.Query())})
}

// nodesPage is what a query shows of the farm.
func (s *site) nodesPage(q url.Values) nodesPage {
	q.Del("fragment")
	p := nodesPage{Query: q}
	f, err := chosen(q.Get("q"))
	if err != nil {
		p.Problem = err.Error()
	}
	f.State = fleet.State(q.Get("state"))
	of := map[fleet.State]int{}
	all := s.nodeRows(filter.Filter{})
	for _, n := range all {
		of[n.State]++
		if err == nil && f.Admits(n.Status, len(n.Busy)) {
			p.Nodes = append(p.Nodes, n)
			p.Busy += len(n.Busy)
			p.Slots += len(n.Busy) + n.Free
		}
	}
	p.Total = len(all)
	for _, st := range []fleet.State{fleet.Online, fleet.Draining, fleet.Suspended, fleet.Connecting, fleet.Offline} {
		t := url.Values{"state": {string(st)}}
		if text := q.Get("q"); text != "" {
			t.Set("q", text)
		}
		p.Tallies = append(p.Tallies, tally{st, of[st], t.Encode(), st == f.State})
	}
	p.Dense = cmp.Or(q.Get("view"), map[bool]string{true: "cells", false: "rows"}[len(p.Nodes) > inFull]) == "cells"
	return p
}

// chosen reads what somebody looks for: an expression when it has an operator in it, else part of a text.
func chosen(text string) (filter.Filter, error) {
	if strings.ContainsAny(text, `&|!<>()"`) {
		return filter.Where(text)
	}
	return filter.Filter{Text: strings.TrimSpace(text)}, nil
}

// order does something to a node, and shows the node.
func (s *site) order(which fleet.Verb) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		verb, name := which, fleet.NodeName(r.PathValue("node"))
		if verb == fleet.VerbOffline && r.PostFormValue("verb") == string(fleet.VerbDrain) {
			verb = fleet.VerbDrain
		}
		if err := s.orderOne(r.Context(), name, verb, r.PostFormValue("reason")); err != nil {
			return err
		}
		http.Redirect(w, r, string(nodePath(name)), http.StatusSeeOther)
		return nil
	}
}

func (s *site) orderOne(ctx context.Context, name fleet.NodeName, verb fleet.Verb, reason string) error {
	done, err := s.Fleet.Bulk(ctx, []fleet.NodeName{name}, fleet.Order{Verb: verb, Cause: fleet.ByUser(auth.From(ctx).User, reason)})
	if err == nil && len(done) == 0 {
		return fault.New(fault.NotFound, "there is no node %q", name)
	}
	return err
}
