package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
)

// fetchers is how many blobs are asked for at once: small ones share messages.
const fetchers = 64

// builder makes one state.
type builder struct {
	t       *Tools
	before  state
	request agent.ToolsRequest
	name    string
	done    agent.ToolsSynced

	root    *os.Root // of the Config's Dir
	part    string   // the new tree, below root
	top     tree.Entry
	entries []tree.Entry
	shared  []bool                // by entry: it is what it was, at the same path
	here    map[cas.Digest]string // files of the state before, below root, by what is in them
	fetched map[cas.Digest]int    // blobs from the controller: how many entries still need them
}

// make makes the state and gives it its name.
func (b *builder) make(ctx context.Context) (err error) {
	if b.top, b.entries, err = tree.Read(ctx, b.t.cfg.CAS, b.request.Root, tree.Limits{}); err != nil {
		return err
	}
	if err := tree.CheckNames(b.entries); err != nil {
		return err
	}
	if b.root, err = os.OpenRoot(b.t.cfg.Dir); err != nil {
		return err
	}
	defer b.root.Close()
	b.compare()
	if err := b.room(); err != nil {
		return err
	}
	if err := b.fetch(ctx); err != nil {
		return err
	}
	b.part = filepath.Join("v", b.name+partSuffix, treeFolder)
	if err := b.root.MkdirAll(b.part, 0o700); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.files, b.links, b.keep, b.folders, b.finish} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(b.t.cfg.Dir, fetchedFolder))
}

const fetchedFolder = "fetched"

// compare finds what is here already. A file that looks changed is read before it is fetched again: most were only touched.
func (b *builder) compare() {
	b.shared, b.here, b.fetched = make([]bool, len(b.entries)), map[cas.Digest]string{}, map[cas.Digest]int{}
	intact := make(map[string]tree.Entry, len(b.before.entries))
	for _, e := range b.before.entries {
		if !e.Mode.IsRegular() {
			continue
		}
		if b.before.intact(e) {
			intact[e.Path] = e
		} else if b.here[e.Digest] != "" || !b.reads(e) {
			continue
		}
		b.here[e.Digest] = filepath.Join("v", b.before.name, treeFolder, filepath.FromSlash(e.Path))
	}
	for i, e := range b.entries {
		if !e.Mode.IsRegular() {
			continue
		}
		was, ok := intact[e.Path]
		b.shared[i] = ok && was.Digest == e.Digest && was.Mode == e.Mode && was.Time.Equal(e.Time)
		if _, here := b.here[e.Digest]; !here && !b.shared[i] {
			b.fetched[e.Digest]++
		}
	}
}

// reads reports whether a file of the state before still has the bytes that it had.
func (b *builder) reads(e tree.Entry) bool {
	f, err := b.root.Open(filepath.Join("v", b.before.name, treeFolder, filepath.FromSlash(e.Path)))
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != e.Digest.Size {
		return false
	}
	_, err = io.Copy(io.Discard, cas.NewVerifier(e.Digest, f))
	return err == nil
}

// room refuses before anything is fetched for which there is no room.
func (b *builder) room() error {
	var need int64
	for d, n := range b.fetched {
		need += d.Size * int64(n)
	}
	for i, e := range b.entries {
		if e.Mode.IsRegular() && !b.shared[i] && b.here[e.Digest] != "" {
			need += e.Digest.Size
		}
	}
	free, err := b.t.cfg.Free()
	if err != nil || need <= free {
		return nil // who cannot say how much is free finds out
	}
	return fault.New(fault.Exhausted, "%d bytes more are needed and the disk of %s has %d to give: make room; the tools are as they were", need, b.t.cfg.Dir, max(free, 0))
}

