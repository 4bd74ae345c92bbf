package run_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/task/recipe"
	"github.com/outwork-build/outwork/task/run"
)

func TestSources(t *testing.T) {
	w := newWorld(t, recipe.File, "", "src/a.c", "a", "src/deep/b.c", "b", "src/deep/b.h", "h", "src/gen/c.c", "c", "doc/x.md", "x")
	if err := os.Symlink("a.c", filepath.Join(w.dir, "src/link.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(w.dir, "doc/away")); err != nil {
		t.Fatal(err)
	}
	ws, err := run.OpenWorkspace(w.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, c := range []struct {
		dir  string
		glob recipe.Glob
		want string
	}{
		{"", recipe.Glob{Include: []string{"src/*.c"}}, "src/a.c src/link.c"},
		{"src", recipe.Glob{Include: []string{"**/*.c"}, Exclude: []string{"gen"}}, "src/a.c src/deep/b.c src/link.c"},
		{"", recipe.Glob{Include: []string{"src/deep", "src/deep/b.c"}}, "src/deep/b.c src/deep/b.h"},
		{"", recipe.Glob{Include: []string{"**/*.{h,md}"}}, "doc/x.md src/deep/b.h"},
		{"", recipe.Glob{Include: []string{"*.go"}, Empty: true}, ""},
		{"", recipe.Glob{Include: []string{"*.go"}, Pos: recipe.Pos{File: "outwork.star", Line: 1, Col: 2}}, `outwork.star:1:2: task "t": sources: *.go names no file of the workspace`},
		{"", recipe.Glob{Include: []string{"doc/*"}}, `task "t": source doc/away: link to "/etc/passwd" leads out of the tree`},
	} {
		entries, err := ws.Sources(&recipe.Task{Name: "t", Dir: c.dir, Sources: []recipe.Glob{c.glob}})
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if s := strings.Join(got, " "); s != c.want && (err == nil || !strings.Contains(s, c.want)) {
			t.Errorf("%v: %s, want %s", c.glob, s, c.want)
		}
	}
}

// A file whose size, times and inode are those of last time is not read again; one that changed is, also when its time was set back.
func TestHashesAreRemembered(t *testing.T) {
	w := newWorld(t, recipe.File, "", "a", "one")
	hashes := filepath.Join(w.state, "hashes")
	old := func() {
		t.Helper()
		past := mustStat(t, filepath.Join(w.dir, "a")).ModTime().Add(-1e9)
		if err := os.Chtimes(filepath.Join(w.dir, "a"), past, past); err != nil {
			t.Fatal(err)
		}
	}
	digest := func() cas.Digest {
		t.Helper()
		ws, err := run.OpenWorkspace(w.dir, hashes)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ws.Sources(&recipe.Task{Sources: []recipe.Glob{{Include: []string{"a"}}}})
		if err := errors.Join(err, ws.Close()); err != nil {
			t.Fatal(err)
		}
		return e[0].Digest
	}
	old()
	if got := digest(); got != cas.Of([]byte("one")) {
		t.Fatal(got)
	}
	if b, err := os.ReadFile(hashes); err != nil || bytes.Contains(b, []byte(`"a"`)) {
		t.Errorf("a file that changed in the same instant is remembered: %s, %v", b, err)
	}
	kept := func() bool { digest(); b, _ := os.ReadFile(hashes); return bytes.Contains(b, []byte(`"a"`)) }
	for !kept() { // until the change is no news to the file system's clock
	}
	b, _ := os.ReadFile(hashes)
	other := cas.Of([]byte("two"))
	if err := os.WriteFile(hashes, bytes.ReplaceAll(b, []byte(cas.Of([]byte("one")).Hash), []byte(other.Hash)), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := digest(); got != other {
		t.Error("the file was read again")
	}
	before := mustStat(t, filepath.Join(w.dir, "a")).ModTime()
	w.write("a", "six")
	if err := os.Chtimes(filepath.Join(w.dir, "a"), before, before); err != nil {
		t.Fatal(err)
	}
	if got := digest(); got != cas.Of([]byte("six")) {
		t.Error("a change with its time set back was not seen")
	}
	if err := os.WriteFile(hashes, []byte("rubbish\n1 2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := digest(); got != cas.Of([]byte("six")) {
		t.Error("rubbish was believed")
	}
}

func mustStat(t *testing.T, p string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Files that git ignores are no sources unless they are asked for, files that it does not know yet are.
func TestGitSaysWhatSourcesAre(t *testing.T) {
	w := newWorld(t, recipe.File, "", ".gitignore", "*.o\nbuild/\n", "a.c", "a", "new.c", "n", "a.o", "o", "build/b.c", "b", "gone.c", "g")
	git(t, w.dir, "init", "-q")
	git(t, w.dir, "add", "a.c", "gone.c", ".gitignore")
	git(t, w.dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x")
	w.remove("gone.c")
	w.write("sub/s.c", "s")
	git(t, w.dir, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub") // as a submodule stands there
	ws, err := run.OpenWorkspace(w.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, c := range []struct {
		glob recipe.Glob
		want string
	}{
		{recipe.Glob{Include: []string{"**/*.[co]"}}, "a.c new.c sub/s.c"},
		{recipe.Glob{Include: []string{"**/*.[co]"}, Ignored: true}, "a.c a.o build/b.c new.c sub/s.c"},
		{recipe.Glob{Include: []string{"a.o"}}, "a.o"}, // it is named
		{recipe.Glob{Include: []string{"build"}}, "git ignores what it would name, glob(…, ignored = True) takes it"},
	} {
		entries, err := ws.Sources(&recipe.Task{Name: "t", Sources: []recipe.Glob{c.glob}})
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		if s := strings.Join(got, " "); s != c.want && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %s, %v; want %s", c.glob, s, err, c.want)
		}
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(need.Program(t, "git", "git"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}
