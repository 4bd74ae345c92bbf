package graph

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/cas/tree"
)

// Part is one of the things that go into a key.
type Part struct {
	Kind  string `json:"kind"` // source, artifact, env, command, output, platform, timeout, salt, cacheable
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
}

// String is the part as people read it.
func (p Part) String() string {
	if p.Name == "" {
		return p.Kind + " " + p.Value
	}
	return p.Kind + " " + p.Name + " " + p.Value
}

// Explain lists what goes into an action's key: two actions of one node have the same key exactly when they have the same parts.
func Explain(n *Node, in Inputs, a *Action) []Part {
	var parts []Part
	add := func(kind, name, value string) { parts = append(parts, Part{kind, name, value}) }
	for _, line := range strings.Split(strings.TrimRight(a.Command.Arguments[2], "\n"), "\n") {
		add("command", "", line)
	}
	for _, e := range a.Command.EnvironmentVariables {
		add("env", e.Name, e.Value)
	}
	sources := slices.Clone(in.Sources)
	slices.SortFunc(sources, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range slices.CompactFunc(sources, func(a, b tree.Entry) bool { return a.Path == b.Path }) {
		add("source", e.Path, describe(e))
	}
	for i, d := range n.Deps {
		add("artifact", path.Join(deps, d.As), in.Artifacts[i].String())
	}
	for _, p := range a.Command.OutputPaths {
		add("output", "", p)
	}
	for _, p := range a.Command.GetPlatform().GetProperties() {
		add("platform", p.Name, p.Value)
	}
	if n.Task.Timeout > 0 {
		add("timeout", "", n.Task.Timeout.String())
	}
	if in.Salt != "" {
		add("salt", "", in.Salt)
	}
	if !n.Task.Cacheable {
		add("cacheable", "", "no")
	}
	return parts
}

func describe(e tree.Entry) string {
	switch {
	case e.Mode.IsDir():
		return "folder"
	case e.Mode&fs.ModeSymlink != 0:
		return "→ " + e.Link
	case e.Mode&0o111 != 0:
		return e.Digest.String() + " executable"
	}
	return e.Digest.String()
}

// Changed says in sentences what is different between the parts of an earlier key and those of a later one.
func Changed(before, after []Part) []string {
	var lines []string
	old, now := index(before), index(after)
	for _, p := range after {
		was, had := old[p.id()]
		switch {
		case !had:
			lines = append(lines, fmt.Sprintf("%s is new", p.subject()))
		case was.Value != p.Value:
			lines = append(lines, fmt.Sprintf("%s changed: %s, was %s", p.subject(), p.Value, was.Value))
		}
	}
	for _, p := range before {
		if _, has := now[p.id()]; !has {
			lines = append(lines, fmt.Sprintf("%s is gone", p.subject()))
		}
	}
	return lines
}

// id is what a part keeps when its value changes. Lines of commands have none but their text.
func (p Part) id() string {
	if p.Name == "" && (p.Kind == "command" || p.Kind == "output") {
		return p.Kind + "\x00\x00" + p.Value
	}
	return p.Kind + "\x00" + p.Name
}

func (p Part) subject() string {
	switch {
	case p.Name != "":
		return p.Kind + " " + p.Name
	case p.Kind == "command" || p.Kind == "output":
		return fmt.Sprintf("%s %q", p.Kind, p.Value)
	}
	return p.Kind
}

func index(parts []Part) map[string]Part {
	m := make(map[string]Part, len(parts))
	for _, p := range parts {
		m[p.id()] = p
	}
	return m
}
