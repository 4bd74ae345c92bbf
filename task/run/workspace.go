package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/recipe"
)

// Workspace is the folder that recipes and sources stand in. It is read once: what changes while it is open is seen when the bytes are
// stored, and ends the build. Its methods may be called concurrently.
type Workspace struct {
	dir    string
	root   *os.Root
	hashes *hashes

	listed, all func() ([]string, error) // files that git does not ignore, all files; sorted

	mu      sync.Mutex
	entries map[string]*source
}

// source is a file that was looked at, once.
type source struct {
	once  sync.Once
	entry tree.Entry
	err   error
}

// OpenWorkspace opens a folder. Hashes of its files are kept in the file at hashes, "" for nowhere.
func OpenWorkspace(dir, hashes string) (*Workspace, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	w := &Workspace{dir: dir, root: root, hashes: loadHashes(hashes), entries: map[string]*source{}}
	w.listed = sync.OnceValues(w.listGit)
	w.all = sync.OnceValues(func() ([]string, error) { return w.walk(".") })
	return w, nil
}

// Dir is the workspace's folder, absolute and without links.
func (w *Workspace) Dir() string { return w.dir }

// Files is the workspace as recipes are read from it: no link leads out of it.
func (w *Workspace) Files() fs.FS { return w.root.FS() }

// Close keeps the hashes and closes the workspace.
func (w *Workspace) Close() error { return errors.Join(w.hashes.save(), w.root.Close()) }

// own are the folders at any depth that are never sources.
var own = []string{".git", ".hg", ".svn"}

// walk lists all files and links below a folder.
func (w *Workspace) walk(dir string) ([]string, error) {
	var files []string
	err := fs.WalkDir(w.root.FS(), dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(own, d.Name()):
			return fs.SkipDir
		case !d.IsDir():
			files = append(files, p)
		}
		return nil
	})
	slices.Sort(files)
	return files, err
}

// staged is what git writes before a file that it knows: its mode, its hash, and which side of a conflict it is.
var staged = regexp.MustCompile(`^[0-7]{6} [0-9a-f]{40,64} [0-3]\t`)

