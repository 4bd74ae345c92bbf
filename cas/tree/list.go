package tree

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// fetchers is how many blobs are moved at once.
const fetchers = 16

// List returns every entry of the tree below root, folders before what is in them, each folder's files, links and folders in
// this order and by name. It reads manifests only and writes nothing. Trees beyond the limits fail with fault.Exhausted,
// broken ones with fault.Invalid, absent manifests with cas.ErrNotFound.
func List(ctx context.Context, store cas.Store, root cas.Digest, limits Limits) ([]Entry, error) {
	_, entries, err := Read(ctx, store, root, limits)
	return entries, err
}

// Read is List that also describes the root folder itself, whose path is "".
func Read(ctx context.Context, store cas.Store, root cas.Digest, limits Limits) (top Entry, entries []Entry, err error) {
	l := lister{limits: limits.orDefault()}
	if l.dirs, err = fetch(ctx, store, root, l.limits); err != nil {
		return top, nil, err
	}
	if err := l.add("", root, 0); err != nil {
		return top, nil, err
	}
	return l.folder("", root), l.entries, nil
}

// folder describes a folder of the tree.
func (l *lister) folder(at string, digest cas.Digest) Entry {
	about := l.dirs[digest].GetNodeProperties()
	e := Entry{Path: at, Mode: fs.ModeDir | 0o755, Digest: digest, Time: timeOf(about)}
	if m := about.GetUnixMode(); m != nil {
		e.Mode = fs.ModeDir | fs.FileMode(m.GetValue())&fs.ModePerm
	}
	return e
}

// fetch reads all different Directory messages of a tree, level by level.
func fetch(ctx context.Context, store cas.Store, root cas.Digest, limits Limits) (map[cas.Digest]*repb.Directory, error) {
	dirs := map[cas.Digest]*repb.Directory{}
	var mu sync.Mutex
	bytes := int64(0)
	for level := []cas.Digest{root}; len(level) > 0; {
		for _, d := range level {
			if bytes += d.Size; bytes > limits.Manifests || d.Size > limits.Manifests {
				return nil, fault.New(fault.Exhausted, "tree %s: expected manifests of at most %d bytes together", root, limits.Manifests)
			}
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(fetchers)
		for _, d := range level {
			g.Go(func() error {
				b, err := cas.ReadAll(gctx, store, d, limits.Manifests)
				if err != nil {
					return fmt.Errorf("tree %s: %w", root, err)
				}
				dir, err := Decode(b)
				if err != nil {
					return fmt.Errorf("tree %s: %s: %w", root, d, err)
				}
				mu.Lock()
				defer mu.Unlock()
				dirs[d] = dir
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		level = below(level, dirs)
		if len(dirs)+len(level) > limits.Entries {
			return nil, fault.New(fault.Exhausted, "tree %s: expected at most %d entries", root, limits.Entries)
		}
	}
	return dirs, nil
}

// below returns the folders of a level that were not read yet, each once.
func below(level []cas.Digest, dirs map[cas.Digest]*repb.Directory) []cas.Digest {
	var next []cas.Digest
	seen := map[cas.Digest]bool{}
	for _, d := range level {
		for _, n := range dirs[d].Directories {
			sub := fromProto(n.Digest)
			if _, ok := dirs[sub]; !ok && !seen[sub] {
				seen[sub] = true
				next = append(next, sub)
			}
		}
	}
	return next
}

// lister unfolds the messages into entries. A message that is named often is one blob but many entries: that is what the
// limits are about.
type lister struct {
	limits  Limits
	dirs    map[cas.Digest]*repb.Directory
	entries []Entry
	bytes   int64
}

func (l *lister) add(at string, digest cas.Digest, depth int) error {
	if depth > l.limits.Depth {
		return fault.New(fault.Exhausted, "tree: %.80q…: expected folders at most %d deep", at, l.limits.Depth)
	}
	d := l.dirs[digest]
	if len(l.entries)+len(d.Files)+len(d.Symlinks)+len(d.Directories) > l.limits.Entries {
		return fault.New(fault.Exhausted, "tree: expected at most %d entries", l.limits.Entries)
	}
	for _, n := range d.Files {
		e := Entry{Path: path.Join(at, n.Name), Mode: fileMode(n), Digest: fromProto(n.Digest), Time: timeOf(n.NodeProperties)}
		if l.bytes += e.Digest.Size; l.bytes > l.limits.Bytes || e.Digest.Size > l.limits.Bytes {
			return fault.New(fault.Exhausted, "tree: expected at most %d bytes", l.limits.Bytes)
		}
		if err := l.append(e); err != nil {
			return err
		}
	}
	for _, n := range d.Symlinks {
		if err := CheckLink(at, n.Target); err != nil {
			return fmt.Errorf("tree: %s: %w", path.Join(at, n.Name), err)
		}
		if err := l.append(Entry{Path: path.Join(at, n.Name), Mode: fs.ModeSymlink | fs.ModePerm, Link: n.Target, Time: timeOf(n.NodeProperties)}); err != nil {
			return err
		}
	}
	for _, n := range d.Directories {
		e := l.folder(path.Join(at, n.Name), fromProto(n.Digest))
		if err := l.append(e); err != nil {
			return err
		}
		if err := l.add(e.Path, e.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) append(e Entry) error {
	if len(e.Path) > maxPath {
		return fault.New(fault.Invalid, "tree: path %.80q…: longer than %d bytes", e.Path, maxPath)
	}
	l.entries = append(l.entries, e)
	return nil
}
