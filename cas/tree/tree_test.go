package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
)

// counting counts what is put.
type counting struct {
	cas.Store
	puts atomic.Int64
}

func (c *counting) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	c.puts.Add(1)
	return c.Store.Put(ctx, d, r)
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func write(t *testing.T, dir, name string, data []byte, mode fs.FileMode) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, dir, name, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// snapshot describes a folder: one line an entry.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			fmt.Fprintf(&b, "%s/\n", rel)
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			fmt.Fprintf(&b, "%s -> %s\n", rel, target)
		default:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %o %s\n", rel, info.Mode().Perm(), cas.Of(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func all(t *testing.T, dir string) []string {
	var files []string
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if rel, _ := filepath.Rel(dir, p); rel != "." {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	return files
}

func sample(t *testing.T) string {
	dir := t.TempDir()
	write(t, dir, "README", []byte("read me\n"), 0o644)
	write(t, dir, "bin/tool", castest.Bytes(1, 300<<10), 0o755)
	write(t, dir, "bin/private", []byte("x"), 0o600)
	write(t, dir, "empty", nil, 0o644)
	write(t, dir, "a/b/c/deep é.txt", castest.Bytes(2, 10), 0o644)
	write(t, dir, "a/b/same", castest.Bytes(2, 10), 0o644)
	symlink(t, dir, "a/up", "../bin/tool")
	symlink(t, dir, "a/b/dir", "../b/c")
	symlink(t, dir, "dangling", "nowhere/at/all")
	if err := os.MkdirAll(filepath.Join(dir, "hollow/inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPackAndUnpack(t *testing.T) {
	dir := sample(t)
	store := &counting{Store: memory.New(memory.Config{})}
	packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", all(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range packed.Files {
		paths = append(paths, f.Path)
		if _, err := cas.ReadAll(t.Context(), store, f.Digest, 1<<20); err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
	want := []string{"README", "a/b/c/deep é.txt", "a/b/same", "a/up", "bin/private", "bin/tool", "empty"}
	if !slices.Equal(paths, want) {
		t.Errorf("files: %q, want %q", paths, want)
	}
	out := t.TempDir()
	if err := tree.Unpack(t.Context(), store, packed.Root, openRoot(t, out), "x/y", tree.Limits{}); err != nil {
		t.Fatal(err)
	}
	if got, want := snapshot(t, filepath.Join(out, "x/y")), snapshot(t, dir); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}

	puts := store.puts.Load()
	again, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", all(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if again.Root != packed.Root || again.Uploaded != 0 || store.puts.Load() != puts {
		t.Errorf("packed again: root %s, %d bytes and %d blobs moved", again.Root, again.Uploaded, store.puts.Load()-puts)
	}
	write(t, dir, "README", []byte("changed"), 0o644)
	third, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", all(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if moved := store.puts.Load() - puts; moved != 2 || third.Root == packed.Root {
		t.Errorf("one file changed: %d blobs moved, expected the file and the root", moved)
	}
}

func TestUnpackOverWhatIsThere(t *testing.T) {
	dir := sample(t)
	store := memory.New(memory.Config{})
	packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", all(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	write(t, outside, "victim", []byte("untouched"), 0o644)
	out := t.TempDir()
	write(t, out, "README", []byte("old and longer than the new one"), 0o444)
	write(t, out, "kept", []byte("kept"), 0o644)
	symlink(t, out, "empty", filepath.Join(outside, "victim"))
	symlink(t, out, "bin", outside)
	write(t, out, "a/up", []byte("a file where a link comes"), 0o644)
	if err := tree.Unpack(t.Context(), store, packed.Root, openRoot(t, out), "", tree.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(out, "kept")); err != nil {
		t.Errorf("a file that is not in the tree: %v", err)
	}
	if got, want := snapshot(t, out), snapshot(t, dir); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}
	if got := snapshot(t, outside); !strings.HasPrefix(got, "victim 644 "+cas.Of([]byte("untouched")).Hash) || strings.Count(got, "\n") != 1 {
		t.Errorf("outside:\n%s", got)
	}
}

