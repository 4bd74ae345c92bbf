package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/filter"
)

// verb is something that is done to many nodes.
type verb struct {
	Verb   fleet.Verb
	Title  string // for people, as in "Take offline 3 nodes"
	Reason bool   // somebody will want to know why
}

func verbs() []verb {
	return []verb{{fleet.VerbOffline, "Take offline", true}, {fleet.VerbDrain, "Drain", true}, {fleet.VerbOnline, "Bring back online", false},
		{fleet.VerbDisconnect, "Disconnect", true}, {fleet.VerbReconnect, "Reconnect", false}}
}

// chosenRow is a node that is meant, or was.
type chosenRow struct {
	nodeRow
	Outcome string // of a node to which something was done
}

// ordersPage is what the page shows of what is to be done to many nodes, or was done.
type ordersPage struct {
	Verbs    []verb
	Verb     verb
	Where    string
	Reason   string
	Rows     []chosenRow
	Done     bool
	Missing  []string // names of no node
	Problems problems
	Asked    bool // somebody said which nodes
}

// Problem is what is wrong with an input.
func (p ordersPage) Problem(field string) string { return p.Problems.Of(field) }

// Did counts the nodes to which it was done.
func (p ordersPage) Did() int { return len(p.Rows) }

func (p ordersPage) Title() string {
	switch {
	case p.Done:
		return p.Verb.Title + ": " + count(len(p.Rows), "node")
	case p.Asked && len(p.Rows) > 0:
		return p.Verb.Title + " " + count(len(p.Rows), "node") + "?"
	}
	return "Act on nodes"
}

// readOrder reads which nodes are meant, by name, by an expression, or all that the page of nodes shows, and what is to be done.
func (s *site) readOrder(v url.Values) (p ordersPage, err error) {
	p = ordersPage{Verbs: verbs(), Where: strings.TrimSpace(v.Get("where")), Reason: text(v.Get("reason"))}
	i := slices.IndexFunc(p.Verbs, func(o verb) bool { return string(o.Verb) == v.Get("verb") })
	if i < 0 && v.Has("verb") {
		return p, fault.New(fault.Invalid, "%q: expected offline, drain, online, disconnect or reconnect", v.Get("verb"))
	}
	p.Verb = p.Verbs[max(i, 0)]
	all := s.nodeRows(filter.Filter{})
	switch {
	case v.Get("all") != "":
		p.Asked = true
		f, err := chosen(v.Get("q"))
		if err != nil {
			p.Problems.add("where", "Nodes", "%v", err)
		}
		f.State = fleet.State(v.Get("state"))
		p.add(all, func(n nodeRow) bool { return err == nil && f.Admits(n.Status, len(n.Busy)) })
	case v.Has("node") && (v.Get("show") == "" || p.Where == ""):
		p.Asked = true
		names := map[string]bool{}
		for _, n := range v["node"] {
			names[n] = true
		}
		p.add(all, func(n nodeRow) bool { return names[string(n.Node.Name)] })
		for _, r := range p.Rows {
			delete(names, string(r.Node.Name))
		}
		for n := range names {
			p.Missing = append(p.Missing, n)
		}
		slices.Sort(p.Missing)
	case p.Where != "":
		p.Asked = true
		f, err := filter.Where(p.Where)
		if err != nil {
			p.Problems.add("where", "Nodes", "%s", strings.TrimPrefix(err.Error(), "where: "))
		}
		p.add(all, func(n nodeRow) bool { return err == nil && f.Admits(n.Status, len(n.Busy)) })
	}
	return p, nil
}

func (p *ordersPage) add(all []nodeRow, meant func(n nodeRow) bool) {
	for _, n := range all {
		if meant(n) {
			p.Rows = append(p.Rows, chosenRow{nodeRow: n})
		}
	}
}

// preview shows which nodes are meant before anything is done to them.
func (s *site) preview(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if r.Method == http.MethodPost {
		var err error
		if v, err = readForm(w, r); err != nil {
			return err
		}
	}
	p, err := s.readOrder(v)
	if err != nil {
		return err
	}
	return s.showOrder(w, r, p)
}

func (s *site) showOrder(w http.ResponseWriter, r *http.Request, p ordersPage) error {
	status, title := http.StatusOK, p.Title()
	if len(p.Problems) > 0 {
		status, title = http.StatusUnprocessableEntity, "Error: "+title
	}
	return s.showAs(w, r, status, "orders", view{Title: title, Section: "nodes", Data: p})
}

// carryOut does to nodes what was previewed: to those that are ticked, whatever has changed on them since.
func (s *site) carryOut(w http.ResponseWriter, r *http.Request) error {
	v, err := readForm(w, r)
	if err != nil {
		return err
	}
	if v.Get("show") == "" {
		v.Del("all")
	}
	p, err := s.readOrder(v)
	if err != nil {
		return err
	}
	if p.Verb.Reason && p.Reason == "" {
		p.Problems.add("reason", "Reason", "expected a reason: whoever finds the nodes like this will want to know why")
	}
	if !v.Has("node") {
		p.Problems.add("node", "Nodes", "none is chosen")
	}
	if len(p.Problems) > 0 {
		return s.showOrder(w, r, p)
	}
	names := make([]fleet.NodeName, len(p.Rows))
	for i, row := range p.Rows {
		names[i] = row.Node.Name
	}
	by := auth.From(r.Context()).User
	done, err := s.Fleet.Bulk(r.Context(), names, fleet.Order{Verb: p.Verb.Verb, Cause: fleet.ByUser(by, p.Reason)})
	if err != nil {
		return err
	}
	s.Log.Info("nodes ordered", "verb", p.Verb.Verb, "nodes", len(done), "by", by)
	p.Done = true
	p.outcomes(s, done)
	return s.showOrder(w, r, p)
}

// outcomes tells of each node what came of it.
func (p *ordersPage) outcomes(s *site, done []fleet.NodeName) {
	var rows []chosenRow
	for _, row := range p.Rows {
		st, ok := s.Fleet.Node(row.Node.Name)
		if !ok || !slices.Contains(done, row.Node.Name) {
			p.Missing = append(p.Missing, string(row.Node.Name))
			continue
		}
		row.Outcome = outcome(p.Verb.Verb, row.nodeRow, s.Fleet.Launches(st.Node))
		row.nodeRow = newRow(st, row.Busy)
		rows = append(rows, row)
	}
	p.Rows = rows
}

// outcome is what an order did to a node, in words. before is the node as it was.
func outcome(o fleet.Verb, before nodeRow, launches bool) string {
	connected := before.State != fleet.Offline && before.State != fleet.Connecting
	goesOn := ""
	if n := len(before.Busy); n > 0 {
		goesOn = fmt.Sprintf("; what it does goes on (%s)", count(n, "executor"))
	}
	switch o {
	case fleet.VerbOffline, fleet.VerbDrain:
		if before.Node.Offline != nil {
			return "was taken off before; the reason is the new one" + goesOn
		}
		return "takes no new work" + goesOn
	case fleet.VerbOnline:
		switch {
		case before.Node.Offline == nil:
			return "was not taken off"
		case !connected:
			return "takes work again when it is connected"
		}
		return "takes work again"
	case fleet.VerbDisconnect:
		if !connected {
			return "was not connected, and stays so"
		}
		return "disconnected" + goesOn
	}
	if !launches {
		return "its agent has to dial, and may now"
	}
	return "is being connected" + goesOn
}
