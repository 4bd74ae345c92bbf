package graph

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bmatcuk/doublestar/v4"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/recipe"
)

// Outputs are the entries of an action's outputs, by their paths in the input root. blob returns the Tree messages that the result
// names. What is broken is fault.Invalid; errors of blob come through.
func Outputs(result *repb.ActionResult, blob func(cas.Digest) ([]byte, error)) ([]tree.Entry, error) {
	var all []tree.Entry
	for _, f := range result.OutputFiles {
		mode := fs.FileMode(0o644)
		if f.IsExecutable {
			mode = 0o755
		}
		all = append(all, tree.Entry{Path: f.Path, Mode: mode, Digest: task.Digest(f.Digest)})
	}
	for _, list := range [][]*repb.OutputSymlink{result.OutputSymlinks, result.OutputFileSymlinks, result.OutputDirectorySymlinks} {
		for _, l := range list {
			all = append(all, tree.Entry{Path: l.Path, Mode: fs.ModeSymlink | fs.ModePerm, Link: l.Target})
		}
	}
	for _, d := range result.OutputDirectories {
		b, err := blob(task.Digest(d.TreeDigest))
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", d.Path, err)
		}
		if all, err = unfold(all, d.Path, b); err != nil {
			return nil, fmt.Errorf("output %s: %w", d.Path, err)
		}
	}
	slices.SortStableFunc(all, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(all, func(a, b tree.Entry) bool { return a == b }), nil
}

// unfold adds the entries of a Tree message below a path.
func unfold(all []tree.Entry, at string, b []byte) ([]tree.Entry, error) {
	t := new(repb.Tree)
	if err := proto.Unmarshal(b, t); err != nil {
		return nil, fault.New(fault.Invalid, "tree message: %w", err)
	}
	children := map[cas.Digest]*repb.Directory{}
	for _, c := range t.Children {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			return nil, fault.New(fault.Invalid, "tree message: %w", err)
		}
		children[cas.Of(b)] = c
	}
	u := &unfolder{children: children, all: all}
	err := u.add(at, t.Root, 0)
	return u.all, err
}

const (
	maxEntries = 1_000_000
	maxDepth   = 200
)

type unfolder struct {
	children map[cas.Digest]*repb.Directory
	all      []tree.Entry
}