// listGit lists the files that git knows or would add. Where there is no git checkout that is all of them.
func (w *Workspace) listGit() ([]string, error) {
	if !inCheckout(w.dir) {
		return w.all()
	}
	cmd := exec.Command("git", "-C", w.dir, "ls-files", "-z", "--stage", "--cached", "--others", "--exclude-standard")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fault.New(fault.Unavailable, "ask git for the files of %s: %w: %s", w.dir, err, strings.TrimSpace(said.String()))
	}
	var files []string
	for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\x00"), "\x00") {
		p := staged.ReplaceAllString(line, "")
		inside, other := strings.CutSuffix(p, "/")
		switch {
		case p == "":
		case other || p != line && strings.HasPrefix(line, "160000 "): // a checkout within the checkout, or a submodule
			more, err := w.walk(inside)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			files = append(files, more...)
		default:
			files = append(files, p)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func inCheckout(dir string) bool {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// Sources returns the files and links that a task's globs name, by path. A pattern that names none is fault.NotFound, unless its glob may.
func (w *Workspace) Sources(t *recipe.Task) ([]tree.Entry, error) {
	paths := map[string]bool{}
	for _, g := range t.Sources {
		if err := w.glob(t, g, paths); err != nil {
			return nil, fmt.Errorf("%s: task %q: %w", g.Pos, t.Name, err)
		}
	}
	entries := make([]tree.Entry, 0, len(paths))
	for p := range paths {
		e, err := w.entry(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // git knows it, and it was deleted
		}
		if err != nil {
			return nil, fmt.Errorf("task %q: source %s: %w", t.Name, p, err)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries, nil
}

func (w *Workspace) glob(t *recipe.Task, g recipe.Glob, paths map[string]bool) error {
	var exclude []string
	for _, p := range g.Exclude {
		exclude = append(exclude, path.Join(t.Dir, p))
	}
	excluded := func(file string) bool {
		return slices.ContainsFunc(exclude, func(p string) bool {
			ok, _ := doublestar.Match(p, file)
			return ok || strings.HasPrefix(file, p+"/")
		})
	}
	for _, p := range g.Include {
		found, err := w.match(path.Join(t.Dir, p), g.Ignored)
		if err != nil {
			return err
		}
		n := 0
		for _, file := range found {
			if !excluded(file) {
				paths[file] = true
				n++
			}
		}
		if n == 0 && !g.Empty {
			return fault.New(fault.NotFound, "sources: %s names no file of the workspace%s", p, w.ignoredHint(path.Join(t.Dir, p), g.Ignored))
		}
	}
	return nil
}

// ignoredHint says when a pattern would name files if git did not ignore them.
func (w *Workspace) ignoredHint(pattern string, ignored bool) string {
	if found, err := w.match(pattern, true); ignored || err != nil || len(found) == 0 {
		return ""
	}
	return "; git ignores what it would name, glob(…, ignored = True) takes it"
}

// match lists the files that a pattern names. One without wildcards names a file, or all in a folder.
func (w *Workspace) match(pattern string, ignored bool) ([]string, error) {
	base, rest := doublestar.SplitPattern(pattern)
	literal := !strings.ContainsAny(rest, `*?[{\`)
	if literal {
		base = pattern
		if info, err := w.root.Lstat(filepath.FromSlash(pattern)); err == nil && !info.IsDir() {
			return []string{pattern}, nil
		}
	}
	list := w.listed
	if ignored {
		list = w.all
	}
	files, err := list()
	if err != nil {
		return nil, err
	}
	if base != "." {
		files = below(files, base)
	}
	if literal {
		return files, nil
	}
	var found []string
	for _, f := range files {
		if ok, _ := doublestar.Match(pattern, f); ok {
			found = append(found, f)
		}
	}
	return found, nil
}

// below are those of sorted files that stand in a folder.
func below(files []string, dir string) []string {
	from, _ := slices.BinarySearch(files, dir+"/")
	to, _ := slices.BinarySearch(files, dir+"0") // the character behind the slash
	return files[from:to]
}

// entry looks at a file of the workspace, once.
func (w *Workspace) entry(p string) (tree.Entry, error) {
	w.mu.Lock()
	s := w.entries[p]
	if s == nil {
		s = &source{}
		w.entries[p] = s
	}
	w.mu.Unlock()
	s.once.Do(func() { s.entry, s.err = w.look(p) })
	return s.entry, s.err
}

func (w *Workspace) look(p string) (tree.Entry, error) {
	e := tree.Entry{Path: p}
	info, err := w.root.Lstat(filepath.FromSlash(p))
	if err != nil {
		return e, err
	}
	e.Mode = info.Mode()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := w.root.Readlink(filepath.FromSlash(p))
		if err != nil {
			return e, err
		}
		e.Link = filepath.ToSlash(target)
		return e, tree.CheckLink(tree.Parent(p), e.Link)
	case !info.Mode().IsRegular():
		return e, fault.New(fault.Invalid, "is no file, folder or link (%s)", info.Mode())
	}
	if runtime.GOOS == "windows" {
		e.Mode = 0o644 // what it says there is made up
	}
	e.Digest, err = w.hashes.of(w.root, p, info)
	return e, err
}

// Absent are the files of the workspace that are not among a task's sources.
func (w *Workspace) Absent(sources []tree.Entry) ([]string, error) {
	files, err := w.listed()
	if err != nil {
		return nil, err
	}
	var absent []string
	for _, f := range files {
		if _, is := slices.BinarySearchFunc(sources, f, func(e tree.Entry, f string) int { return strings.Compare(e.Path, f) }); !is {
			absent = append(absent, f)
		}
	}
	return absent, nil
}

const (
	stored    = 16       // files that are stored at once
	smallFile = 64 << 10 // bytes up to which files are stored in batches
	batch     = 256      // files of one
)

// Store puts what a store lacks of sources into it, and of small blobs that go with them. A file that has changed since it was looked
// at is fault.Conflict.
func (w *Workspace) Store(ctx context.Context, store cas.Store, sources []tree.Entry, more map[cas.Digest][]byte) error {
	byDigest := map[cas.Digest]string{}
	var ds []cas.Digest
	for _, e := range sources {
		if e.Mode.IsRegular() {
			byDigest[e.Digest] = e.Path
			ds = append(ds, e.Digest)
		}
	}
	for d := range more {
		ds = append(ds, d)
	}
	missing, err := store.Missing(ctx, ds)
	if err != nil {
		return err
	}
	var small, large []cas.Digest
	for _, d := range missing {
		if d.Size <= smallFile || more[d] != nil {
			small = append(small, d)
		} else {
			large = append(large, d)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(stored)
	for _, d := range large {
		g.Go(func() error { return w.storeFile(gctx, store, d, byDigest[d]) })
	}
	for ds := range slices.Chunk(small, batch) {
		g.Go(func() error { return w.storeBatch(gctx, store, ds, byDigest, more) })
	}
	return g.Wait()
}

func (w *Workspace) storeFile(ctx context.Context, store cas.Store, d cas.Digest, p string) error {
	f, err := w.root.Open(filepath.FromSlash(p))
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer f.Close()
	return changed(p, store.Put(ctx, d, f))
}

func (w *Workspace) storeBatch(ctx context.Context, store cas.Store, ds []cas.Digest, paths map[cas.Digest]string, more map[cas.Digest][]byte) error {
	blobs := make([]cas.Blob, len(ds))
	for i, d := range ds {
		if b, ok := more[d]; ok {
			blobs[i] = cas.Blob{Digest: d, Data: b}
			continue
		}
		data, err := w.root.ReadFile(filepath.FromSlash(paths[d]))
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		blobs[i] = cas.Blob{Digest: d, Data: data}
	}
	for i, err := range cas.PutBatch(ctx, store, blobs) {
		if err != nil {
			return changed(paths[ds[i]], err)
		}
	}
	return nil
}

func changed(p string, err error) error {
	if errors.Is(err, cas.ErrMismatch) {
		return fault.New(fault.Conflict, "source %s has changed while it was being built with; build again", p)
	}
	if err != nil {
		return fmt.Errorf("source %s: %w", p, err)
	}
	return nil
}
