package web

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/queue"
)

// waiting is an item that waits, with the reasons.
type waiting struct {
	queue.ItemStatus
	Why        string
	Position   int
	Suggestion string
	Refusals   []refusal
}

// refusal is one reason, with the nodes that have it.
type refusal struct {
	Predicate queue.Predicate
	one, many string
	Nodes     []queue.NodeReason
	More      int // nodes that are not listed
}

// Text says the reason of its nodes.
func (r refusal) Text() string {
	if r.Count() == 1 {
		return r.one
	}
	return r.many
}

// Each reports whether the nodes' reasons differ from each other; else their names are enough.
func (r refusal) Each() bool {
	return r.Predicate != queue.NoLabel && r.Predicate != queue.Reserved && r.Predicate != queue.Pinned && r.Predicate != queue.Forbidden
}

// Count is how many nodes have the reason.
func (r refusal) Count() int { return len(r.Nodes) + r.More }

// maxRefusing bounds how many nodes are listed with one reason.
const maxRefusing = 12

// reasons are what can keep a node from taking an item, the one nearest to a place first.
func reasons() []refusal {
	return []refusal{
		{Predicate: queue.Busy, one: "would take it, and all its executors are in use", many: "would take it, and all executors are in use"},
		{Predicate: queue.Limited, one: "is at a limit", many: "are at a limit"},
		{Predicate: queue.NotTaking, one: "takes no work now", many: "take no work now"},
		{Predicate: queue.IsOffline, one: "is offline", many: "are offline"},
		{Predicate: queue.Reserved, one: "is reserved for work that names its labels", many: "are reserved for work that names their labels"},
		{Predicate: queue.Forbidden, one: "is not for this job", many: "are not for this job"},
		{Predicate: queue.NoLabel, one: "does not have the labels", many: "do not have the labels"},
		{Predicate: queue.Pinned, one: "is not the node it is pinned to", many: "are not the node it is pinned to"},
	}
}

// refusals puts the nodes of an explanation under their reasons.
func refusals(ns []queue.NodeReason) (out []refusal) {
	kinds := append(reasons(), refusal{one: "does not take it", many: "do not take it"}) // whatever else
	for _, n := range ns {
		i := slices.IndexFunc(kinds, func(k refusal) bool { return k.Predicate == n.Predicate })
		if i < 0 {
			i = len(kinds) - 1
		}
		k := &kinds[i]
		if len(k.Nodes) == maxRefusing {
			k.More++
			continue
		}
		k.Nodes = append(k.Nodes, n)
	}
	return slices.DeleteFunc(kinds, func(k refusal) bool { return len(k.Nodes) == 0 })
}

// maxWhy bounds for how many items of a page the reason is computed: reasons look at every node.
const maxWhy = 100

// queuePage is what the page shows of the queue.
type queuePage struct {
	Items   []waiting
	Waiting int // in all
	Found   int // of them, those that are looked for
	Text    string
	Stuck   bool
	Quiet   string // why nothing begins
	IsQuiet bool
}

// Says is the page in a sentence, for those who hear it.
func (p queuePage) Says() string {
	switch {
	case p.Waiting == 0:
		return "Nothing waits"
	case p.Found != p.Waiting:
		return count(p.Waiting, "item") + " in the queue, " + count(p.Found, "item") + " found"
	}
	return count(p.Waiting, "item") + " in the queue"
}

// queuePage returns the first items that wait and are looked for.
func (s *site) queuePage(ctx context.Context, q url.Values) queuePage {
	p := queuePage{Text: strings.TrimSpace(q.Get("q")), Stuck: q.Get("stuck") != ""}
	p.Quiet, p.IsQuiet = s.Queue.Quieted()
	for _, st := range s.Queue.Snapshot() {
		if st.State != queue.Waiting {
			continue
		}
		p.Waiting++
		if p.Stuck && !st.Stuck || !mentions(st.Item, p.Text) {
			continue
		}
		if p.Found++; p.Found > maxWhy {
			continue
		}
		w := waiting{ItemStatus: st}
		if x, err := s.Queue.Why(ctx, st.Item.ID); err == nil {
			w.Why, w.Position, w.Suggestion, w.Refusals = x.Summary, x.Position, x.Suggestion, refusals(x.Nodes)
		}
		p.Items = append(p.Items, w)
	}
	return p
}