func TestUnpackLeavesWhatIsTheSame(t *testing.T) {
	dir, out := sample(t), t.TempDir()
	store := memory.New(memory.Config{})
	root := openRoot(t, out)
	unpack := func() {
		t.Helper()
		packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", all(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Unpack(t.Context(), store, packed.Root, root, "", tree.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	unpack()
	old := time.Unix(1e9, 0)
	for _, f := range []string{"README", "bin/tool", "bin/private", "empty"} {
		if err := os.Chtimes(filepath.Join(out, f), old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "README", []byte("Read me\n"), 0o644) // as long as before
	write(t, dir, "empty", nil, 0o755)
	unpack()
	if got, want := snapshot(t, out), snapshot(t, dir); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}
	for f, kept := range map[string]bool{"README": false, "bin/tool": true, "bin/private": true, "empty": false} {
		info, err := os.Stat(filepath.Join(out, f))
		if err != nil || info.ModTime().Equal(old) != kept {
			t.Errorf("%s: %v, kept its time: %v", f, err, !kept)
		}
	}
}

func TestUnpackRefusesAFolderWhereAFileComes(t *testing.T) {
	store := memory.New(memory.Config{})
	dir, out := t.TempDir(), t.TempDir()
	write(t, dir, "x", []byte("file"), 0o644)
	write(t, out, "x/precious", []byte("work"), 0o644)
	packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Unpack(t.Context(), store, packed.Root, openRoot(t, out), "", tree.Limits{}); err == nil {
		t.Fatal("a folder with files in it was replaced by a file")
	}
}

func TestPackRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "sub/f", []byte("f"), 0o644)
	write(t, dir, "g", []byte("g"), 0o644)
	symlink(t, dir, "sub/absolute", "/etc/hostname")
	symlink(t, dir, "sub/out", "../../../etc/hostname")
	symlink(t, dir, "sub/tricky", "x/../../..")
	symlink(t, dir, "sub/sibling", "../g")
	store := memory.New(memory.Config{})
	root := openRoot(t, dir)
	for file, kind := range map[string]fault.Kind{
		"absolute": fault.Invalid, "out": fault.Invalid, "tricky": fault.Invalid, "../g": fault.Invalid, "/g": fault.Invalid,
		"gone": fault.NotFound, "": fault.Invalid, ".": fault.Invalid,
	} {
		if _, err := tree.Pack(t.Context(), store, root, "sub", []string{file}); fault.Of(err) != kind || err == nil {
			t.Errorf("%q: %v, expected a %s error", file, err, kind)
		} else if !strings.Contains(err.Error(), file) {
			t.Errorf("%q is not named: %v", file, err)
		}
	}
	// A link that leaves the packed folder but not the root comes along as a copy.
	packed, err := tree.Pack(t.Context(), store, root, "sub", []string{"sibling"})
	if err != nil || len(packed.Files) != 1 || packed.Files[0].Digest != cas.Of([]byte("g")) {
		t.Fatalf("%+v %v", packed, err)
	}
	es, err := tree.List(t.Context(), store, packed.Root, tree.Limits{})
	if err != nil || len(es) != 1 || !es[0].Mode.IsRegular() {
		t.Fatalf("%+v %v", es, err)
	}
}

// A file that is written to while it is packed comes out as one of the states it had, or the pack fails.
func TestPackWhileFilesChange(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		write(t, dir, fmt.Sprint("f", i), castest.Bytes(1, 200<<10), 0o644) // equal at first
	}
	store := &meddling{Store: memory.New(memory.Config{}), meddle: func() { write(t, dir, "f0", castest.Bytes(2, 210<<10), 0o644) }}
	packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", []string{"f0", "f1", "f2"})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := tree.Unpack(t.Context(), store, packed.Root, openRoot(t, out), "", tree.Limits{}); err != nil {
		t.Fatal(err)
	}
	if got, want := snapshot(t, out), snapshot(t, dir); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}
}

