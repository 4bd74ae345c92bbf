package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/agent/ant"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	maxFound    = 1_000_000       // entries of one folder
	maxProblems = 100             // told of one folder
	fresh       = 2 * time.Second // a file that was changed so shortly before it was read may be changed again without showing it
	settling    = 3               // how often a file may change while it is read
)

// scan is a folder as it was found. It does not change.
type scan struct {
	real     string       // its path, without links
	entries  []tree.Entry // by path; "" is the folder itself
	problems []string     // what is left out, and why; maxProblems at most
	files    int
	bytes    int64
}

// mark is what shows that a file has not changed since it was read.
type mark struct {
	Size    int64  `json:"s"`
	Time    int64  `json:"t"`           // of the last change of its bytes, Unix nanoseconds
	Changed int64  `json:"c,omitempty"` // of the last change of anything, where the system says
	Inode   uint64 `json:"i,omitempty"`
}

// known is a file that was read.
type known struct {
	Mark mark   `json:"m"`
	Hash string `json:"h"`
}

// scanner reads folders. It is used by one goroutine at a time.
type scanner struct {
	cache map[string]known // by absolute path
	now   func() time.Time
	own   string // the controller's own folder, which no entry may hold
	read  int    // files that were read by the last scan
}

// scan looks through an entry's folder and reads what has changed since it last did. A file that cannot be read, or a folder that is
// gone or empty, fails: on the nodes it would be deleted.
func (s *scanner) scan(ctx context.Context, e Entry) (*scan, error) {
	real, err := filepath.EvalSymlinks(e.From)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%w", err)
	}
	if rel, err := filepath.Rel(real, s.own); s.own != "" && err == nil && filepath.IsLocal(rel) {
		return nil, fault.New(fault.Invalid, "%s holds the controller's own folder %s: choose a folder of tools alone", e.From, s.own)
	}
	exclude, err := excludes(e.Exclude)
	if err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	w := &walk{scan: &scan{real: real}, exclude: exclude}
	if err := filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.visit(p, d, err)
	}); err != nil {
		return nil, err
	}
	if len(w.entries) == 1 {
		return nil, fault.New(fault.Invalid, "%s is empty: is what should be there mounted?", e.From)
	}
	if err := s.hash(ctx, w); err != nil {
		return nil, err
	}
	for _, e := range w.entries {
		if e.Mode.IsRegular() {
			w.files++
			w.bytes += e.Digest.Size
		}
	}
	slices.SortFunc(w.entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return w.scan, nil
}

// walk gathers what is in a folder.
type walk struct {
	*scan
	exclude *ant.Set
	marks   []mark // of entries, in their order
}

func (w *walk) visit(p string, d fs.DirEntry, err error) error {
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && p != w.real {
			return nil // it was removed meanwhile
		}
		return err
	}
	rel := ""
	if p != w.real {
		rel = filepath.ToSlash(strings.TrimPrefix(p[len(w.real):], string(filepath.Separator)))
	}
	if rel != "" && (w.exclude.Match(rel) || d.IsDir() && w.exclude.Covers(rel)) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(w.entries) >= maxFound {
		return fault.New(fault.Exhausted, "%s has more than %d files and folders: exclude some", w.real, maxFound)
	}
	e := tree.Entry{Path: rel, Mode: info.Mode().Type() | info.Mode().Perm(), Time: info.ModTime().UTC()}
	switch {
	case !utf8.ValidString(rel):
		return w.leave(d, "%q: its name is not UTF-8", rel)
	case d.IsDir():
	case d.Type()&fs.ModeSymlink != 0:
		if e.Link, err = os.Readlink(p); err != nil {
			return err
		}
		e.Link = filepath.ToSlash(e.Link)
		if err := tree.CheckLink(tree.Parent(rel), e.Link); err != nil {
			return w.leave(d, "%s: %v", rel, err)
		}
	case d.Type().IsRegular():
		e.Digest.Size = info.Size()
	default:
		return w.leave(d, "%s: is no file, folder or link (%s)", rel, d.Type())
	}
	w.entries = append(w.entries, e)
	w.marks = append(w.marks, markOf(info))
	return nil
}

// leave leaves something out of the tree, and says so.
func (w *walk) leave(d fs.DirEntry, format string, args ...any) error {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, "left out: "+fmt.Sprintf(format, args...))
	}
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// hash finds the digest of every file: from the cache, or by reading it.
func (s *scanner) hash(ctx context.Context, w *walk) error {
	root, err := os.OpenRoot(w.real)
	if err != nil {
		return err
	}
	defer root.Close()
	begun := s.now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	var changed []int
	for i := range w.entries {
		e := &w.entries[i]
		if !e.Mode.IsRegular() {
			continue
		}
		if k, ok := s.cache[w.file(i)]; ok && k.Mark == w.marks[i] {
			e.Digest.Hash = k.Hash
			continue
		}
		changed = append(changed, i)
		g.Go(func() error {
			if err := readFile(gctx, root, e, &w.marks[i]); err != nil {
				return fmt.Errorf("%s: %w", w.file(i), err)
			}
			return nil
		})
	}
	s.read = len(changed)
	if err := g.Wait(); err != nil {
		return err
	}
	for _, i := range changed {
		m := w.marks[i]
		if newest := max(m.Time, m.Changed); begun.Sub(time.Unix(0, newest)) > fresh {
			s.cache[w.file(i)] = known{m, w.entries[i].Digest.Hash}
		} else {
			delete(s.cache, w.file(i))
		}
	}
	return nil
}

// file is the absolute path of an entry.
func (w *walk) file(i int) string {
	return filepath.Join(w.real, filepath.FromSlash(w.entries[i].Path))
}

// readFile finds the digest of a file that does not change meanwhile.
func readFile(ctx context.Context, root *os.Root, e *tree.Entry, m *mark) error {
	for range settling {
		f, err := root.Open(filepath.FromSlash(e.Path))
		if err != nil {
			return err
		}
		d, err := cas.OfReader(cas.UntilDone(ctx, f))
		info, serr := f.Stat()
		if err := errors.Join(err, serr, f.Close()); err != nil {
			return err
		}
		if now := markOf(info); now == *m && d.Size == now.Size {
			e.Digest = d
			return nil
		}
		e.Digest.Size, e.Mode, e.Time, *m = info.Size(), info.Mode().Type()|info.Mode().Perm(), info.ModTime().UTC(), markOf(info)
	}
	return fault.New(fault.Conflict, "changes all the time while it is read")
}
