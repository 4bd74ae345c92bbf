package tree

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	batchFiles = 512      // files hashed before the store is asked what it lacks
	inMemory   = 64 << 10 // files up to this many bytes are read once and kept until then
	changes    = 3        // how often a file may change under the packer's hands
)

// File is one file of a packed folder. A link to a file is listed with the bytes that it leads to.
type File struct {
	Path   string // relative to the packed folder, slashes
	Digest cas.Digest
	Mode   fs.FileMode // permission bits
}

// Packed is the result of Pack.
type Packed struct {
	Root     cas.Digest // of the root Directory message
	Files    []File     // by path
	Uploaded int64      // bytes that had to move, manifests included
}

// Pack stores the files given, whose paths are relative to dir, a folder below root ("" is root itself). Paths use slashes. A
// path that names a folder packs it without what is in it. A link is kept when it stays inside of dir; one that leads to a file
// elsewhere below root is packed as that file; others are refused with fault.Invalid. A file that is gone is fault.NotFound.
func Pack(ctx context.Context, store cas.Store, root *os.Root, dir string, files []string) (Packed, error) {
	p := &packer{store: store, root: root, dir: dir, tree: newNode()}
	files = slices.Clone(files)
	for i, file := range files {
		files[i] = path.Clean(file)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	for batch := range slices.Chunk(files, batchFiles) {
		if err := p.batch(ctx, batch); err != nil {
			return Packed{}, err
		}
	}
	digest, err := p.manifests(ctx)
	if err != nil {
		return Packed{}, err
	}
	slices.SortFunc(p.files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return Packed{Root: digest, Files: p.files, Uploaded: p.uploaded.Load()}, nil
}

type packer struct {
	store    cas.Store
	root     *os.Root
	dir      string
	tree     *node
	files    []File
	uploaded atomic.Int64
}

// item is a file on its way into the store.
type item struct {
	path   string
	mode   fs.FileMode // with its type
	link   string      // target, when it is packed as a link
	digest cas.Digest
	data   []byte    // of a small file, until it is stored; nil: to be read again
	bytes  bool      // there are bytes to store
	time   time.Time // zero is not kept
}

func (p *packer) at(file string) string { return filepath.FromSlash(path.Join(p.dir, file)) }

// batch hashes files in parallel, asks the store what it lacks and stores that.
func (p *packer) batch(ctx context.Context, files []string) error {
	items := make([]item, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for i, file := range files {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return context.Cause(gctx)
			}
			var err error
			if items[i], err = p.inspect(file); err != nil {
				return fmt.Errorf("pack %s: %w", file, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := p.upload(ctx, items); err != nil {
		return err
	}
	for _, it := range items {
		it.data = nil
		if err := p.tree.insert(it); err != nil {
			return fmt.Errorf("pack %s: %w", it.path, err)
		}
		if it.bytes {
			p.files = append(p.files, File{it.path, it.digest, it.mode.Perm()})
		}
	}
	return nil
}

func (p *packer) inspect(file string) (item, error) {
	it := item{path: file}
	if !filepath.IsLocal(filepath.FromSlash(file)) || it.path == "." {
		return it, fault.New(fault.Invalid, "expected a relative path that stays below its folder")
	}
	if !utf8.ValidString(file) {
		return it, fault.New(fault.Invalid, "name %q is not UTF-8", file)
	}
	info, err := p.root.Lstat(p.at(file))
	if err != nil {
		return it, kinded(err)
	}
	it.mode = info.Mode()
	if it.mode&fs.ModeSymlink != 0 {
		return p.inspectLink(it)
	}
	return p.inspectContent(it)
}

func (p *packer) inspectLink(it item) (item, error) {
	target, err := p.root.Readlink(p.at(it.path))
	if err != nil {
		return it, kinded(err)
	}
	target = filepath.ToSlash(target)
	inside := CheckLink(Parent(it.path), target)
	info, err := p.root.Stat(p.at(it.path))
	regular := err == nil && info.Mode().IsRegular()
	switch {
	case inside == nil && !regular:
		it.link = target
		return it, nil
	case !regular:
		return it, inside
	}
	mode := it.mode
	if it, err = p.inspectContent(it); err != nil {
		return it, err
	}
	if inside == nil {
		it.link = target
	}
	it.mode = mode.Type() | info.Mode().Perm()
	return it, nil
}

// Parent is the path of the folder that a path in a tree stands in; "" is the root.
func Parent(file string) string {
	if dir := path.Dir(file); dir != "." {
		return dir
	}
	return ""
}

func (p *packer) inspectContent(it item) (item, error) {
	if it.mode.IsDir() {
		return it, nil
	}
	if it.mode.Type()&^fs.ModeSymlink != 0 {
		return it, fault.New(fault.Invalid, "is no file, folder or link (%s)", it.mode)
	}
	f, err := p.root.Open(p.at(it.path))
	if err != nil {
		return it, kinded(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return it, err
	}
	it.bytes, it.mode = true, info.Mode()
	if runtime.GOOS == "windows" {
		it.mode = usualMode(false) // what it says there is made up
	}
	if info.Size() <= inMemory {
		it.data, err = io.ReadAll(io.LimitReader(f, inMemory+1))
		if err != nil {
			return it, err
		}
		if len(it.data) <= inMemory {
			it.digest = cas.Of(it.data)
			return it, nil
		}
		it.data = nil // it has grown meanwhile
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return it, err
		}
	}
	it.digest, err = cas.OfReader(f)
	return it, err
}

// upload stores what the store lacks of a batch. A large file is read again for it; the files that have changed since they
// were hashed are hashed anew, and the round is repeated.
func (p *packer) upload(ctx context.Context, items []item) error {
	for range changes {
		changed, err := p.uploadOnce(ctx, items)
		if err != nil || !changed {
			return err
		}
	}
	return fault.New(fault.Conflict, "pack: files change all the time while they are packed")
}

func (p *packer) uploadOnce(ctx context.Context, items []item) (bool, error) {
	byDigest := map[cas.Digest]*item{}
	var ds []cas.Digest
	for i := range items {
		if it := &items[i]; it.bytes && byDigest[it.digest] == nil {
			byDigest[it.digest] = it
			ds = append(ds, it.digest)
		}
	}
	missing, err := p.store.Missing(ctx, ds)
	if err != nil {
		return false, fmt.Errorf("pack: %w", err)
	}
	var changed atomic.Bool
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, d := range missing {
		it := byDigest[d]
		if it == nil {
			return false, fmt.Errorf("pack: the store misses %s, which it was not asked for", d)
		}
		g.Go(func() error {
			err := p.put(gctx, it)
			if errors.Is(err, cas.ErrMismatch) {
				changed.Store(true)
				*it, err = p.inspect(it.path)
			}
			if err != nil {
				return fmt.Errorf("pack %s: %w", it.path, err)
			}
			return nil
		})
	}
	err = g.Wait()
	return changed.Load(), err
}

func (p *packer) put(ctx context.Context, it *item) error {
	var r io.Reader = bytes.NewReader(it.data)
	if it.data == nil {
		f, err := p.root.Open(p.at(it.path))
		if err != nil {
			return kinded(err)
		}
		defer f.Close()
		r = f
	}
	if err := p.store.Put(ctx, it.digest, r); err != nil {
		return err
	}
	p.uploaded.Add(it.digest.Size)
	return nil
}

// manifests stores the Directory messages and returns the root's digest.
func (p *packer) manifests(ctx context.Context) (cas.Digest, error) {
	blobs := map[cas.Digest][]byte{}
	var order []cas.Digest
	root, err := p.tree.encode(func(d cas.Digest, b []byte) {
		if _, ok := blobs[d]; !ok {
			blobs[d] = b
			order = append(order, d)
		}
	})
	if err != nil {
		return root, fmt.Errorf("pack: %w", err)
	}
	for ds := range slices.Chunk(order, 1000) {
		missing, err := p.store.Missing(ctx, ds)
		if err != nil {
			return root, fmt.Errorf("pack: %w", err)
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(fetchers)
		for _, d := range missing {
			g.Go(func() error {
				p.uploaded.Add(d.Size)
				return p.store.Put(gctx, d, bytes.NewReader(blobs[d]))
			})
		}
		if err := g.Wait(); err != nil {
			return root, fmt.Errorf("pack: %w", err)
		}
	}
	return root, nil
}

// kinded gives the errors of the file system the kinds that callers ask for.
func kinded(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.With(fault.NotFound, err)
	}
	if strings.Contains(err.Error(), "path escapes from parent") {
		return fault.New(fault.Invalid, "leads out of its folder: %w", err)
	}
	return err
}

// node is a folder that is being packed.
type node struct {
	dirs  map[string]*node
	other map[string]item
	about *repb.NodeProperties // nil: nothing is kept of the folder itself
}

func newNode() *node { return &node{dirs: map[string]*node{}, other: map[string]item{}} }

// parent returns the folder that a path stands in, made when missing, and its name there.
func (n *node) parent(file string) (*node, string, error) {
	dir, name := path.Split(file)
	for seg := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if seg == "" {
			continue
		}
		next, err := n.dir(seg)
		if err != nil {
			return nil, "", err
		}
		n = next
	}
	return n, name, nil
}

func (n *node) insert(it item) error {
	n, name, err := n.parent(it.path)
	if err != nil {
		return err
	}
	if it.mode.IsDir() {
		_, err := n.dir(name)
		return err
	}
	if n.dirs[name] != nil {
		return fault.New(fault.Conflict, "is a folder and something else at once")
	}
	n.other[name] = it
	return nil
}

func (n *node) dir(name string) (*node, error) {
	if _, ok := n.other[name]; ok {
		return nil, fault.New(fault.Conflict, "%s is a folder and something else at once", name)
	}
	d := n.dirs[name]
	if d == nil {
		d = newNode()
		n.dirs[name] = d
	}
	return d, nil
}

// encode hands every message to keep, children first, and returns n's digest.
func (n *node) encode(keep func(cas.Digest, []byte)) (cas.Digest, error) {
	msg := &repb.Directory{NodeProperties: n.about}
	for name, sub := range n.dirs {
		d, err := sub.encode(keep)
		if err != nil {
			return d, err
		}
		msg.Directories = append(msg.Directories, &repb.DirectoryNode{Name: name, Digest: toProto(d)})
	}
	for name, it := range n.other {
		if it.link != "" {
			msg.Symlinks = append(msg.Symlinks, &repb.SymlinkNode{Name: name, Target: it.link, NodeProperties: timed(nil, it.time)})
		} else {
			file := fileNode(name, it.digest, it.mode)
			file.NodeProperties = timed(file.NodeProperties, it.time)
			msg.Files = append(msg.Files, file)
		}
	}
	slices.SortFunc(msg.Directories, func(a, b *repb.DirectoryNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(msg.Symlinks, func(a, b *repb.SymlinkNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(msg.Files, func(a, b *repb.FileNode) int { return cmp.Compare(a.Name, b.Name) })
	b, err := encode(msg)
	if err != nil {
		return cas.Digest{}, err
	}
	d := cas.Of(b)
	keep(d, b)
	return d, nil
}
