package graph

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
)

// layout is a folder in the making, out of files and whole folders whose bytes are elsewhere. Of modes it keeps whether a file can be
// executed, and of times nothing: neither may change a key.
type layout struct {
	dirs  map[string]*layout
	files map[string]*repb.FileNode
	links map[string]*repb.SymlinkNode
	whole *cas.Digest // it is this folder; nothing can be added
}

func newLayout() *layout {
	return &layout{dirs: map[string]*layout{}, files: map[string]*repb.FileNode{}, links: map[string]*repb.SymlinkNode{}}
}

// dir returns the folder at a path, made when missing; "" is l.
func (l *layout) dir(at string) (*layout, error) {
	if at == "" || at == "." {
		return l, nil
	}
	for seg := range strings.SplitSeq(at, "/") {
		if l.whole != nil || l.files[seg] != nil || l.links[seg] != nil {
			return nil, fault.New(fault.Conflict, "%s: is a folder and something else at once", at)
		}
		next := l.dirs[seg]
		if next == nil {
			next = newLayout()
			l.dirs[seg] = next
		}
		l = next
	}
	return l, nil
}

// place returns the folder that a path stands in, and its name there.
func (l *layout) place(at string) (*layout, string, error) {
	if !fs.ValidPath(at) || at == "." || strings.Contains(at, "\x00") {
		return nil, "", fault.New(fault.Invalid, "%q: expected a relative path without dots", at)
	}
	in, err := l.dir(tree.Parent(at))
	if err != nil {
		return nil, "", err
	}
	if in.whole != nil {
		return nil, "", fault.New(fault.Conflict, "%s: is a folder and something else at once", tree.Parent(at))
	}
	return in, path.Base(at), nil
}

// put adds a file, a link or an empty folder. The same once more is no error, another at the same path is fault.Conflict.
func (l *layout) put(e tree.Entry) error {
	if e.Mode.IsDir() {
		_, err := l.dir(e.Path)
		return err
	}
	in, name, err := l.place(e.Path)
	if err != nil {
		return err
	}
	if in.dirs[name] != nil {
		return fault.New(fault.Conflict, "%s: is a folder and something else at once", e.Path)
	}
	if e.Mode&fs.ModeSymlink != 0 {
		if err := tree.CheckLink(tree.Parent(e.Path), e.Link); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		node := &repb.SymlinkNode{Name: name, Target: e.Link}
		if old := in.links[name]; in.files[name] != nil || old != nil && old.Target != e.Link {
			return fault.New(fault.Conflict, "%s: two different files come to stand there", e.Path)
		}
		in.links[name] = node
		return nil
	}
	if err := e.Digest.Validate(); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	node := &repb.FileNode{Name: name, Digest: task.Proto(e.Digest), IsExecutable: e.Mode&0o111 != 0}
	if old := in.files[name]; in.links[name] != nil || old != nil && !proto.Equal(old, node) {
		return fault.New(fault.Conflict, "%s: two different files come to stand there", e.Path)
	}
	in.files[name] = node
	return nil
}

// graft makes the folder at a path one that exists.
func (l *layout) graft(at string, d cas.Digest) error {
	in, name, err := l.place(at)
	if err != nil {
		return err
	}
	if in.dirs[name] != nil || in.files[name] != nil || in.links[name] != nil {
		return fault.New(fault.Conflict, "%s: two things come to stand there", at)
	}
	in.dirs[name] = &layout{whole: &d}
	return nil
}

// encode adds the Directory messages of l to blobs and returns its digest.
func (l *layout) encode(blobs map[cas.Digest][]byte) cas.Digest {
	if l.whole != nil {
		return *l.whole
	}
	msg := &repb.Directory{Files: sorted(l.files), Symlinks: sorted(l.links)}
	for _, name := range slices.Sorted(maps.Keys(l.dirs)) {
		msg.Directories = append(msg.Directories, &repb.DirectoryNode{Name: name, Digest: task.Proto(l.dirs[name].encode(blobs))})
	}
	return keep(blobs, msg)
}

func sorted[N interface{ GetName() string }](nodes map[string]N) []N {
	return slices.SortedFunc(maps.Values(nodes), func(a, b N) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

// keep adds a message in its canonical encoding to blobs.
func keep(blobs map[cas.Digest][]byte, m proto.Message) cas.Digest {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // strings that are not UTF-8 are refused where they come in
	}
	d := cas.Of(b)
	blobs[d] = b
	return d
}
