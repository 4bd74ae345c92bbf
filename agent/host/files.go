package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

const defaultReadLimit = 16 << 20

// inside opens the folder that a path of a lease is relative to, and returns the path within it. The caller closes the root.
func (h *Host) inside(id agent.Lease, path string) (*os.Root, string, error) {
	l, err := h.find(id)
	if err != nil {
		return nil, "", err
	}
	local := filepath.FromSlash(path)
	if strings.ContainsRune(path, 0) {
		return nil, "", fault.New(fault.Invalid, "path %q: a path cannot hold a NUL byte", path)
	}
	if filepath.IsAbs(local) {
		return absolute(filepath.Clean(local))
	}
	if local = filepath.Clean(local); !filepath.IsLocal(local) {
		return nil, "", outside(path, l.work.Path)
	}
	root, err := os.OpenRoot(l.work.Path)
	if errors.Is(err, fs.ErrNotExist) { // a step may have removed the workspace itself
		if err = os.MkdirAll(l.work.Path, 0o755); err == nil {
			root, err = os.OpenRoot(l.work.Path)
		}
	}
	return root, local, err
}

// absolute opens the top of the file system: an absolute path is what a step of the lease could reach.
func absolute(path string) (*os.Root, string, error) {
	top := filepath.VolumeName(path) + string(filepath.Separator)
	rel, err := filepath.Rel(top, path)
	if err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(top)
	return root, rel, err
}

func outside(path, workspace string) error {
	return fault.New(fault.Invalid, "path %q leads out of the workspace %s: give an absolute path if that is meant", path, workspace)
}

// fileFault gives errors of files their kind.
func fileFault(path string, root *os.Root, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.With(fault.NotFound, err)
	case strings.Contains(err.Error(), "path escapes from parent"): // os.Root's error has no name
		return outside(path, root.Name())
	case errors.Is(err, fs.ErrPermission):
		return fault.With(fault.Denied, err)
	}
	return diskFault(err)
}

// ReadFile returns a whole file.
func (h *Host) ReadFile(ctx context.Context, id agent.Lease, path string, limit int64) ([]byte, error) {
	root, name, err := h.inside(id, path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if limit <= 0 {
		limit = defaultReadLimit
	}
	// A named pipe would be waited for; the look before the open is for honest mistakes, not for races.
	if fi, err := root.Stat(name); err != nil {
		return nil, fileFault(path, root, err)
	} else if !fi.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "path %q is not a regular file (%v)", path, fi.Mode().Type())
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fileFault(path, root, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileFault(path, root, err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Exhausted, "file %q has more than %d bytes, the limit of this read", path, limit)
	}
	return data, ctx.Err()
}

// WriteFile writes a whole file and makes the folders above it.
func (h *Host) WriteFile(ctx context.Context, id agent.Lease, path string, data []byte, mode fs.FileMode) error {
	root, name, err := h.inside(id, path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	given := mode.Perm() != 0
	if !given {
		mode = 0o644
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fileFault(path, root, err)
		}
	}
	if err := root.WriteFile(name, data, mode.Perm()); err != nil {
		return fileFault(path, root, err)
	}
	if given { // an existing file keeps its mode otherwise
		return fileFault(path, root, root.Chmod(name, mode.Perm()))
	}
	return nil
}

// Stat describes a file or folder; links that stay inside are followed.
func (h *Host) Stat(ctx context.Context, id agent.Lease, path string) (agent.FileInfo, error) {
	root, name, err := h.inside(id, path)
	if err != nil {
		return agent.FileInfo{}, err
	}
	defer root.Close()
	fi, err := root.Stat(name)
	if err != nil {
		return agent.FileInfo{}, fileFault(path, root, err)
	}
	return describeFile(filepath.ToSlash(name), fi), ctx.Err()
}

func describeFile(path string, fi fs.FileInfo) agent.FileInfo {
	return agent.FileInfo{Path: path, Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime()}
}

// Remove removes a tree. The workspace itself is emptied.
func (h *Host) Remove(ctx context.Context, id agent.Lease, path string) error {
	l, err := h.find(id)
	if err != nil {
		return err
	}
	root, name, err := h.inside(id, path)
	if err != nil {
		return err
	}
	defer root.Close()
	if filepath.Join(root.Name(), name) == l.work.Path {
		return l.empty(ctx)
	}
	return fileFault(path, root, removeIn(root, name))
}

// empty removes what is in the workspace.
func (l *lease) empty(ctx context.Context) error {
	root, err := os.OpenRoot(l.work.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := removeIn(root, name); err != nil {
			return fileFault(name, root, err)
		}
	}
	return nil
}

// removeIn removes a tree below root, folders without write permission in it too.
func removeIn(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(root.FS(), filepath.ToSlash(name), func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = root.Chmod(filepath.FromSlash(p), 0o700)
		}
		return nil
	})
	return root.RemoveAll(name)
}