// meddling changes files after the first question what is missing, when they have been hashed.
type meddling struct {
	cas.Store
	meddle func()
}

func (m *meddling) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	if m.meddle != nil {
		m.meddle()
		m.meddle = nil
	}
	return m.Store.Missing(ctx, ds)
}

func TestHostileTrees(t *testing.T) {
	store := memory.New(memory.Config{})
	put := func(d *repb.Directory) *repb.Digest {
		b, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return putBytes(t, store, b)
	}
	file := putBytes(t, store, []byte("payload"))
	absent := &repb.Digest{Hash: strings.Repeat("a", 64), SizeBytes: 5}
	fileNamed := func(names ...string) *repb.Directory {
		d := &repb.Directory{}
		for _, n := range names {
			d.Files = append(d.Files, &repb.FileNode{Name: n, Digest: file})
		}
		return d
	}
	link := func(target string) *repb.Directory {
		return &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "l", Target: target}}}
	}
	in := func(d *repb.Directory) *repb.Directory {
		return &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "sub", Digest: put(d)}}}
	}
	deep, bomb := fileNamed("f"), fileNamed("f")
	for range 300 {
		deep = in(deep)
	}
	for range 30 {
		sub := put(bomb)
		bomb = &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "a", Digest: sub}, {Name: "b", Digest: sub}}}
	}
	huge := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: &repb.Digest{Hash: file.Hash, SizeBytes: 1 << 62}}, {Name: "g", Digest: &repb.Digest{Hash: file.Hash, SizeBytes: 1 << 62}}}}
	both := fileNamed("x")
	both.Symlinks = []*repb.SymlinkNode{{Name: "x", Target: "y"}}
	for name, c := range map[string]struct {
		root *repb.Digest
		kind fault.Kind
	}{
		"slash":                  {put(fileNamed("../evil")), fault.Invalid},
		"absolute":               {put(fileNamed("/etc/passwd")), fault.Invalid},
		"dot-dot":                {put(fileNamed("..")), fault.Invalid},
		"dot":                    {put(fileNamed(".")), fault.Invalid},
		"empty name":             {put(fileNamed("")), fault.Invalid},
		"NUL":                    {put(fileNamed("a\x00b")), fault.Invalid},
		"long name":              {put(fileNamed(strings.Repeat("n", 256))), fault.Invalid},
		"twice":                  {put(fileNamed("a", "a")), fault.Invalid},
		"out of order":           {put(fileNamed("b", "a")), fault.Invalid},
		"file and link":          {put(both), fault.Invalid},
		"folder dot-dot":         {put(&repb.Directory{Directories: []*repb.DirectoryNode{{Name: "..", Digest: put(fileNamed("f"))}}}), fault.Invalid},
		"no digest":              {put(&repb.Directory{Files: []*repb.FileNode{{Name: "f"}}}), fault.Invalid},
		"bad digest":             {put(&repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: &repb.Digest{Hash: "../../x", SizeBytes: 1}}}}), fault.Invalid},
		"absolute link":          {put(link("/etc/passwd")), fault.Invalid},
		"link out":               {put(link("../x")), fault.Invalid},
		"link out, deeper":       {put(in(link("../../x"))), fault.Invalid},
		"link out, roundabout":   {put(link("a/../../x")), fault.Invalid},
		"link out, backslash":    {put(link(`..\x`)), fault.Invalid},
		"link to a drive":        {put(link(`C:x`)), fault.Invalid},
		"link to nothing":        {put(link("")), fault.Invalid},
		"link with NUL":          {put(link("a\x00")), fault.Invalid},
		"too deep":               {put(deep), fault.Exhausted},
		"two to the thirtieth":   {put(bomb), fault.Exhausted},
		"larger than everything": {put(huge), fault.Exhausted},
		"no message":             {putBytes(t, store, []byte{0xff, 0xff, 0xff}), fault.Invalid},
		"absent file":            {put(&repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: absent}}}), fault.NotFound},
		"absent folder":          {put(&repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: absent}}}), fault.NotFound},
		"absent root":            {absent, fault.NotFound},
	} {
		out := t.TempDir()
		err := tree.Unpack(t.Context(), store, cas.Digest{Hash: c.root.Hash, Size: c.root.SizeBytes}, openRoot(t, out), "ws", tree.Limits{})
		if err == nil || fault.Of(err) != c.kind {
			t.Errorf("%s: %v, expected a %s error", name, err, c.kind)
		}
		if got := snapshot(t, out); strings.Trim(got, "\n") != "ws/" && got != "" {
			t.Errorf("%s: something was written:\n%s", name, got)
		}
	}
	ok := put(in(link("../sub/l")))
	if err := tree.Unpack(t.Context(), store, cas.Digest{Hash: ok.Hash, Size: ok.SizeBytes}, openRoot(t, t.TempDir()), "", tree.Limits{}); err != nil {
		t.Errorf("a link that climbs and stays inside: %v", err)
	}
}

