package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// Policy says how the queue chooses among the nodes that may take an item. The zero value is the default policy.
//
// First come the filters, which no weight overrides: pin, labels, mode, Allow, Limits, free executors. What is left is scored, the
// highest score wins, and of equal ones the first by name.
type Policy struct {
	// Pack prefers the node that is loaded most, so that others may go to sleep; otherwise the least loaded is preferred.
	Pack    bool    `json:"pack,omitempty" yaml:"pack,omitempty"`
	Weights Weights `json:"weights,omitzero" yaml:"weights,omitempty"`
	// Long is the expected duration from which work counts as long, for the weights that move long work; 0 is 1 min.
	Long time.Duration `json:"long,omitempty" yaml:"long,omitempty"`
	// Limits is how many executors may be in use at once on all nodes that a label expression matches. 0 lets nothing begin there.
	Limits map[string]int `json:"limits,omitempty" yaml:"limits,omitempty"`
	// Allow names, for a node, the jobs that may run on it: globs, where * is any text without a slash, ** any text and ? one
	// letter. A node that is not named takes every job. Work that is not of a build is of the job "".
	Allow map[fleet.NodeName][]string `json:"allow,omitempty" yaml:"allow,omitempty"`
}

// Weights are the points that each term of a score can give. 0 is the default; a negative number switches the term off.
type Weights struct {
	Last       float64 `json:"last,omitempty" yaml:"last,omitempty"`             // for the node that last ran the same work; default 100
	Free       float64 `json:"free,omitempty" yaml:"free,omitempty"`             // times the part of executors that are free, or in use when packing; default 10
	Speed      float64 `json:"speed,omitempty" yaml:"speed,omitempty"`           // for work that is Long, for each doubling of speed; default 80
	Distance   float64 `json:"distance,omitempty" yaml:"distance,omitempty"`     // taken off for each 100 ms of round trip over 5 ms, five times at most; default 10
	Controller float64 `json:"controller,omitempty" yaml:"controller,omitempty"` // taken off the built-in node for work that is Long; default 200
}

// Check says what is wrong with a policy, and where.
func (p Policy) Check() error {
	_, err := p.compile()
	return err
}

// rules is a Policy ready for use. It does not change.
type rules struct {
	pack    bool
	weights Weights
	long    time.Duration
	limits  []limitRule // by text
	allow   map[fleet.NodeName][]string
	globs   [][]string // the different lists of allow, in order
}

type limitRule struct {
	expr *label.Expr
	max  int
}

func (p Policy) compile() (*rules, error) {
	r := &rules{pack: p.Pack, weights: p.Weights, long: p.Long, allow: map[fleet.NodeName][]string{}}
	for _, d := range []struct {
		field *float64
		def   float64
	}{{&r.weights.Last, 100}, {&r.weights.Free, 10}, {&r.weights.Speed, 80}, {&r.weights.Distance, 10}, {&r.weights.Controller, 200}} {
		switch {
		case *d.field == 0:
			*d.field = d.def
		case *d.field < 0:
			*d.field = 0
		}
	}
	if r.long <= 0 {
		r.long = time.Minute
	}
	for _, text := range slices.Sorted(maps.Keys(p.Limits)) {
		expr, err := label.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("limits[%q]: %w", text, err)
		}
		if p.Limits[text] < 0 {
			return nil, fmt.Errorf("limits[%q]: %d: expected the number of executors that may be in use at once, 0 or more", text, p.Limits[text])
		}
		r.limits = append(r.limits, limitRule{expr, p.Limits[text]})
	}
	for _, n := range slices.Sorted(maps.Keys(p.Allow)) {
		if err := fleet.CheckName(n); err != nil {
			return nil, fmt.Errorf("allow: %w", err)
		}
		globs := slices.Clone(p.Allow[n])
		for i, g := range globs {
			if g == "" {
				return nil, fmt.Errorf("allow[%q][%d]: expected a glob of job names, such as team/**", n, i)
			}
		}
		r.allow[n] = globs
		if !slices.ContainsFunc(r.globs, func(o []string) bool { return slices.Equal(o, globs) }) {
			r.globs = append(r.globs, globs)
		}
	}
	return r, nil
}

// allows reports whether a job may run on a node.
func (r *rules) allows(n fleet.NodeName, job string) bool {
	globs, ruled := r.allow[n]
	return !ruled || matchesAny(globs, job)
}

// rights says which lists of globs match a job. Jobs of the same rights may run on the same nodes.
func (r *rules) rights(job string) string {
	if len(r.globs) == 0 {
		return ""
	}
	bits := make([]byte, len(r.globs))
	for i, globs := range r.globs {
		bits[i] = '0'
		if matchesAny(globs, job) {
			bits[i] = '1'
		}
	}
	return string(bits)
}

func matchesAny(globs []string, job string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return globMatches(g, job) })
}

// globMatches matches without going back further than the last star of each kind: its time is bounded by the product of the lengths.
func globMatches(glob, s string) bool {
	type mark struct {
		glob, s string
		deep    bool
		set     bool
	}
	var near, deep mark
	for {
		switch {
		case strings.HasPrefix(glob, "**"):
			glob = strings.TrimLeft(glob, "*")
			deep, near = mark{glob, s, true, true}, mark{}
			continue
		case strings.HasPrefix(glob, "*"):
			glob = glob[1:]
			near = mark{glob, s, false, true}
			continue
		case glob == "" && s == "":
			return true
		case glob != "" && s != "" && glob[0] == '?' && s[0] != '/':
			_, n := utf8.DecodeRuneInString(s)
			glob, s = glob[1:], s[n:]
			continue
		case glob != "" && s != "" && glob[0] == s[0]:
			glob, s = glob[1:], s[1:]
			continue
		}
		switch { // let the last star take one more
		case near.set && near.s != "" && near.s[0] != '/':
			near.s = near.s[1:]
			glob, s = near.glob, near.s
		case deep.set && deep.s != "":
			deep.s = deep.s[1:]
			glob, s, near = deep.glob, deep.s, mark{}
		default:
			return false
		}
	}
}
