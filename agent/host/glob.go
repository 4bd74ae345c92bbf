package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/ant"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
)

// maxFiles bounds one Glob; it is the number of entries a tree may have.
const maxFiles = 1_000_000

// chooser is a compiled GlobRequest.
type chooser struct {
	include, exclude *ant.Set
}

func choose(r agent.GlobRequest) (chooser, error) {
	includes := r.Includes
	if strings.TrimSpace(includes) == "" {
		includes = "**"
	}
	excludes := r.Excludes
	if r.DefaultExcludes {
		excludes += "," + ant.DefaultExcludes
	}
	var c chooser
	var err error
	if c.include, err = ant.Compile(includes, r.CaseInsensitive); err != nil {
		return c, fault.New(fault.Invalid, "includes: %w", err)
	}
	if c.exclude, err = ant.Compile(excludes, r.CaseInsensitive); err != nil {
		return c, fault.New(fault.Invalid, "excludes: %w", err)
	}
	return c, nil
}

// walk calls take for each chosen file below dir, in the order of names. Links to files count as files when they stay inside;
// links to folders are not entered, so that no walk is endless.
func (c chooser) walk(ctx context.Context, root *os.Root, dir string, take func(agent.FileInfo) error) error {
	base := filepath.ToSlash(dir)
	err := fs.WalkDir(root.FS(), base, func(p string, d fs.DirEntry, err error) error {
		if cerr := ctx.Err(); cerr != nil {
			return context.Cause(ctx)
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(p, base), "/")
		if base == "." {
			rel = p
		}
		if p == base {
			rel = ""
		}
		switch {
		case err != nil && p == base:
			return err
		case err != nil: // it vanished, or may not be read: Ant passes over both
			return nil
		case d.IsDir():
			if rel != "" && (!c.include.MayContain(rel) || c.exclude.Covers(rel)) {
				return fs.SkipDir
			}
			return nil
		case rel == "" || !c.include.Match(rel) || c.exclude.Match(rel):
			return nil
		}
		fi, err := root.Stat(filepath.FromSlash(p))
		if err != nil || !fi.Mode().IsRegular() {
			return nil // a link that leads nowhere, out, or to a folder; a socket
		}
		return take(describeFile(rel, fi))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fileFault(dir, root, err)
}

// Glob lists the chosen files.
func (h *Host) Glob(ctx context.Context, r agent.GlobRequest) ([]agent.FileInfo, error) {
	files, root, _, err := h.glob(ctx, r)
	if err != nil {
		return nil, err
	}
	return files, root.Close()
}

// glob also returns the open root and the folder in it. The caller closes the root when err is nil.
func (h *Host) glob(ctx context.Context, r agent.GlobRequest) ([]agent.FileInfo, *os.Root, string, error) {
	c, err := choose(r)
	if err != nil {
		return nil, nil, "", err
	}
	root, dir, err := h.inside(r.Lease, r.Dir)
	if err != nil {
		return nil, nil, "", err
	}
	var files []agent.FileInfo
	err = c.walk(ctx, root, dir, func(fi agent.FileInfo) error {
		if len(files) >= maxFiles {
			return fault.New(fault.Exhausted, "folder %q: more than %d files match: choose fewer", r.Dir, maxFiles)
		}
		files = append(files, fi)
		return nil
	})
	if err != nil {
		_ = root.Close()
		return nil, nil, "", err
	}
	slices.SortFunc(files, func(a, b agent.FileInfo) int { return strings.Compare(a.Path, b.Path) })
	return files, root, dir, nil
}

// Pack stores the chosen files in the cas.
func (h *Host) Pack(ctx context.Context, r agent.GlobRequest) (agent.Packed, error) {
	if h.cfg.CAS == nil {
		return agent.Packed{}, errNoStore()
	}
	files, root, dir, err := h.glob(ctx, r)
	if err != nil {
		return agent.Packed{}, err
	}
	defer root.Close()
	if len(files) == 0 { // the folder itself may not be there
		dir = "."
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	packed, err := tree.Pack(ctx, h.cfg.CAS, root, folderName(dir), paths)
	if err != nil {
		return agent.Packed{}, treeFault(err)
	}
	out := agent.Packed{Root: packed.Root, Uploaded: packed.Uploaded, Files: make([]agent.PackedFile, len(packed.Files))}
	for i, f := range packed.Files {
		out.Files[i] = agent.PackedFile{Path: f.Path, Digest: f.Digest, Mode: f.Mode}
	}
	return out, nil
}

// Unpack writes a tree from the cas below dir.
func (h *Host) Unpack(ctx context.Context, id agent.Lease, digest cas.Digest, dir string) error {
	if h.cfg.CAS == nil {
		return errNoStore()
	}
	if err := digest.Validate(); err != nil {
		return fault.With(fault.Invalid, err)
	}
	root, name, err := h.inside(id, dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return treeFault(tree.Unpack(ctx, h.cfg.CAS, digest, root, folderName(name), tree.Limits{}))
}

// folderName is a folder in the notation of cas/tree, where "" is the root itself.
func folderName(dir string) string {
	if dir = path.Clean(filepath.ToSlash(dir)); dir == "." {
		return ""
	}
	return dir
}

func errNoStore() error {
	return fault.New(fault.Unavailable, "this agent was started without a blob store: it can neither pack nor unpack")
}

// treeFault gives errors of the store their kind.
func treeFault(err error) error {
	switch {
	case errors.Is(err, cas.ErrNotFound):
		return fault.With(fault.NotFound, err)
	case errors.Is(err, cas.ErrFull):
		return fault.With(fault.Exhausted, err)
	}
	return diskFault(err)
}
