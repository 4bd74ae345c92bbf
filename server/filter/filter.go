// Package filter chooses nodes: by a label expression that also knows states, by text, by state.
//
// To an expression a node has, besides its labels, the name of its state, and `state:` with it; `connected` or `offline`; `idle` or
// `busy`. So 'linux && offline' are the nodes with the label linux that are not there. A Filter does not change and may be
// used concurrently.
package filter

import (
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

// Filter admits nodes. The zero value admits all.
type Filter struct {
	Where *label.Expr // nil is all
	Text  string      // part of the name, description, host, system or reason, whatever the case; "" is all
	State fleet.State // "" is all
}

// Where reads an expression. fault.Invalid points at what is wrong in it.
func Where(text string) (Filter, error) {
	x, err := label.Parse(text)
	if err != nil {
		return Filter{}, fault.New(fault.Invalid, "where: %w", err)
	}
	return Filter{Where: x}, nil
}

// Admits reports whether a node is chosen. busy is how many of its executors are at work.
func (f Filter) Admits(st fleet.Status, busy int) bool {
	if f.State != "" && st.State != f.State {
		return false
	}
	if f.Text != "" && !contains(st, strings.ToLower(f.Text)) {
		return false
	}
	return f.Where == nil || f.Where.Matches(label.In(words(st, busy)))
}

func contains(st fleet.Status, text string) bool {
	reason := ""
	if st.Cause != nil {
		reason = st.Cause.Text
	}
	for _, s := range []string{string(st.Node.Name), st.Node.Description, st.Machine.Hostname, st.Machine.OS + "/" + st.Machine.Arch, reason, strings.Join(st.Assigned, " ")} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

// words is all that an expression can find on a node, sorted.
func words(st fleet.Status, busy int) []string {
	w := append(slices.Clone(st.Assigned), string(st.State), "state:"+string(st.State))
	switch st.State {
	case fleet.Connecting:
		w = append(w, "offline")
	case fleet.Offline:
	default:
		w = append(w, "connected")
	}
	if busy > 0 {
		w = append(w, "busy")
	} else {
		w = append(w, "idle")
	}
	slices.Sort(w)
	return w
}