func (u *unfolder) add(at string, d *repb.Directory, depth int) error {
	if depth > maxDepth || len(u.all)+len(d.GetFiles())+len(d.GetSymlinks())+len(d.GetDirectories()) > maxEntries {
		return fault.New(fault.Exhausted, "expected at most %d entries and folders %d deep", maxEntries, maxDepth)
	}
	u.all = append(u.all, tree.Entry{Path: at, Mode: fs.ModeDir | 0o755})
	for _, f := range d.GetFiles() {
		mode := fs.FileMode(0o644)
		if f.IsExecutable {
			mode = 0o755
		}
		u.all = append(u.all, tree.Entry{Path: at + "/" + f.Name, Mode: mode, Digest: task.Digest(f.Digest)})
	}
	for _, l := range d.GetSymlinks() {
		u.all = append(u.all, tree.Entry{Path: at + "/" + l.Name, Mode: fs.ModeSymlink | fs.ModePerm, Link: l.Target})
	}
	for _, sub := range d.GetDirectories() {
		c := u.children[task.Digest(sub.Digest)]
		if c == nil {
			return fault.New(fault.Invalid, "tree message: lacks the folder %s/%s", at, sub.Name)
		}
		if err := u.add(at+"/"+sub.Name, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Publish makes a task's artifact of its action's outputs: what stands in out/, and what its rules name. It returns the root's digest
// and the Directory messages; no file is touched. A pattern that nothing matches is fault.NotFound.
func Publish(t *recipe.Task, outputs []tree.Entry) (cas.Digest, map[cas.Digest][]byte, error) {
	artifact := newLayout()
	for _, e := range outputs {
		if rest, ok := strings.CutPrefix(e.Path, out+"/"); ok {
			e.Path = rest
			if err := artifact.put(e); err != nil {
				return cas.Digest{}, nil, fmt.Errorf("publish: $OUTWORK_OUT: %w", err)
			}
		}
	}
	for _, r := range t.Publish {
		if err := apply(artifact, t, r, outputs); err != nil {
			return cas.Digest{}, nil, fmt.Errorf("%s: publish: %w", r.Pos, err)
		}
	}
	blobs := map[cas.Digest][]byte{}
	return artifact.encode(blobs), blobs, nil
}

func apply(artifact *layout, t *recipe.Task, r recipe.Rule, outputs []tree.Entry) error {
	for _, p := range r.From {
		found := selected(t, p, outputs)
		if len(found) == 0 {
			return fault.New(fault.NotFound, "%s: the commands made no such file%s", p, instead(t, p, outputs))
		}
		if r.To != "" && !strings.HasSuffix(r.To, "/") {
			if len(found) > 1 && !below(found, static(p)) {
				return fault.New(fault.Invalid, "%s names %d files, %q is one; end it with / to make a folder of it", p, len(found), r.To)
			}
			r.From = []string{p}
		}
		for _, e := range found {
			e.Path = destination(r, p, e)
			if e.Path == "" || e.Path == "." {
				continue // the folder itself
			}
			if err := artifact.put(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// destination is where an entry that a pattern has found stands in the artifact.
func destination(r recipe.Rule, pattern string, e tree.Entry) string {
	base, file := static(pattern), e.Path
	switch {
	case r.To == "":
		return file
	case !strings.HasSuffix(r.To, "/"):
		if file == base || !strings.HasPrefix(file, base+"/") {
			return r.To
		}
		return path.Join(r.To, strings.TrimPrefix(file, base+"/"))
	case file == base && e.Mode.IsDir(): // what is in it comes to stand there
		return strings.TrimSuffix(r.To, "/")
	case file == base:
		return path.Join(r.To, path.Base(file))
	case base == "":
		return path.Join(r.To, file)
	}
	return path.Join(r.To, strings.TrimPrefix(file, base+"/"))
}

// selected are the entries of the task's folder that a pattern names, with their paths in it. A pattern that names a folder stands for
// all that is in it.
func selected(t *recipe.Task, pattern string, outputs []tree.Entry) []tree.Entry {
	prefix := path.Join(workspace, t.Dir) + "/"
	pattern = path.Clean(pattern)
	literal := static(pattern) == pattern || pattern == "."
	var found []tree.Entry
	for _, e := range outputs {
		rel, ok := strings.CutPrefix(e.Path, prefix)
		if !ok {
			continue
		}
		e.Path = rel
		if literal {
			ok = pattern == "." || rel == pattern || strings.HasPrefix(rel, pattern+"/")
		} else {
			ok, _ = doublestar.Match(pattern, rel)
			ok = ok && !e.Mode.IsDir()
		}
		if ok {
			found = append(found, e)
		}
	}
	return found
}

// below reports whether all entries are a folder and what is in it.
func below(entries []tree.Entry, dir string) bool {
	return !slices.ContainsFunc(entries, func(e tree.Entry) bool { return e.Path != dir && !strings.HasPrefix(e.Path, dir+"/") })
}

// instead is a hint at files beside the ones that are not there.
func instead(t *recipe.Task, pattern string, outputs []tree.Entry) string {
	prefix := path.Join(workspace, t.Dir) + "/"
	var names []string
	for _, e := range outputs {
		if rel, ok := strings.CutPrefix(e.Path, prefix); ok && !e.Mode.IsDir() && path.Ext(rel) == path.Ext(pattern) {
			names = append(names, rel)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; there is " + strings.Join(names[:min(5, len(names))], ", ")
}

// Reports are the entries that a task's test patterns name. None is no error.
func Reports(t *recipe.Task, outputs []tree.Entry) []tree.Entry {
	var found []tree.Entry
	for _, p := range t.Tests {
		for _, e := range selected(t, p, outputs) {
			if e.Mode.IsRegular() {
				found = append(found, e)
			}
		}
	}
	return found
}
