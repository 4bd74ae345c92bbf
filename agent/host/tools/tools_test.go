//go:build unix

package tools_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/tools"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// depot is a controller's storage that counts what is read from it, and breaks when it is told to.
type depot struct {
	cas.Store
	gets    atomic.Int64
	budget  atomic.Int64 // gets until it breaks, when above 0
	cutting atomic.Bool
}

var errCut = fault.New(fault.Unavailable, "the link broke")

func (d *depot) Get(ctx context.Context, digest cas.Digest, off int64) (io.ReadCloser, error) {
	d.gets.Add(1)
	if d.cutting.Load() && d.budget.Add(-1) < 0 {
		return nil, errCut
	}
	return d.Store.Get(ctx, digest, off)
}

// bench is an agent's folder and a folder of the controller.
type bench struct {
	*tools.Tools
	root, source string
	cfg          tools.Config
	depot        *depot
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{root: t.TempDir(), source: t.TempDir(), depot: &depot{Store: memory.New(memory.Config{})}}
	b.configure(b.root)
	return b
}

func (b *bench) configure(root string) {
	b.root = root
	b.cfg = tools.Config{Dir: filepath.Join(root, ".outwork", "tools"), Link: filepath.Join(root, "tools"), CAS: b.depot,
		Free: func() (int64, error) { return 1 << 40, nil }, Full: func(err error) bool { return errors.Is(err, unix.ENOSPC) },
		Discard: os.RemoveAll, Background: func(f func()) { f() }}
	b.Tools = tools.Open(b.cfg)
}

// root packs the controller's folder with all that is kept of it.
func (b *bench) pack(t *testing.T) cas.Digest {
	t.Helper()
	var entries []tree.Entry
	err := filepath.WalkDir(b.source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.source, p)
		e := tree.Entry{Path: strings.TrimPrefix(rel, "."), Mode: info.Mode(), Time: info.ModTime()}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			e.Link, err = os.Readlink(p)
		case d.Type().IsRegular():
			var text []byte
			if text, err = os.ReadFile(p); err == nil {
				e.Digest, err = cas.PutBytes(t.Context(), b.depot.Store, text)
			}
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root, manifests, err := tree.Build(entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		if _, err := cas.PutBytes(t.Context(), b.depot.Store, m); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// sync packs and syncs, and fails the test when that fails.
func (b *bench) sync(t *testing.T, keep ...string) agent.ToolsSynced {
	t.Helper()
	done, err := b.Sync(t.Context(), agent.ToolsRequest{Root: b.pack(t), Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// compare lets rsync look for differences.
func (b *bench) compare(t *testing.T) {
	t.Helper()
	rsync := need.Program(t, "rsync", "rsync")
	out, err := exec.Command(rsync, "-ani", "--delete", b.source+"/", filepath.Join(b.root, "tools")+"/").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("rsync -ani: %v\n%.2000s", err, out)
	}
}

func (b *bench) states(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(b.cfg.Dir, "v"))
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

func write(t *testing.T, dir, name, text string, mode fs.FileMode) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), mode), os.Chmod(p, mode)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, dir, name, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, p string) string {
	t.Helper()
	text, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (b *bench) fill(t *testing.T) {
	write(t, b.source, "ant-1.5/bin/ant", "#!/bin/sh\n", 0o755)
	write(t, b.source, "ant-1.5/lib/ant.jar", strings.Repeat("jar", 1000), 0o444)
	write(t, b.source, "ant-1.5/lib/copy.jar", strings.Repeat("jar", 1000), 0o640)
	write(t, b.source, "linux/java/bin/java", "java", 0o755)
	write(t, b.source, "empty", "", 0o600)
	link(t, b.source, "native", "linux")
	link(t, b.source, "java", "native/java")
	link(t, b.source, "ant-1.5/up", "../empty")
	link(t, b.source, "dangling", "nowhere")
	if err := errors.Join(os.MkdirAll(filepath.Join(b.source, "hollow/in"), 0o755), os.Chmod(filepath.Join(b.source, "hollow"), 0o555),
		os.Chtimes(filepath.Join(b.source, "ant-1.5"), time.Time{}, time.Unix(1e9, 5))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(b.source, "hollow"), 0o755) })
}

