package graph

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bmatcuk/doublestar/v4"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/recipe"
)

// The folders of an action's input root.
const (
	workspace = "ws"   // the sources, where they stand in the workspace
	deps      = "deps" // the artifacts of what the task requires
	out       = "out"  // what the commands put here becomes part of the artifact
	home      = "home" // of who has no other
)

// baseEnv is the environment of every task. It says nothing about the machine or the day.
var baseEnv = map[string]string{
	"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": "315532800",
}

// Inputs is what a node's action is made of, besides its task.
type Inputs struct {
	Sources   []tree.Entry // files and links of the workspace, in any order; one may stand there twice
	Artifacts []cas.Digest // of the node's Deps, beside them
	Salt      string
}

// Action is a node's work, ready for an executor.
type Action struct {
	Digest  cas.Digest // the key
	Root    cas.Digest // of the input tree
	Command *repb.Command
	Message *repb.Action
	// Blobs are the messages that the action consists of: itself, the command, the folders. The bytes of sources and the folders
	// of artifacts are not among them.
	Blobs map[cas.Digest][]byte
}

// NewAction makes the action of a node. Errors are fault.Invalid and fault.Conflict: a source that no tree can have.
func NewAction(n *Node, in Inputs) (*Action, error) {
	a := &Action{Blobs: map[cas.Digest][]byte{}}
	root, err := inputRoot(n, in)
	if err != nil {
		return nil, fmt.Errorf("task %q: %w", n.Task.ID, err)
	}
	a.Root = root.encode(a.Blobs)
	if a.Command, err = command(n); err != nil {
		return nil, fmt.Errorf("task %q: %w", n.Task.ID, err)
	}
	a.Message = &repb.Action{
		CommandDigest: task.Proto(keep(a.Blobs, a.Command)), InputRootDigest: task.Proto(a.Root),
		DoNotCache: !n.Task.Cacheable, Platform: a.Command.Platform,
	}
	if n.Task.Timeout > 0 {
		a.Message.Timeout = durationpb.New(n.Task.Timeout)
	}
	if in.Salt != "" {
		a.Message.Salt = []byte(in.Salt)
	}
	a.Digest = keep(a.Blobs, a.Message)
	return a, nil
}

func inputRoot(n *Node, in Inputs) (*layout, error) {
	root := newLayout()
	for _, dir := range []string{out, home, path.Join(workspace, n.Task.Dir)} { // so that no program must be run to make them
		if _, err := root.dir(dir); err != nil {
			return nil, err
		}
	}
	for _, e := range in.Sources {
		if !utf8.ValidString(e.Path) || !utf8.ValidString(e.Link) {
			return nil, fault.New(fault.Invalid, "source %q: its name is not UTF-8", e.Path)
		}
		e.Path = workspace + "/" + e.Path
		if err := root.put(e); err != nil {
			return nil, fmt.Errorf("source %w", err)
		}
	}
	placed := map[string]bool{}
	for i, d := range n.Deps {
		if placed[d.As] { // an alias and a requirement may lead to the same node
			continue
		}
		placed[d.As] = true
		if err := root.graft(deps+"/"+d.As, in.Artifacts[i]); err != nil {
			return nil, fmt.Errorf("artifact of %s: %w", d.Node.Task.ID, err)
		}
	}
	return root, nil
}

func command(n *Node) (*repb.Command, error) {
	t := n.Task
	c := &repb.Command{Arguments: []string{"/bin/sh", "-ec", script(n)}, OutputPaths: outputs(t), Platform: platform(t.Labels)} //nolint:staticcheck
	env := maps.Clone(baseEnv)
	maps.Copy(env, t.Env)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if !utf8.ValidString(env[k]) {
			return nil, fault.New(fault.Invalid, "env: %s: is not UTF-8", k)
		}
		c.EnvironmentVariables = append(c.EnvironmentVariables, &repb.Command_EnvironmentVariable{Name: k, Value: env[k]})
	}
	if !utf8.ValidString(c.Arguments[2]) {
		return nil, fault.New(fault.Invalid, "run: is not UTF-8")
	}
	return c, nil
}

// script is what the shell runs: what the commands find in their environment, then they, each shown before it runs.
func script(n *Node) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	dir := path.Join(workspace, n.Task.Dir)
	line(`export OUTWORK_ROOT="$PWD" OUTWORK_DEPS="$PWD/%s" OUTWORK_OUT="$PWD/%s" HOME="${HOME:-$PWD/%s}" TMPDIR="${TMPDIR:-/tmp}"`, deps, out, home)
	for _, d := range n.Deps {
		receive(line, d)
	}
	line("cd %s", quote(dir))
	line("set -x")
	for _, c := range n.Task.Run {
		line("%s", strings.TrimRight(c, "\n"))
	}
	return b.String()
}

// receive writes what an artifact does to the environment of those who require it.
func receive(line func(string, ...any), d Dep) {
	e := d.Node.Task.Exports
	for _, list := range []struct {
		name string
		dirs []string
	}{{"PATH", e.Path}, {"CPATH", e.Include}, {"LIBRARY_PATH", e.Lib}} {
		for _, dir := range list.dirs {
			line(`export %s="$OUTWORK_DEPS"/%s"${%s:+:$%s}"`, list.name, quote(path.Join(d.As, dir)), list.name, list.name)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(e.Env)) {
		var v strings.Builder
		for i, part := range strings.Split(e.Env[k], "$ARTIFACT") {
			if i > 0 {
				v.WriteString(`"$OUTWORK_DEPS"/` + quote(d.As))
			}
			if part != "" || i == 0 {
				v.WriteString(quote(part))
			}
		}
		line("export %s=%s", k, v.String())
	}
}

// quote makes one word of s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// outputs are the paths that an executor brings back: of each pattern what stands before its first wildcard. None is below another.
func outputs(t *recipe.Task) []string {
	paths := []string{out}
	add := func(patterns []string) {
		for _, p := range patterns {
			paths = append(paths, path.Join(workspace, t.Dir, static(p)))
		}
	}
	for _, r := range t.Publish {
		add(r.From)
	}
	add(t.Tests)
	slices.Sort(paths)
	var kept []string
	for _, p := range paths {
		inside := slices.ContainsFunc(paths, func(o string) bool { return strings.HasPrefix(p, o+"/") })
		if !inside && (len(kept) == 0 || kept[len(kept)-1] != p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// static is the part of a pattern without wildcards: a file or folder when it has none, else the folder before the first.
func static(pattern string) string {
	base, rest := doublestar.SplitPattern(path.Clean(pattern))
	if !strings.ContainsAny(rest, `*?[{\`) {
		return path.Join(base, rest)
	}
	if base == "." {
		return ""
	}
	return base
}

// platform makes properties of labels: NAME=VALUE as it stands, a bare one as the value of "label".
func platform(labels []string) *repb.Platform {
	if len(labels) == 0 {
		return nil
	}
	p := &repb.Platform{}
	for _, l := range labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok {
			k, v = "label", l
		}
		p.Properties = append(p.Properties, &repb.Platform_Property{Name: k, Value: v})
	}
	slices.SortFunc(p.Properties, func(a, b *repb.Platform_Property) int {
		return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value)
	})
	return p
}
