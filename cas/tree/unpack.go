package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Unpack writes a tree below dir, a folder below root that is made when missing ("" is root itself), over what is there: files
// and links that differ are replaced, those that are the same keep their times, other files stay. Nothing is written outside of root, whatever the tree or the folder holds. What a
// failed Unpack wrote stays; no file is left with less than its bytes.
func Unpack(ctx context.Context, store cas.Store, digest cas.Digest, root *os.Root, dir string, limits Limits) error {
	entries, err := List(ctx, store, digest, limits)
	if err != nil {
		return err
	}
	if err := CheckNames(entries); err != nil {
		return err
	}
	u := unpacker{store: store}
	if dir = filepath.FromSlash(path.Clean(dir)); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("unpack: %w", kinded(err))
		}
		sub, err := root.OpenRoot(dir)
		if err != nil {
			return fmt.Errorf("unpack: %w", kinded(err))
		}
		defer sub.Close()
		root = sub
	}
	u.root = root
	return u.write(ctx, entries)
}

// CheckNames refuses names that this system would read as something else: NUL, a\b and C:x on Windows. fault.Invalid.
func CheckNames(entries []Entry) error {
	if runtime.GOOS != "windows" {
		return nil
	}
	for _, e := range entries {
		if strings.ContainsAny(e.Path, `\:`) || !filepath.IsLocal(filepath.FromSlash(e.Path)) {
			return fault.New(fault.Invalid, "unpack %q: the name cannot be one on this machine", e.Path)
		}
	}
	return nil
}

type unpacker struct {
	store cas.Store
	root  *os.Root
}

// write makes the folders, then the files in parallel, and the links last: no file is written through a link of the tree.
func (u unpacker) write(ctx context.Context, entries []Entry) error {
	for _, e := range entries {
		if e.Mode.IsDir() {
			if err := u.mkdir(filepath.FromSlash(e.Path)); err != nil {
				return fmt.Errorf("unpack %s: %w", e.Path, kinded(err))
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, e := range entries {
		if !e.Mode.IsRegular() {
			continue
		}
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := u.file(gctx, e); err != nil {
				return fmt.Errorf("unpack %s: %w", e.Path, kinded(err))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for _, e := range entries {
		if e.Mode&fs.ModeSymlink == 0 {
			continue
		}
		if err := u.link(filepath.FromSlash(e.Path), e.Link); err != nil {
			return fmt.Errorf("unpack %s: %w", e.Path, kinded(err))
		}
	}
	return nil
}

// mkdir makes a folder. What is there and no folder, or a link to one, gives way.
func (u unpacker) mkdir(name string) error {
	err := u.root.Mkdir(name, 0o755)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := u.root.Lstat(name)
	if err != nil || info.IsDir() {
		return err
	}
	if err := u.root.Remove(name); err != nil {
		return err
	}
	return u.root.Mkdir(name, 0o755)
}

// file writes one file under a new name in place of what is there, so that a running program or another hard link of the old
// one is not written to.
func (u unpacker) file(ctx context.Context, e Entry) error {
	name := filepath.FromSlash(e.Path)
	if u.same(name, e) {
		return nil
	}
	src, err := u.store.Get(ctx, e.Digest, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := u.create(name, e.Mode.Perm())
	if err != nil {
		return err
	}
	n, err := io.Copy(f, src)
	if err == nil && n != e.Digest.Size {
		err = fmt.Errorf("%d of %d bytes: %w", n, e.Digest.Size, cas.ErrMismatch)
	}
	if err == nil && e.Mode.Perm() != usualMode(e.Mode&0o111 != 0) {
		err = f.Chmod(e.Mode.Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		u.root.Remove(name)
	}
	return err
}

// same reports whether a file is there already. Its bytes are read: sizes and times can be equal by chance.
func (u unpacker) same(name string, e Entry) bool {
	info, err := u.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != e.Digest.Size {
		return false
	}
	want, have := e.Mode.Perm(), info.Mode().Perm()
	executable := want&0o111 != 0
	if want == usualMode(executable) { // as the umask let it be written
		want, have = want&0o100, have&0o100
	}
	if want != have && runtime.GOOS != "windows" {
		return false
	}
	f, err := u.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	d, err := cas.OfReader(f)
	return err == nil && d == e.Digest
}

func (u unpacker) create(name string, perm fs.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := u.root.OpenFile(name, flags, perm)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return u.root.OpenFile(name, flags, perm)
}

func (u unpacker) link(name, target string) error {
	target = filepath.FromSlash(target)
	if have, err := u.root.Readlink(name); err == nil && have == target {
		return nil
	}
	if err := u.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.root.Symlink(target, name)
}