// fetch brings the blobs that are not here. What an earlier try has brought is used when it is whole.
func (b *builder) fetch(ctx context.Context) error {
	if len(b.fetched) == 0 {
		return nil
	}
	if err := b.root.MkdirAll(fetchedFolder, 0o700); err != nil {
		return err
	}
	wanted := make([]cas.Digest, 0, len(b.fetched))
	for d := range b.fetched {
		if !b.brought(d) {
			wanted = append(wanted, d)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, d := range wanted {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := b.bring(gctx, d); err != nil {
				return fmt.Errorf("fetch %s: %w", d, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		if b.t.cfg.Full(err) { // others need the room
			_ = os.RemoveAll(filepath.Join(b.t.cfg.Dir, fetchedFolder))
		}
		return err
	}
	for _, d := range wanted {
		b.done.Blobs++
		b.done.Bytes += d.Size
	}
	return ctx.Err()
}

func blobPath(d cas.Digest) string { return filepath.Join(fetchedFolder, d.Hash) }

// brought reports whether an earlier try has brought a blob, and brought it whole.
func (b *builder) brought(d cas.Digest) bool {
	f, err := b.root.Open(blobPath(d))
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, cas.NewVerifier(d, f))
	return err == nil
}

func (b *builder) bring(ctx context.Context, d cas.Digest) error {
	src, err := b.t.cfg.CAS.Get(ctx, d, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	return b.write(blobPath(d), os.O_TRUNC, src, d.Size)
}

// write makes a file of exactly so many bytes.
func (b *builder) write(name string, flag int, src io.Reader, size int64) error {
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, src)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes: %w", n, size, cas.ErrMismatch)
	}
	if err == nil {
		err = settleFile(f)
	}
	return errors.Join(err, f.Close())
}

// files makes the folders and the files.
func (b *builder) files(ctx context.Context) error {
	for i, e := range b.entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		name := filepath.Join(b.part, filepath.FromSlash(e.Path))
		var err error
		switch {
		case e.Mode.IsDir():
			err = b.root.Mkdir(name, 0o700)
		case e.Mode.IsRegular():
			err = b.file(name, e, b.shared[i])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// file puts one file in its place: the one that there was when nothing of it has changed, a copy of one that has the same bytes, or
// what was fetched.
func (b *builder) file(name string, e tree.Entry, shared bool) error {
	if shared {
		old := filepath.Join("v", b.before.name, treeFolder, filepath.FromSlash(e.Path))
		if b.root.Link(old, name) == nil {
			return nil
		}
		return b.copy(old, name, e)
	}
	if old, ok := b.here[e.Digest]; ok {
		return b.copy(old, name, e)
	}
	if b.fetched[e.Digest]--; b.fetched[e.Digest] > 0 {
		return b.copy(blobPath(e.Digest), name, e)
	}
	if err := b.root.Rename(blobPath(e.Digest), name); err != nil {
		return err
	}
	return b.dress(name, e)
}

// copy makes a file of another's bytes. They are looked at again: who has the right to change the other has had the time.
func (b *builder) copy(from, name string, e tree.Entry) error {
	src, err := b.root.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := b.write(name, os.O_EXCL, cas.NewVerifier(e.Digest, src), e.Digest.Size); err != nil {
		return err
	}
	return b.dress(name, e)
}

func (b *builder) dress(name string, e tree.Entry) error {
	return dress(filepath.Join(b.t.cfg.Dir, name), e)
}

// links makes the links, behind all files: nothing is written through one of them.
func (b *builder) links(context.Context) error {
	for _, e := range b.entries {
		if e.Mode&fs.ModeSymlink == 0 {
			continue
		}
		name := filepath.Join(b.part, filepath.FromSlash(e.Path))
		err := b.root.Symlink(filepath.FromSlash(e.Link), name)
		if err == nil && !e.Time.IsZero() {
			err = touchLink(filepath.Join(b.t.cfg.Dir, name), e.Time)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// keep takes along from the state before what is not in the tree, in the folders where it stays.
func (b *builder) keep(context.Context) error {
	if len(b.request.Keep) == 0 || b.before.name == "" {
		return nil
	}
	taken := map[string]tree.Entry{}
	for _, e := range b.entries {
		taken[e.Path] = e
	}
	var folders []tree.Entry
	err := filepath.WalkDir(b.before.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := relative(b.before.dir, path)
		e, there := taken[rel]
		switch {
		case rel == "" || there && e.Mode.IsDir() && d.IsDir():
			return nil
		case there || !kept(b.request.Keep, rel):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		made, err := b.bringAlong(rel, d)
		if made != nil {
			folders = append(folders, *made)
		}
		return err
	})
	for _, e := range slices.Backward(folders) {
		if err == nil {
			err = b.dress(filepath.Join(b.part, filepath.FromSlash(e.Path)), e)
		}
	}
	return err
}

// bringAlong takes one thing from the state before. A folder is returned: it gets its mode and time when all is in it.
func (b *builder) bringAlong(rel string, d fs.DirEntry) (folder *tree.Entry, err error) {
	name, old := filepath.Join(b.part, filepath.FromSlash(rel)), filepath.Join("v", b.before.name, treeFolder, filepath.FromSlash(rel))
	info, err := d.Info()
	if err != nil {
		return nil, err
	}
	switch {
	case d.IsDir():
		return &tree.Entry{Path: rel, Mode: info.Mode(), Time: info.ModTime()}, b.root.Mkdir(name, 0o700)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := b.root.Readlink(old)
		if err != nil {
			return nil, err
		}
		return nil, b.root.Symlink(target, name)
	case d.Type().IsRegular():
		return nil, b.root.Link(old, name)
	}
	return nil, nil
}

// folders gives the folders their modes and times, those within others first.
func (b *builder) folders(context.Context) error {
	for _, e := range slices.Backward(b.entries) {
		if e.Mode.IsDir() {
			if err := b.dress(filepath.Join(b.part, filepath.FromSlash(e.Path)), e); err != nil {
				return fmt.Errorf("%s: %w", e.Path, err)
			}
		}
	}
	return b.dress(b.part, b.top)
}

// finish brings all of it onto the disk and gives it its name.
func (b *builder) finish(context.Context) error {
	text, err := json.Marshal(saved{b.top, b.entries})
	if err != nil {
		return err
	}
	part := b.t.states(b.name + partSuffix)
	for _, f := range []struct {
		name string
		text []byte
	}{{entriesFile, text}, {rootFile, []byte(b.request.Root.String())}} {
		if err := durable.WriteFile(filepath.Join(part, f.name), f.text); err != nil {
			return err
		}
	}
	if err := settleAll(part); err != nil {
		return err
	}
	if err := os.Rename(part, b.t.states(b.name)); err != nil {
		return err
	}
	return syncFolder(b.t.states())
}
