package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
)

// Message is what a webhook gets, as JSON, and what a mail is made of. Exactly one of Nodes and Build is set.
type Message struct {
	ID    string       `json:"id"`    // the same however often it is delivered
	Event string       `json:"event"` // "nodes" or "build"
	At    time.Time    `json:"at"`
	Farm  string       `json:"farm"` // the controller's address
	Nodes []NodeChange `json:"nodes,omitempty"`
	Build *BuildEnded  `json:"build,omitempty"`
}

// BuildEnded is the news of one build.
type BuildEnded struct {
	Job       build.JobName   `json:"job"`
	Number    int             `json:"number"`
	Result    build.Result    `json:"result"`
	Before    build.Result    `json:"before,omitempty"` // of the job's finished build before; absent when there is none
	CauseKind build.CauseKind `json:"causeKind,omitempty"`
	Message   string          `json:"message,omitempty"`
	URL       string          `json:"url"`
	Started   time.Time       `json:"started,omitzero"`
	Ended     time.Time       `json:"ended"`
}

// id names a message by what it says, so that the same news has the same name after a crash.
func id(parts ...any) string {
	h := sha256.Sum256(fmt.Append(nil, parts...))
	return hex.EncodeToString(h[:16])
}

func nodesMessage(farm string, now time.Time, changes []NodeChange) Message {
	key := []any{"nodes"}
	for _, c := range changes {
		key = append(key, "\x00", c.Node, "\x00", c.State, "\x00", c.Since.UnixNano())
	}
	return Message{ID: id(key...), Event: "nodes", At: now, Farm: farm, Nodes: changes}
}

func buildMessage(farm string, now time.Time, b build.Build, before build.Result) Message {
	e := &BuildEnded{Job: b.ID.Job, Number: b.ID.Number, Result: b.Result, Before: before, CauseKind: b.CauseKind, Message: b.Message,
		Started: b.Started, Ended: b.Ended, URL: fmt.Sprintf("%s/jobs/%s/%d", farm, url.PathEscape(string(b.ID.Job)), b.ID.Number)}
	return Message{ID: id("build\x00", b.ID.String(), "\x00", b.Ended.UnixNano()), Event: "build", At: now, Farm: farm, Build: e}
}

// only returns m with what a channel wants of it; ok is false when that is nothing.
func (n *Interest) only(m Message) (_ Message, ok bool) {
	if m.Build != nil {
		b := build.Build{ID: build.ID{Job: m.Build.Job, Number: m.Build.Number}, Result: m.Build.Result}
		return m, n.Builds.Takes(b, m.Build.Before)
	}
	m.Nodes = slices.DeleteFunc(slices.Clone(m.Nodes), func(c NodeChange) bool { return !slices.Contains(n.Nodes, c.State) })
	return m, len(m.Nodes) > 0
}

// subject and text are what a mail says. For one node that went offline they are word for word those of Jenkins' "Monitor and
// Restart Offline Agents".
func (m Message) subject() string {
	if b := m.Build; b != nil {
		s := fmt.Sprintf("%s#%d: %s", b.Job, b.Number, b.Result)
		if b.Before != "" && b.Before != b.Result {
			s += fmt.Sprintf(" (was %s)", b.Before)
		}
		return s
	}
	off, on := 0, 0
	for _, c := range m.Nodes {
		if c.State == WentOffline {
			off++
		} else {
			on++
		}
	}
	switch {
	case off+on == 1:
		return fmt.Sprintf("%s agent is %s", m.Nodes[0].Node, m.Nodes[0].State)
	case on == 0:
		return fmt.Sprintf("%d agents are offline", off)
	case off == 0:
		return fmt.Sprintf("%d agents are online", on)
	}
	return fmt.Sprintf("%d offline and %d online agents", off, on)
}

func (m Message) text() string {
	var b strings.Builder
	if e := m.Build; e != nil {
		fmt.Fprintf(&b, "%s#%d ended with %s after %v. See %s\n", e.Job, e.Number, e.Result, e.Ended.Sub(e.Started).Round(time.Second), e.URL)
		if e.Message != "" {
			fmt.Fprintf(&b, "%s\n", e.Message)
		}
		return b.String()
	}
	for i, c := range m.Nodes {
		if i > 0 {
			b.WriteString("\n")
		}
		where := m.Farm + "/computer/" + url.PathEscape(string(c.Node))
		if c.State == CameOnline {
			fmt.Fprintf(&b, "%s agent is up again. See %s", c.Node, where)
		} else {
			fmt.Fprintf(&b, "%s agent is down. Check %s\nBecause %s", c.Node, where, oneLine(c.Cause))
		}
		if c.Flaps > 0 {
			fmt.Fprintf(&b, "\nIt went offline %d more times since you were told of it last.", c.Flaps)
		}
	}
	return b.String()
}

// oneLine keeps what an agent or a command said from looking like lines of ours.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
