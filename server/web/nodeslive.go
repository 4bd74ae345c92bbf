package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// nodesEvery bounds how often a page of many nodes is told what has changed.
const nodesEvery = time.Second

// cells is what a page of many nodes is told: those that look different, by name. Again asks it to read the whole page anew:
// other nodes are shown now.
type cells struct {
	Tallies string            `json:"tallies,omitempty"`
	Cells   map[string]string `json:"cells,omitempty"` // HTML
	Names   []fleet.NodeName  `json:"names,omitempty"` // first, of all in their order: the page may be of a moment before
	Again   bool              `json:"again,omitempty"`
}

// shownCells remembers how cells look to one reader.
type shownCells struct {
	seed    maphash.Seed
	names   []fleet.NodeName
	looks   map[fleet.NodeName]uint64
	tallies string
}

// liveNodes tells a page of many nodes what changes, as server-sent events: all once, then only what looks different.
func (s *site) liveNodes(w http.ResponseWriter, r *http.Request) error {
	changed, cancel := s.Changes()
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Time{}); err != nil {
		s.Log.Debug("live nodes", "error", err)
	}
	shown := shownCells{seed: maphash.MakeSeed(), looks: map[fleet.NodeName]uint64{}}
	for {
		c, err := s.differing(&shown, s.nodesPage(r))
		if err == nil {
			err = sendEvent(w, rc, c)
		}
		if err != nil || c.Again {
			s.Log.Debug("live nodes", "end", err)
			return nil // the answer has begun: the browser asks again
		}
		if !settled(r, changed) {
			return nil
		}
	}
}

// settled waits for a change of nodes or queue and for what comes right after it. It reports whether the reader is still there.
func settled(r *http.Request, changed <-chan string) bool {
	var pause <-chan time.Time
	for {
		select {
		case <-r.Context().Done():
			return false
		case topic, open := <-changed:
			if !open {
				return false
			}
			if pause == nil && (topic == "nodes" || topic == "queue") {
				t := time.NewTimer(nodesEvery)
				defer t.Stop()
				pause = t.C
			}
		case <-pause:
			return true
		}
	}
}

func sendEvent(w http.ResponseWriter, rc *http.ResponseController, c cells) error {
	if c.Tallies == "" && len(c.Cells) == 0 && !c.Again {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
		return err
	}
	return rc.Flush()
}

// differing renders a page's nodes and returns those that look different from what was shown.
func (s *site) differing(shown *shownCells, p nodesPage) (cells, error) {
	c := cells{Cells: map[string]string{}}
	names := make([]fleet.NodeName, len(p.Nodes))
	for i, n := range p.Nodes {
		names[i] = n.Node.Name
	}
	if shown.names != nil && !slices.Equal(shown.names, names) {
		return cells{Again: true}, nil
	}
	if shown.names == nil {
		c.Names = names
	}
	shown.names = names
	var b bytes.Buffer
	render := func(name string, data any) (string, error) {
		b.Reset()
		err := s.pages["nodes"].ExecuteTemplate(&b, name, data)
		return string(s.below(b.Bytes())), err
	}
	for _, n := range p.Cells() {
		html, err := render("cell", n)
		if err != nil {
			return c, err
		}
		if look := maphash.String(shown.seed, html); shown.looks[n.Node.Name] != look {
			shown.looks[n.Node.Name], c.Cells[string(n.Node.Name)] = look, html
		}
	}
	tallies, err := render("tallies", p)
	if tallies != shown.tallies {
		shown.tallies, c.Tallies = tallies, tallies
	}
	return c, err
}
