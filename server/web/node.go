package web

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
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
	Gauges   []gauge
	Records  []fleet.Record
	Log      string
	Edit     bool // the form of its configuration is open
	Labels   string
	Env      string
	Tools    string
	Launcher string
}

func (s *site) node(w http.ResponseWriter, r *http.Request) error {
	name := fleet.NodeName(r.PathValue("node"))
	st, ok := s.Fleet.Node(name)
	if !ok {
		return fault.New(fault.NotFound, "there is no node %q", name)
	}
	var busy []queue.ItemStatus
	for _, it := range s.Queue.Snapshot() {
		if it.Grant != nil && it.Grant.Node == name {
			busy = append(busy, it)
		}
	}
	slices.SortFunc(busy, func(a, b queue.ItemStatus) int { return a.Grant.Executor - b.Grant.Executor })
	n := st.Node
	p := nodePage{Node: newRow(st, busy), Launches: s.Fleet.Launches(n), Edit: r.URL.Query().Has("edit"), Labels: label.FormatLabels(n.Labels), Env: pairs(n.Env), Tools: pairs(n.Tools),
		Launcher: pairs(n.Launcher.Config)}
	var err error
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

const (
	graphWidth  = 220
	graphHeight = 34
)

// sparkline draws points between two times: the average as a line, least to most as a band. Where there was no sample for long
// the line is broken. No points draw nothing.
func sparkline(ps []fleet.Point, since, now time.Time) template.HTML {
	if len(ps) == 0 {
		return ""
	}
	if first := ps[0].At; first.After(since) { // what is younger than a day fills the width
		since = first
	}
	low, high := ps[0].Min, ps[0].Max
	for _, p := range ps {
		low, high = min(low, p.Min), max(high, p.Max)
	}
	x := func(t time.Time) float64 {
		return 1 + (graphWidth-2)*float64(t.Sub(since))/float64(max(now.Sub(since), time.Minute))
	}
	y := func(v float64) float64 {
		if high == low {
			return graphHeight / 2
		}
		return 2 + (graphHeight-4)*(high-v)/(high-low)
	}
	var line, band, back strings.Builder
	var last time.Time
	for i, p := range ps {
		move := "L"
		if i == 0 || p.At.Sub(last) > 11*time.Minute {
			move = "M"
		}
		last = p.At
		fmt.Fprintf(&line, "%s%.1f %.1f", move, x(p.At), y(p.Avg))
		fmt.Fprintf(&band, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x(p.At), y(p.Max))
	}
	for _, p := range slices.Backward(ps) {
		fmt.Fprintf(&back, "L%.1f %.1f", x(p.At), y(p.Min))
	}
	fmt.Fprintf(&line, "L%.1f %.1f", x(now), y(ps[len(ps)-1].Avg))
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="last %s"><path class="band" d="%s%sZ"/><path class="line" d="%s"/></svg>`,
		graphWidth, graphHeight, took(now.Sub(since)), band.String(), back.String(), line.String()))
}

// pairs writes a map as lines of NAME=value.
func pairs(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%s\n", k, strings.ReplaceAll(m[k], "\n", `\n`))
	}
	return b.String()
}

// unpair reads lines of NAME=value.
func unpair(field, text string) (map[string]string, error) {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(k) == "" {
			return nil, fault.New(fault.Invalid, "%s: %q: expected lines of NAME=value", field, line)
		}
		m[strings.TrimSpace(k)] = strings.ReplaceAll(v, `\n`, "\n")
	}
	return m, nil
}

// configure changes a node as its form says.
func (s *site) configure(w http.ResponseWriter, r *http.Request) (err error) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return fault.With(fault.Invalid, err)
	}
	name := fleet.NodeName(r.PathValue("node"))
	st, ok := s.Fleet.Node(name)
	if !ok {
		return fault.New(fault.NotFound, "there is no node %q", name)
	}
	n, form := st.Node, r.PostForm
	n.Description, n.RemoteRoot, n.Mode = form.Get("description"), form.Get("remoteRoot"), fleet.Mode(form.Get("mode"))
	if n.Labels, err = label.ParseLabels(form.Get("labels")); err != nil {
		return fault.New(fault.Invalid, "labels: %v", err)
	}
	if n.Executors, err = strconv.Atoi(form.Get("executors")); err != nil {
		return fault.New(fault.Invalid, "executors: %q: expected a number", form.Get("executors"))
	}
	if n.Env, err = unpair("environment", form.Get("env")); err != nil {
		return err
	}
	if n.Tools, err = unpair("tools", form.Get("tools")); err != nil {
		return err
	}
	if form.Has("launcher") {
		if n.Launcher.Config, err = unpair("launcher", form.Get("launcher")); err != nil {
			return err
		}
	}
	if err := s.Fleet.Check(n); err != nil {
		return err
	}
	if err := s.Fleet.Put(r.Context(), n); err != nil {
		return err
	}
	s.Log.Info("node configured", "node", name, "by", auth.From(r.Context()).User)
	http.Redirect(w, r, string(nodePath(name)), http.StatusSeeOther)
	return nil
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
