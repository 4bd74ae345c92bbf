package web

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

// gauge is a monitor with a small graph of what it saw.
type gauge struct {
	Name  string
	Level string // good, warning or bad
	Text  string
	Full  time.Time
	Graph template.HTML
}

type nodePage struct {
	Node     nodeRow
	Launches bool
	Examines bool // the way to it can be looked at
	Gauges   []gauge
	Records  []fleet.Record
	Log      string
	Owner    string          // the file that looks after it
	Keys     []fleet.HostKey // by which its hosts are known; of an admin's page
	Env      []pairRow
	Tools    []pairRow
	Allow    []string // the only jobs that may run on it
	Stays    string   // when it is connected, in words; "" is always
	Limits   []string
}

func (s *site) node(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	n, name := st.Node, st.Node.Name
	p := nodePage{Node: newRow(st, s.running(name)), Launches: s.Fleet.Launches(n), Env: pairRows(n.Env), Tools: pairRows(n.Tools), Stays: stays(n.Retention), Limits: limitWords(n.Monitors)}
	p.Examines = n.Launcher.Kind != ownLauncher
	p.Owner, _ = s.Owner(name)
	p.Allow = s.Allow(name)
	if auth.From(r.Context()).May(auth.Admin) {
		if p.Keys, err = s.Fleet.HostKeys(r.Context(), name); err != nil && !fault.Is(err, fault.Conflict) {
			s.Log.Warn("read the host keys of a node", "node", name, "error", err)
		}
	}
	if p.Gauges, err = s.gauges(st); err != nil {
		return err
	}
	if p.Records, err = s.Fleet.History(r.Context(), name); err != nil {
		return err
	}
	p.Records = p.Records[:min(len(p.Records), 20)]
	text, _, err := s.Fleet.Log(name, 0)
	if err != nil {
		return err
	}
	p.Log = lastLines(string(text), 300)
	return s.show(w, r, "node", view{Title: string(name), Section: "nodes", Topics: "nodes queue", Data: p})
}

// pairRows lists a map by name.
func pairRows(m map[string]string) (rows []pairRow) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, pairRow{k, m[k]})
	}
	return rows
}

// stays says how long a node stays connected, if not always.
func stays(r fleet.RetentionSpec) string {
	if r.Kind == "" || r.Kind == "always" {
		return ""
	}
	k, _ := kindOf(retentionKinds(), r.Kind)
	var with []string
	for _, s := range pairRows(r.Config) {
		words := s.Name + " " + s.Value
		if x := k.setting(s.Name); x != nil && x.Type == "check" {
			words = lower(x.Label)
		} else if x != nil {
			words = lower(x.Label) + " " + s.Value
		}
		with = append(with, words)
	}
	if len(with) == 0 {
		return lower(k.Title)
	}
	return lower(k.Title) + ": " + strings.Join(with, ", ")
}

// limitWords says which limits differ on a node.
func limitWords(all map[string]fleet.Limit) (words []string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		l := all[name]
		w := name
		if l.Action != "" {
			w += ": " + string(l.Action)
		}
		if l.Bad != 0 {
			w += ", bad at " + limitText(name, l.Bad)
		}
		if l.Warn != 0 {
			w += ", warning at " + limitText(name, l.Warn)
		}
		words = append(words, w)
	}
	return words
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// gauges lists the monitors by name, with a day of each that is a number, and how much work the machine has.
func (s *site) gauges(st fleet.Status) (gs []gauge, err error) {
	since := s.Now().Add(-24 * time.Hour)
	series := func(q string) ([]fleet.Point, error) { return s.Fleet.Series(st.Node.Name, fleet.Quantity(q), since) }
	for _, name := range slices.Sorted(maps.Keys(st.Monitors)) {
		v := st.Monitors[name]
		g := gauge{Name: name, Level: "good", Text: v.Text, Full: v.Full}
		if v.Level != fleet.Good {
			g.Level = string(v.Level)
		}
		ps, err := series(name)
		if err != nil {
			return nil, err
		}
		g.Graph = sparkline(ps, since, s.Now())
		gs = append(gs, g)
	}
	ps, err := series("load")
	if err == nil && len(ps) > 0 {
		gs = append(gs, gauge{Name: "load", Level: "good", Text: fmt.Sprintf("%.2f on %d CPUs", st.Vitals.Load, st.Vitals.CPUs), Graph: sparkline(ps, since, s.Now())})
	}
	return gs, err
}

// nodeLog follows a node's log as server-sent events, each a piece of text.
func (s *site) nodeLog(w http.ResponseWriter, r *http.Request) error {
	name := fleet.NodeName(r.PathValue("node"))
	_, from, err := s.Fleet.Log(name, 0)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Time{}); err != nil {
		s.Log.Debug("follow the log of a node", "node", name, "error", err)
	}
	err = s.followNodeLog(r.Context(), name, from, w, rc)
	s.Log.Debug("follow the log of a node", "node", name, "end", err)
	return nil // the answer has begun
}
