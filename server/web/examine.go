package web

import (
	"net/http"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// hopRow is a finding on the way to a machine.
type hopRow struct{ fleet.Hop }

// Look is the class by which it shows.
func (h hopRow) Look() string {
	if h.OK {
		return "s-online"
	}
	return "s-failure"
}

// State says it in a word.
func (h hopRow) State() string {
	if h.OK {
		return "passed"
	}
	return "failed"
}

// examine looks at the way to a machine hop by hop, and shows how far it leads.
func (s *site) examine(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil { // each hop has its own
		s.Log.Debug("examine a node", "node", st.Node.Name, "error", err)
	}
	var hops []hopRow
	ok := true
	err = s.Fleet.Examine(r.Context(), st.Node.Name, func(h fleet.Hop) {
		hops, ok = append(hops, hopRow{h}), ok && h.OK
	})
	if err != nil {
		return err
	}
	return s.show(w, r, "nodehops", view{Title: "The way to " + string(st.Node.Name), Section: "nodes", Data: struct {
		Node fleet.NodeName
		Hops []hopRow
		OK   bool
	}{st.Node.Name, hops, ok && len(hops) > 0}})
}
