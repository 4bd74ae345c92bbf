// Package tree packs folders into a cas.Store and unpacks them again.
//
// A packed folder is a tree of Directory messages of the Remote Execution API v2, each a blob, in their canonical encoding:
// equal folders have equal digests, and only what the store lacks is stored. Modes are kept where they are not the usual ones
// (0644, or 0755 for what can be executed); times are kept of a tree that Build made; owners are not kept. Links are kept when they stay inside.
//
// Manifests are hostile input: every Directory is checked when it is read (Decode), trees are bounded by Limits, and files are
// opened through os.Root only. The functions may be called concurrently.
package tree

import (
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Limits bound a tree that is read. Zero fields have the defaults given.
type Limits struct {
	Entries   int   // files, links and folders; 1,000,000
	Depth     int   // folders within folders; 200
	Bytes     int64 // sum of the files' sizes; 256 GiB
	Manifests int64 // sum of the different Directory messages' sizes; 256 MiB
}

func (l Limits) orDefault() Limits {
	if l.Entries == 0 {
		l.Entries = 1_000_000
	}
	if l.Depth == 0 {
		l.Depth = 200
	}
	if l.Bytes == 0 {
		l.Bytes = 256 << 30
	}
	if l.Manifests == 0 {
		l.Manifests = 256 << 20
	}
	return l
}

const (
	maxName = 255  // bytes of one name, as file systems have it
	maxPath = 4096 // bytes of a path in a tree
)

// Entry is a file, a link or a folder of a tree.
type Entry struct {
	Path   string      // relative, slashes
	Mode   fs.FileMode // type and permission bits
	Digest cas.Digest  // of a file's bytes, or of a folder's Directory message
	Link   string      // where a link points to, relative to its folder
	Time   time.Time   // of its last change; zero when the tree does not say
}

// checkName refuses what is not one segment of a relative path.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fault.New(fault.Invalid, "name %q cannot be an entry of a folder", name)
	case strings.ContainsAny(name, "/\x00"):
		return fault.New(fault.Invalid, "name %q: a slash or NUL cannot be part of it", name)
	case len(name) > maxName:
		return fault.New(fault.Invalid, "name %.40q…: longer than %d bytes", name, maxName)
	}
	return nil
}

// CheckLink refuses a link that could lead out of the tree. Its parent folder is dir, "" the tree's root. Only leading ".." are
// let through: the folders they climb are real ones, whereas x/.. would climb from wherever a link x points to.
func CheckLink(dir, target string) error {
	if target == "" || len(target) > maxPath || strings.ContainsRune(target, 0) {
		return fault.New(fault.Invalid, "link to %.40q: expected a relative path", target)
	}
	if path.IsAbs(target) || strings.Contains(target, `\`) || len(target) > 1 && target[1] == ':' {
		return fault.New(fault.Invalid, "link to %q leads out of the tree: expected a relative path", target)
	}
	up, down := 0, false
	for seg := range strings.SplitSeq(target, "/") {
		switch seg {
		case "..":
			if down {
				return fault.New(fault.Invalid, "link to %q: .. may stand only at its beginning", target)
			}
			up++
		case "", ".":
		default:
			down = true
		}
	}
	depth := 0
	if dir != "" {
		depth = strings.Count(dir, "/") + 1
	}
	if up > depth {
		return fault.New(fault.Invalid, "link to %q leads out of the tree", target)
	}
	return nil
}