func putBytes(t *testing.T, s cas.Store, b []byte) *repb.Digest {
	t.Helper()
	d, err := cas.PutBytes(t.Context(), s, b)
	if err != nil {
		t.Fatal(err)
	}
	return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size}
}

func TestUnpackLeavesNoPartOfAFile(t *testing.T) {
	store := memory.New(memory.Config{})
	dir := t.TempDir()
	write(t, dir, "f", castest.Bytes(1, 100<<10), 0o644)
	packed, err := tree.Pack(t.Context(), store, openRoot(t, dir), "", []string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	broken := errors.New("the link broke")
	if err := tree.Unpack(t.Context(), breaking{store, packed.Files[0].Digest, broken}, packed.Root, openRoot(t, out), "", tree.Limits{}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got := snapshot(t, out); got != "" {
		t.Errorf("left over:\n%s", got)
	}
}

// breaking ends the read of one blob in its middle.
type breaking struct {
	cas.Store
	d   cas.Digest
	err error
}

func (b breaking) Get(ctx context.Context, d cas.Digest, off int64) (io.ReadCloser, error) {
	r, err := b.Store.Get(ctx, d, off)
	if err != nil || d != b.d {
		return r, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(r, d.Size/2), errReader{b.err})), nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func FuzzDecode(f *testing.F) {
	good, _ := proto.Marshal(&repb.Directory{
		Files:    []*repb.FileNode{{Name: "f", Digest: &repb.Digest{Hash: cas.Empty.Hash}}},
		Symlinks: []*repb.SymlinkNode{{Name: "l", Target: "f"}},
	})
	f.Add(good)
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := tree.Decode(b)
		if err != nil {
			if fault.Of(err) != fault.Invalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		for _, n := range d.Files {
			if !fs.ValidPath(n.Name) || strings.ContainsRune(n.Name, '/') {
				t.Fatalf("name %q", n.Name)
			}
		}
		// Whatever decodes can be unpacked or is refused, and nothing appears beside the target.
		store := memory.New(memory.Config{})
		if err := store.Put(t.Context(), cas.Of(b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		base := t.TempDir()
		root, err := os.OpenRoot(base)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		tree.Unpack(t.Context(), store, cas.Of(b), root, "in/side", tree.Limits{Bytes: 1 << 20})
		for _, dir := range []string{base, filepath.Join(base, "in")} {
			if es, err := os.ReadDir(dir); err == nil && len(es) > 1 {
				t.Fatalf("%v appeared in %s", es, dir)
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	dir := b.TempDir()
	var files []string
	total := int64(0)
	for i := range 1000 {
		name := fmt.Sprintf("d%d/f%d", i%20, i)
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		data := castest.Bytes(uint64(i), 32<<10)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			b.Fatal(err)
		}
		files, total = append(files, name), total+int64(len(data))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	b.SetBytes(total)
	for b.Loop() {
		if _, err := tree.Pack(b.Context(), memory.New(memory.Config{}), root, "", files); err != nil {
			b.Fatal(err)
		}
	}
}
