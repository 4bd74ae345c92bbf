package web

import (
	"cmp"
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
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

// Lost reports whether the node is away though nobody wanted that.
func (n nodeRow) Lost() bool {
	if n.State != fleet.Offline || n.Cause == nil {
		return false
	}
	switch n.Cause.Kind {
	case fleet.CauseChannel, fleet.CauseLaunch, fleet.CauseHeartbeat, monitor.CauseMonitor:
		return true
	}
	return false
}

// Look is the class by which a node's state shows.
func (n nodeRow) Look() string {
	if n.Lost() {
		return "s-offline s-lost"
	}
	return "s-" + string(n.State)
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
		sortBusy(xs)
		out = append(out, newRow(st, xs))
	}
	return out
}

// sortBusy sorts what runs on a node by executor.
func sortBusy(xs []queue.ItemStatus) {
	slices.SortFunc(xs, func(a, b queue.ItemStatus) int { return a.Grant.Executor - b.Grant.Executor })
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
	Query template.URL // of the page that shows them alone
	Now   bool         // they are shown alone
}

const (
	inFull  = 60  // nodes that a page shows with all that is known in a line; more are shown as cells
	maxRows = 200 // lines that a page has when somebody asks for lines
)

type nodesPage struct {
	Nodes   []nodeRow
	Total   int // in the farm
	Tallies []tally
	Busy    int // executors at work on the nodes shown
	Slots   int // executors of the connected ones of them
	Query   url.Values
	Dense   bool   // show cells
	Admin   bool   // who looks may act on them
	Problem string // what is wrong with the expression
	Sorts   []option
}

// Live is where the changes of the page come from.
func (p nodesPage) Live() string { return "/nodes-live?" + p.Query.Encode() }

func (p nodesPage) Text() string  { return p.Query.Get("q") }
func (p nodesPage) State() string { return p.Query.Get("state") }
func (p nodesPage) Sort() string  { return cmp.Or(p.Query.Get("sort"), "name") }

// As is the query of the same page in another view: rows or cells.
func (p nodesPage) As(view string) template.URL { return p.with("view", view) }

// Everything is the query of the page of all nodes.
func (p nodesPage) Everything() template.URL { return p.with("state", "") }

func (p nodesPage) with(key, value string) template.URL {
	q := maps.Clone(p.Query)
	if q.Set(key, value); value == "" {
		q.Del(key)
	}
	return template.URL(q.Encode())
}

// Rows are the nodes that are shown in lines, and More how many are not.
func (p nodesPage) Rows() []nodeRow { return p.Nodes[:min(len(p.Nodes), maxRows)] }
func (p nodesPage) More() int       { return len(p.Nodes) - len(p.Rows()) }

// Cells are the nodes as cells.
func (p nodesPage) Cells() (cs []cell) {
	for _, n := range p.Nodes {
		cs = append(cs, cell{n, p.Admin})
	}
	return cs
}

// cell is a node in few words.
type cell struct {
	nodeRow
	Admin bool // who looks may choose it
}

func (s *site) nodes(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "nodes", view{Title: "Nodes", Section: "nodes", Topics: "nodes queue", Data: s.nodesPage(r)})
}

// nodesPage is what a request's query shows of the farm.
func (s *site) nodesPage(r *http.Request) nodesPage {
	q := r.URL.Query()
	q.Del("fragment")
	for _, k := range []string{"q", "state", "sort"} { // inputs that are empty
		if q.Get(k) == "" {
			q.Del(k)
		}
	}
	p := nodesPage{Query: q, Admin: auth.From(r.Context()).May(auth.Admin), Sorts: sorts()}
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
	sortRows(p.Nodes, p.Sort())
	p.Total = len(all)
	for _, st := range lifeOrder() {
		p.Tallies = append(p.Tallies, tally{st, of[st], p.with("state", string(st)), st == f.State})
	}
	p.Dense = cmp.Or(q.Get("view"), map[bool]string{true: "cells", false: "rows"}[len(p.Nodes) > inFull]) == "cells"
	return p
}

// lifeOrder is how states are listed: those that work first.
func lifeOrder() []fleet.State {
	return []fleet.State{fleet.Online, fleet.Draining, fleet.Suspended, fleet.Connecting, fleet.Offline}
}

func sorts() []option {
	return []option{{"name", "name"}, {"state", "state, the worst first"}, {"health", "health, the worst first"}, {"work", "work, the most first"}, {"changed", "change, the newest first"}}
}

// sortRows sorts nodes, which are by name, by something else; equal ones stay by name.
func sortRows(ns []nodeRow, by string) {
	order := lifeOrder()
	compare := map[string]func(a, b nodeRow) int{
		"state":   func(a, b nodeRow) int { return slices.Index(order, b.State) - slices.Index(order, a.State) },
		"health":  func(a, b nodeRow) int { return badness(b.Worst()) - badness(a.Worst()) },
		"work":    func(a, b nodeRow) int { return len(b.Busy) - len(a.Busy) },
		"changed": func(a, b nodeRow) int { return b.Since.Compare(a.Since) },
	}[by]
	if compare != nil {
		slices.SortStableFunc(ns, compare)
	}
}

func badness(v fleet.Verdict) int {
	return slices.Index([]fleet.Level{fleet.Good, fleet.Warning, fleet.Bad}, v.Level)
}

// chosen reads what somebody looks for: an expression when it has an operator in it, else part of a text.
func chosen(text string) (filter.Filter, error) {
	if strings.ContainsAny(text, `&|!<>()"`) {
		return filter.Where(text)
	}
	return filter.Filter{Text: strings.TrimSpace(text)}, nil
}

// order does something to a node, and shows the node.
func (s *site) order(verb fleet.Verb) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		name := fleet.NodeName(r.PathValue("node"))
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