// S1-58: what is mirrored is what rsync -a makes, and only what changed moves.
func TestSync(t *testing.T) {
	b := newBench(t)
	b.fill(t)
	first := b.sync(t)
	if first.Path != filepath.Join(b.root, "tools") || !first.Changed || first.Blobs != 4 {
		t.Errorf("first: %+v", first)
	}
	b.compare(t)
	if got := read(t, filepath.Join(first.Path, "java/bin/java")); got != "java" {
		t.Errorf("through two links: %q", got)
	}

	gets := b.depot.gets.Load()
	if again := b.sync(t); again.Changed || again.Blobs != 0 || b.depot.gets.Load() != gets {
		t.Errorf("again: %+v, %d blobs asked for", again, b.depot.gets.Load()-gets)
	}

	write(t, b.source, "ant-1.5/bin/ant", "#!/bin/bash\n", 0o755)
	if changed := b.sync(t); !changed.Changed || changed.Blobs != 1 || changed.Bytes != 12 {
		t.Errorf("one file changed: %+v", changed)
	}
	b.compare(t)

	old := time.Unix(1e9, 0)
	if err := errors.Join(os.Remove(filepath.Join(b.source, "dangling")), os.RemoveAll(filepath.Join(b.source, "hollow/in")),
		os.Rename(filepath.Join(b.source, "ant-1.5"), filepath.Join(b.source, "ant-1.6")),
		os.Chtimes(filepath.Join(b.source, "empty"), old, old), os.Chmod(filepath.Join(b.source, "linux/java/bin/java"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if moved := b.sync(t); !moved.Changed || moved.Blobs != 0 {
		t.Errorf("renamed, removed, touched: %+v", moved)
	}
	b.compare(t)
	if n := b.states(t); n != 1 {
		t.Errorf("%d states are kept, want 1", n)
	}
	if _, err := os.Stat(filepath.Join(b.cfg.Dir, "fetched")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("fetched blobs are left: %v", err)
	}
}

// What is the same is the same file: no byte of it is written again.
func TestUnchangedFilesAreLinked(t *testing.T) {
	b := newBench(t)
	b.fill(t)
	at := filepath.Join(b.sync(t).Path, "ant-1.5/lib/ant.jar")
	before, err := os.Stat(at)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.source, "new", "new", 0o644)
	b.sync(t)
	if after, err := os.Stat(at); err != nil || !os.SameFile(before, after) {
		t.Errorf("%v: the file was made anew", err)
	}
	b.compare(t)
}

// A lease keeps the tools that it began with; they go when it ends.
func TestLeasesKeepTheirTools(t *testing.T) {
	b := newBench(t)
	if at := b.Pin("/ws/early"); at != "" {
		t.Errorf("tools before any sync: %q", at)
	}
	write(t, b.source, "tool", "one", 0o755)
	b.sync(t)
	first := b.Pin("/ws/a")
	if b.Pinned("/ws/a") != first || b.Pin("/ws/a") != first || b.Pinned("/ws/early") != "" {
		t.Error("a pin is not what it was")
	}
	write(t, b.source, "tool", "two", 0o755)
	b.sync(t)
	second := b.Pin("/ws/b")
	if got := read(t, filepath.Join(first, "tool")); got != "one" {
		t.Errorf("the lease from before finds %q", got)
	}
	if got := read(t, filepath.Join(second, "tool")); got != "two" {
		t.Errorf("the lease from after finds %q", got)
	}

	b.Tools = tools.Open(b.cfg) // the agent was restarted
	if b.Pinned("/ws/a") != first || read(t, filepath.Join(first, "tool")) != "one" || read(t, filepath.Join(b.root, "tools/tool")) != "two" {
		t.Error("after a restart the tools are others")
	}
	b.Retain([]string{"/ws/a"})
	if b.Pinned("/ws/b") != "" {
		t.Error("a lease that is no more has tools")
	}
	if n := b.states(t); n != 2 {
		t.Errorf("%d states, want 2", n)
	}
	b.Release("/ws/a")
	if n := b.states(t); n != 1 {
		t.Errorf("%d states after the last lease of one ended, want 1", n)
	}
	if again := b.Pin("/ws/a"); again != first || read(t, filepath.Join(again, "tool")) != "two" {
		t.Errorf("the next build in the workspace has its tools at %s, the one before at %s", again, first)
	}
}

// A sync that breaks off changes nothing, and the next fetches only what is still missing.
func TestBrokenSync(t *testing.T) {
	b := newBench(t)
	write(t, b.source, "old", "old", 0o644)
	b.sync(t)
	for i := range 100 {
		write(t, b.source, fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprint("text ", i), 0o644)
	}
	root := b.pack(t)
	b.depot.budget.Store(60)
	b.depot.cutting.Store(true)
	_, err := b.Sync(t.Context(), agent.ToolsRequest{Root: root})
	if !fault.Is(err, fault.Unavailable) || b.states(t) != 1 || read(t, filepath.Join(b.root, "tools/old")) != "old" {
		t.Fatalf("%v, %d states", err, b.states(t))
	}
	b.depot.cutting.Store(false)
	b.Tools = tools.Open(b.cfg)
	done, err := b.Sync(t.Context(), agent.ToolsRequest{Root: root})
	if err != nil || done.Blobs >= 100 || done.Blobs == 0 {
		t.Errorf("the second try fetched %d blobs: %v", done.Blobs, err)
	}
	b.compare(t)
}

// What was begun and never got its name is removed, and a blob of which only a part is there is fetched again.
func TestLeftoversOfACrash(t *testing.T) {
	b := newBench(t)
	b.fill(t)
	b.sync(t)
	write(t, b.cfg.Dir, "v/2.part/tree/half", "half", 0o600)
	write(t, b.cfg.Dir, "v/7.old/tree/old", "old", 0o600)
	write(t, b.source, "new", "the whole text", 0o644)
	write(t, b.cfg.Dir, "fetched/"+cas.Of([]byte("the whole text")).Hash, "the who", 0o600)
	if done := b.sync(t); done.Blobs != 1 {
		t.Errorf("%+v", done)
	}
	b.compare(t)
	if n := b.states(t); n != 1 {
		t.Errorf("%d states, want 1", n)
	}
}

// What a build did to the tools is put right: as far as can be from what is there.
func TestMendsWhatWasChanged(t *testing.T) {
	b := newBench(t)
	b.fill(t)
	at := b.sync(t).Path
	for name, change := range map[string]struct {
		do    func() error
		blobs int64
	}{
		"other bytes":     {func() error { return os.WriteFile(filepath.Join(at, "linux/java/bin/java"), []byte("evil"), 0o755) }, 1},
		"touched":         {func() error { return os.Chtimes(filepath.Join(at, "ant-1.5/bin/ant"), time.Now(), time.Now()) }, 0},
		"other mode":      {func() error { return os.Chmod(filepath.Join(at, "ant-1.5/bin/ant"), 0o644) }, 0},
		"a file too many": {func() error { return os.WriteFile(filepath.Join(at, "ant-1.5/__cache__"), nil, 0o600) }, 0},
		"a file less":     {func() error { return os.Remove(filepath.Join(at, "linux/java/bin/java")) }, 1},
		"a link elsewhere": {func() error {
			return errors.Join(os.Remove(filepath.Join(at, "native")), os.Symlink("/", filepath.Join(at, "native")))
		}, 0},
		"a folder's time": {func() error { return os.Chtimes(filepath.Join(at, "linux"), time.Now(), time.Now()) }, 0},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		if done := b.sync(t); done.Blobs != change.blobs {
			t.Errorf("%s: %+v, want %d blobs", name, done, change.blobs)
		}
		b.compare(t)
	}
}

// With a folder to keep, what people put there stays, also what the controller had once.
func TestKeep(t *testing.T) {
	b := newBench(t)
	write(t, b.source, "own/a", "a", 0o644)
	write(t, b.source, "strict/a", "a", 0o644)
	at := b.sync(t, "own").Path
	write(t, at, "own/local/deep", "local", 0o640)
	write(t, at, "strict/stray", "stray", 0o644)
	link(t, at, "own/l", "local")
	write(t, b.source, "own/b", "b", 0o644)
	if err := os.Remove(filepath.Join(b.source, "own/a")); err != nil {
		t.Fatal(err)
	}
	b.sync(t, "own")
	for name, want := range map[string]string{"own/a": "a", "own/b": "b", "own/l/deep": "local", "strict/a": "a"} {
		if got := read(t, filepath.Join(at, name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := os.Stat(filepath.Join(at, "strict/stray")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stray file where nothing is kept: %v", err)
	}
	if again := b.sync(t, "own"); again.Changed {
		t.Error("what is kept makes a difference")
	}
}

func TestRefuses(t *testing.T) {
	b := newBench(t)
	write(t, b.source, "f", "f", 0o644)
	root := b.pack(t)
	for name, c := range map[string]struct {
		r    agent.ToolsRequest
		kind fault.Kind
	}{
		"no digest": {agent.ToolsRequest{}, fault.Invalid},
		"keep out":  {agent.ToolsRequest{Root: root, Keep: []string{"../x"}}, fault.Invalid},
		"absent":    {agent.ToolsRequest{Root: cas.Of([]byte("absent"))}, fault.NotFound},
	} {
		if _, err := b.Sync(t.Context(), c.r); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	write(t, b.root, "tools/mine", "mine", 0o644)
	if _, err := b.Sync(t.Context(), agent.ToolsRequest{Root: root}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a folder that is there: %v", err)
	}
	if read(t, filepath.Join(b.root, "tools/mine")) != "mine" {
		t.Error("somebody else's folder was changed")
	}
}

// F5: with too little room nothing is begun, and the tools stay.
func TestTooLittleRoom(t *testing.T) {
	b := newBench(t)
	write(t, b.source, "f", "f", 0o644)
	b.sync(t)
	b.cfg.Free = func() (int64, error) { return 5, nil }
	b.Tools = tools.Open(b.cfg)
	write(t, b.source, "g", "six   ", 0o644)
	gets := b.depot.gets.Load()
	_, err := b.Sync(t.Context(), agent.ToolsRequest{Root: b.pack(t)})
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "6 bytes more") || b.depot.gets.Load() != gets+1 {
		t.Errorf("%v; %d blobs asked for", err, b.depot.gets.Load()-gets)
	}
	if read(t, filepath.Join(b.root, "tools/f")) != "f" {
		t.Error("the tools are gone")
	}
}
