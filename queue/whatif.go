package queue

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

// Change is something to assume of a node; see ParseChange.
type Change struct {
	Node fleet.NodeName `json:"node"`
	Verb string         `json:"verb"` // online, offline, label, executors, normal, exclusive
	// Labels are added, of label. Executors is the new number, of executors.
	Labels    []string `json:"labels,omitempty"`
	Executors int      `json:"executors,omitempty"`
}

const changeForms = "node NAME online, node NAME offline, node NAME label LABEL…, node NAME executors N, node NAME normal or node NAME exclusive"

// ParseChange reads a change as people write it: "node n3 online", "node n3 label gpu", "node n3 executors 4".
func ParseChange(text string) (Change, error) {
	wrong := func(format string, args ...any) (Change, error) {
		return Change{}, fault.New(fault.Invalid, "%q: %s: expected %s", text, fmt.Sprintf(format, args...), changeForms)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "node ")
	if !ok {
		return wrong("it does not begin with a node")
	}
	for _, verb := range []string{"online", "offline", "normal", "exclusive"} {
		if n, ok := strings.CutSuffix(rest, " "+verb); ok {
			return Change{Node: fleet.NodeName(strings.TrimSpace(n)), Verb: verb}.checked(wrong)
		}
	}
	if n, number, ok := strings.Cut(rest, " executors "); ok {
		i, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || i < 0 || i > maxExecutors {
			return wrong("%q is not a number of executors", number)
		}
		return Change{Node: fleet.NodeName(strings.TrimSpace(n)), Verb: "executors", Executors: i}.checked(wrong)
	}
	if n, labels, ok := strings.Cut(rest, " label "); ok {
		ls, err := label.ParseLabels(labels)
		if err != nil || len(ls) == 0 {
			return wrong("%q are not labels", labels)
		}
		return Change{Node: fleet.NodeName(strings.TrimSpace(n)), Verb: "label", Labels: ls}.checked(wrong)
	}
	return wrong("nothing is said of the node")
}

const maxExecutors = 100_000 // of what may be assumed

func (ch Change) checked(wrong func(string, ...any) (Change, error)) (Change, error) {
	if err := fleet.CheckName(ch.Node); err != nil {
		return wrong("%v", err)
	}
	return ch, nil
}

// String is what ParseChange reads.
func (ch Change) String() string {
	switch ch.Verb {
	case "label":
		return fmt.Sprintf("node %s label %s", ch.Node, label.FormatLabels(ch.Labels))
	case "executors":
		return fmt.Sprintf("node %s executors %d", ch.Node, ch.Executors)
	}
	return fmt.Sprintf("node %s %s", ch.Node, ch.Verb)
}

// said is the change in a sentence.
func (ch Change) said() string {
	switch ch.Verb {
	case "label":
		return fmt.Sprintf("‘%s’ had label ‘%s’", ch.Node, strings.Join(ch.Labels, "’ and ‘"))
	case "executors":
		return fmt.Sprintf("‘%s’ had %d executors", ch.Node, ch.Executors)
	case "normal", "exclusive":
		return fmt.Sprintf("‘%s’ were in %s mode", ch.Node, ch.Verb)
	}
	return fmt.Sprintf("‘%s’ were %s", ch.Node, ch.Verb)
}

// apply makes the change on a copy of the fleet.
func (ch Change) apply(nodes map[fleet.NodeName]fleet.Status) error {
	st, ok := nodes[ch.Node]
	if !ok {
		var names []string
		for n := range maps.Keys(nodes) {
			names = append(names, string(n))
		}
		slices.Sort(names)
		if near, ok := label.Nearest(string(ch.Node), names); ok {
			return fault.New(fault.NotFound, "%q: there is no node %q; did you mean %q?", ch, ch.Node, near)
		}
		return fault.New(fault.NotFound, "%q: there is no node %q", ch, ch.Node)
	}
	switch ch.Verb {
	case "online":
		st.State, st.Cause = fleet.Online, nil
	case "offline":
		st.State, st.Cause = fleet.Offline, nil
	case "normal", "exclusive":
		st.Node.Mode = fleet.Mode(ch.Verb)
	case "executors":
		st.Node.Executors = ch.Executors
	case "label":
		st.Assigned = append(slices.Clone(st.Assigned), ch.Labels...)
		slices.Sort(st.Assigned)
		st.Assigned = slices.Compact(st.Assigned)
	default:
		return fault.New(fault.Invalid, "change of node %q: %q: expected %s", ch.Node, ch.Verb, changeForms)
	}
	nodes[ch.Node] = st
	return nil
}
