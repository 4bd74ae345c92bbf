package tools

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// part is an entry's share in what a node gets.
type part struct {
	index  int    // of the entry
	folder string // of Native that is the node's own; "" is none
}

// plan says which entries a node gets, and which of their folders. Nodes with equal plans get equal trees.
func plan(entries []Entry, st fleet.Status) (parts []part, err error) {
	for i, e := range entries {
		if !e.wants(st) {
			continue
		}
		p := part{index: i}
		if e.Native.any() {
			folders := e.Native.of(st)
			if len(folders) > 1 {
				return nil, fault.New(fault.Invalid, "tools %q: native: %s are both for this node: expected one", e.Title(), strings.Join(folders, " and "))
			}
			p.folder = strings.Join(folders, "")
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// composed is the tree of nodes with one plan.
type composed struct {
	root      cas.Digest
	manifests map[cas.Digest][]byte
	keep      []string
	files     int
	bytes     int64
	warnings  []string
}

// compose makes one tree of the shares. Two that have a file at one path are an error: nobody can say which is meant.
func compose(entries []Entry, scans []*scan, parts []part) (*composed, error) {
	c := &composed{}
	all := map[string]tree.Entry{}
	from := map[string]string{} // whose it is
	for _, p := range parts {
		e, s := entries[p.index], scans[p.index]
		if e.Keep {
			c.keep = append(c.keep, e.To)
		}
		for _, w := range s.problems {
			c.warn(e, w)
		}
		for _, one := range c.choose(e, s, p.folder) {
			one.Path = path.Join(e.To, one.Path)
			before, twice := all[one.Path]
			if twice && (!before.Mode.IsDir() || !one.Mode.IsDir()) {
				return nil, fault.New(fault.Conflict, "tools %q and %q both have %s: give one of them another place, or exclude it", from[one.Path], e.Title(), one.Path)
			}
			if !twice {
				all[one.Path], from[one.Path] = one, e.Title()
			}
		}
	}
	c.dropLoops(all)
	list := make([]tree.Entry, 0, len(all))
	for _, e := range all {
		if e.Mode.IsRegular() {
			c.files++
			c.bytes += e.Digest.Size
		}
		list = append(list, e)
	}
	var err error
	if c.root, c.manifests, err = tree.Build(list); err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	return c, nil
}

func (c *composed) warn(e Entry, text string) {
	c.warnings = append(c.warnings, fmt.Sprintf("tools %q: %s", e.Title(), text))
}

// choose returns an entry's share: all of it, but for the folders that are for other machines, and with the link to the node's own.
func (c *composed) choose(e Entry, s *scan, own string) []tree.Entry {
	if !e.Native.any() {
		return s.entries
	}
	isNative := e.Native.isNative()
	link := tree.Entry{Path: nativeLink, Mode: fs.ModeSymlink | fs.ModePerm, Link: own}
	var used, there, taken bool // there are native folders, the node's is among them, its link's place is taken
	var chosen []tree.Entry
	for _, one := range s.entries {
		top, _, _ := strings.Cut(one.Path, "/")
		switch {
		case top == nativeLink && one.Mode&fs.ModeSymlink != 0:
			used, link.Time = true, one.Time
			continue
		case top == nativeLink:
			taken = true
		case top == own && own != "":
			used, there = true, true
			if link.Time.IsZero() {
				link.Time = one.Time
			}
		case isNative(top):
			used = true
			continue
		}
		chosen = append(chosen, one)
	}
	switch {
	case !used:
	case taken:
		c.warn(e, "native is there and not a link: it is sent as it is")
	case !there && own != "":
		c.warn(e, fmt.Sprintf("there is no folder %s for this machine: it has no native", own))
	case !there:
		c.warn(e, "no folder of native is for this machine")
	default:
		chosen = append(chosen, link)
	}
	return chosen
}

// maxHops is how many links Linux follows on one path.
const maxHops = 40

// dropLoops leaves out the links that lead round in a circle.
func (c *composed) dropLoops(all map[string]tree.Entry) {
	var loops []string
	for p, e := range all {
		if e.Mode&fs.ModeSymlink != 0 && circles(all, p) {
			loops = append(loops, p)
		}
	}
	slices.Sort(loops)
	for i, p := range loops {
		if i < maxProblems {
			c.warnings = append(c.warnings, fmt.Sprintf("left out: %s: link to %q leads round in a circle", p, all[p].Link))
		}
	}
	for _, p := range loops {
		delete(all, p)
	}
}

// circles reports whether following a link never ends. One that leads nowhere ends.
func circles(all map[string]tree.Entry, link string) bool {
	at, rest := tree.Parent(link), strings.Split(all[link].Link, "/")
	for hops := 0; len(rest) > 0; {
		seg := rest[0]
		rest = rest[1:]
		switch seg {
		case "", ".":
			continue
		case "..":
			at = tree.Parent(at)
			continue
		}
		next := path.Join(at, seg)
		e, ok := all[next]
		switch {
		case !ok:
			return false
		case e.Mode&fs.ModeSymlink != 0:
			if hops++; hops > maxHops {
				return true
			}
			rest = append(strings.Split(e.Link, "/"), rest...)
		default:
			at = next
		}
	}
	return false
}
