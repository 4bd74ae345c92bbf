package tree

import (
	"fmt"
	"io/fs"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Build makes a tree of entries whose bytes are elsewhere already, and returns its root and its Directory messages. Other than Pack
// it keeps times, and the modes of folders. An entry with the path "" describes the root. Folders that are only named by what is in
// them come out with the usual mode and no time. fault.Invalid: a name or a link that no tree may have; fault.Conflict: two entries
// with one path.
func Build(entries []Entry) (root cas.Digest, manifests map[cas.Digest][]byte, err error) {
	top := newNode()
	for _, e := range entries {
		if err := top.enter(e); err != nil {
			return root, nil, fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	manifests = map[cas.Digest][]byte{}
	root, err = top.encode(func(d cas.Digest, b []byte) { manifests[d] = b })
	return root, manifests, err
}

func (n *node) enter(e Entry) error {
	if e.Path == "" {
		n.about = aboutFolder(e)
		return nil
	}
	if !fs.ValidPath(e.Path) || e.Path == "." {
		return fault.New(fault.Invalid, "expected a relative path without dots")
	}
	in, name, err := n.parent(e.Path)
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	if e.Mode.IsDir() {
		d, err := in.dir(name)
		if err == nil {
			d.about = aboutFolder(e)
		}
		return err
	}
	if _, twice := in.other[name]; twice || in.dirs[name] != nil {
		return fault.New(fault.Conflict, "is there twice")
	}
	if e.Mode&fs.ModeSymlink != 0 {
		if err := CheckLink(Parent(e.Path), e.Link); err != nil {
			return err
		}
	} else if err := e.Digest.Validate(); err != nil {
		return err
	}
	in.other[name] = item{path: e.Path, mode: e.Mode, link: e.Link, digest: e.Digest, time: e.Time}
	return nil
}

func aboutFolder(e Entry) *repb.NodeProperties {
	var p *repb.NodeProperties
	if perm := e.Mode.Perm(); perm != usualMode(true) {
		p = &repb.NodeProperties{UnixMode: wrapperspb.UInt32(uint32(perm))}
	}
	return timed(p, e.Time)
}

// timed adds a time to what is said of an entry.
func timed(p *repb.NodeProperties, t time.Time) *repb.NodeProperties {
	if t.IsZero() {
		return p
	}
	if p == nil {
		p = new(repb.NodeProperties)
	}
	p.Mtime = timestamppb.New(t)
	return p
}

// timeOf is the inverse of timed. A time that is none is not kept.
func timeOf(p *repb.NodeProperties) time.Time {
	if m := p.GetMtime(); m != nil && m.IsValid() {
		return m.AsTime()
	}
	return time.Time{}
}