// mentions reports whether a text is in an item's title, job, label or node.
func mentions(it queue.Item, text string) bool {
	text = strings.ToLower(text)
	for _, s := range []string{it.Title, it.Build.String(), it.Label, string(it.Node)} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

func (s *site) queue(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "queue", view{Title: "Queue", Section: "queue", Topics: "queue nodes", Data: s.queuePage(r.Context(), r.URL.Query())})
}

// candidate is a node as seen by an item.
type candidate struct {
	queue.Candidate
	If string // a change of the node that would help; "" is none
}

// whyPage explains one item.
type whyPage struct {
	queue.Report
	If         string // what is assumed
	Problem    string // what is wrong with that
	Candidates []candidate
	More       int       // nodes that are not listed
	Never      []refusal // nodes that such work never runs on
	Others     int       // how many these are
	Of         string
}

// maxCandidates bounds how many nodes an explanation lists.
const maxCandidates = 200

// why explains an item: what each node is to it, with its score, and what would be if.
func (s *site) why(w http.ResponseWriter, r *http.Request) error {
	id, err := s.Queue.Find(r.Context(), r.PathValue("item"))
	if err != nil {
		return err
	}
	p := whyPage{If: strings.TrimSpace(r.URL.Query().Get("if"))}
	var changes []queue.Change
	for _, text := range strings.Split(p.If, ";") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		ch, err := queue.ParseChange(text)
		if err != nil {
			p.Problem = err.Error()
			break
		}
		changes = append(changes, ch)
	}
	if p.Problem != "" {
		changes = nil
	}
	p.Report, err = s.Queue.Explain(r.Context(), id, changes...)
	if err != nil && len(changes) > 0 { // a node that there is not, or an item that has ended
		p.Problem = err.Error()
		p.Report, err = s.Queue.Explain(r.Context(), id)
	}
	if err != nil {
		return err
	}
	p.list()
	title := p.Item.Title
	if title == "" {
		title = string(id)
	}
	return s.show(w, r, "why", view{Title: "Why: " + title, Section: "queue", Topics: "queue nodes", Data: p})
}

// list puts the nodes that may run it in the order of their scores, and the others under their reasons.
func (p *whyPage) list() {
	all := p.Nodes
	p.Of = "now"
	if p.Decision != nil && len(all) == 0 {
		all, p.Of = p.Decision.Candidates, "when it was decided"
	}
	var never []queue.NodeReason
	for _, c := range all {
		if !c.Scored && !c.Chosen {
			never = append(never, queue.NodeReason{Node: c.Node, Reason: c.Reason, Predicate: c.Predicate})
			continue
		}
		p.Candidates = append(p.Candidates, candidate{c, helpful(c)})
	}
	slices.SortStableFunc(p.Candidates, func(a, b candidate) int {
		switch {
		case a.Chosen != b.Chosen && a.Chosen:
			return -1
		case a.Chosen != b.Chosen:
			return 1
		}
		return cmp.Compare(b.Score, a.Score)
	})
	p.More = max(0, len(p.Candidates)-maxCandidates)
	p.Candidates = p.Candidates[:len(p.Candidates)-p.More]
	p.Never, p.Others = refusals(never), len(never)
}

// helpful is a change of a node that would let it take an item.
func helpful(c queue.Candidate) string {
	if c.Predicate == queue.IsOffline || c.Predicate == queue.NotTaking {
		return "node " + string(c.Node) + " online"
	}
	return ""
}

func whyPath(id queue.ItemID) template.URL {
	return template.URL("/why/" + url.PathEscape(string(id)))
}
