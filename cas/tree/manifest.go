package tree

import (
	"fmt"
	"io/fs"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Decode reads a Directory message and checks it: names are single segments, sorted and different, digests are well formed.
// Links are checked where their place in the tree is known (List). Errors are fault.Invalid.
func Decode(b []byte) (*repb.Directory, error) {
	d := new(repb.Directory)
	if err := proto.Unmarshal(b, d); err != nil {
		return nil, fault.New(fault.Invalid, "directory message: %w", err)
	}
	names := make(map[string]struct{}, len(d.Files)+len(d.Directories)+len(d.Symlinks))
	last := ""
	check := func(kind, name string, digest *repb.Digest, hasDigest bool) error {
		if err := checkName(name); err != nil {
			return fmt.Errorf("directory message: %s: %w", kind, err)
		}
		if _, ok := names[name]; ok {
			return fault.New(fault.Invalid, "directory message: %s %q: the name stands there twice", kind, name)
		}
		if name < last {
			return fault.New(fault.Invalid, "directory message: %s %q: stands behind %q, expected names in order", kind, name, last)
		}
		names[name], last = struct{}{}, name
		if !hasDigest {
			return nil
		}
		if err := fromProto(digest).Validate(); err != nil {
			return fmt.Errorf("directory message: %s %q: %w", kind, name, err)
		}
		return nil
	}
	for _, f := range d.Files {
		if err := check("file", f.GetName(), f.GetDigest(), true); err != nil {
			return nil, err
		}
	}
	last = ""
	for _, f := range d.Directories {
		if err := check("folder", f.GetName(), f.GetDigest(), true); err != nil {
			return nil, err
		}
	}
	last = ""
	for _, f := range d.Symlinks {
		if err := check("link", f.GetName(), nil, false); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// encode is the canonical encoding of a Directory whose lists are sorted.
func encode(d *repb.Directory) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(d)
}

func fromProto(d *repb.Digest) cas.Digest {
	return cas.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()}
}

func toProto(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }

// fileNode describes a file. The mode goes along only when the executable bit does not say it all, so that the encoding is
// what other REAPI clients make of the same folder.
func fileNode(name string, d cas.Digest, mode fs.FileMode) *repb.FileNode {
	n := &repb.FileNode{Name: name, Digest: toProto(d), IsExecutable: mode&0o111 != 0}
	if perm := mode.Perm(); perm != usualMode(n.IsExecutable) {
		n.NodeProperties = &repb.NodeProperties{UnixMode: wrapperspb.UInt32(uint32(perm))}
	}
	return n
}

// fileMode is the inverse of fileNode. Set-user-id and its like never come back.
func fileMode(n *repb.FileNode) fs.FileMode {
	if m := n.GetNodeProperties().GetUnixMode(); m != nil {
		return fs.FileMode(m.GetValue()) & fs.ModePerm
	}
	return usualMode(n.GetIsExecutable())
}

func usualMode(executable bool) fs.FileMode {
	if executable {
		return 0o755
	}
	return 0o644
}
