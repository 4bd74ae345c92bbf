package agenttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

func filesReadWrite(b *bench) {
	l, w := b.open(agent.OpenRequest{})
	written := "#!/bin/sh\necho hi\n"
	if b.bat {
		written = "@echo off\r\necho hi\r\n"
	}
	name := map[bool]string{false: "a/b/c.sh", true: "a/b/c.bat"}[b.bat]
	if err := b.m.WriteFile(b.ctx(), l, name, []byte(written), 0o755); err != nil {
		b.Fatal(err)
	}
	if out := b.run(l, "run", text{"./a/b/c.sh", "call a\\b\\c.bat"}); out != "hi\n" {
		b.Errorf("the written file ran as %q", out)
	}
	fi, err := b.m.Stat(b.ctx(), l, name)
	if err != nil || fi.Size != int64(len(written)) || (fi.Mode&0o111 == 0 && !b.bat) || fi.ModTime.IsZero() {
		b.Errorf("Stat: %+v, %v", fi, err)
	}
	if fi, err = b.m.Stat(b.ctx(), l, "a"); err != nil || !fi.Mode.IsDir() {
		b.Errorf("Stat of a folder: %+v, %v", fi, err)
	}
	if err := b.m.WriteFile(b.ctx(), l, name, nil, 0); err != nil {
		b.Fatal(err)
	}
	if got, err := b.m.ReadFile(b.ctx(), l, name, 0); err != nil || len(got) != 0 {
		b.Errorf("ReadFile after emptying: %q, %v", got, err)
	}
	_, err = b.m.ReadFile(b.ctx(), l, "none", 0)
	b.wantKind("ReadFile of nothing", err, fault.NotFound)
	_, err = b.m.Stat(b.ctx(), l, "none")
	b.wantKind("Stat of nothing", err, fault.NotFound)
	_, err = b.m.ReadFile(b.ctx(), l, "a", 0)
	if err == nil {
		b.Error("ReadFile of a folder succeeded")
	}
	big := strings.Repeat("0123456789", 50)
	if err := b.m.WriteFile(b.ctx(), l, "big", []byte(big), 0); err != nil {
		b.Fatal(err)
	}
	if got, err := b.m.ReadFile(b.ctx(), l, "big", 500); err != nil || string(got) != big {
		b.Errorf("ReadFile at its limit: %d bytes, %v", len(got), err)
	}
	_, err = b.m.ReadFile(b.ctx(), l, "big", 499)
	b.wantKind("ReadFile over its limit", err, fault.Exhausted)
	_, err = b.m.ReadFile(b.ctx(), agent.Lease{Item: "unknown", Epoch: 1}, w.Path, 0)
	b.wantKind("ReadFile in an unknown lease", err, fault.NotFound)
}

func filesStayInside(b *bench) {
	l, w := b.open(agent.OpenRequest{})
	outside := filepath.Join(b.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := b.m.WriteFile(b.ctx(), l, "in/f", []byte("ok\n"), 0); err != nil {
		b.Fatal(err)
	}
	up, err := filepath.Rel(w.Path, outside)
	if err != nil {
		b.Fatal(err)
	}
	b.staysInside(l, filepath.ToSlash(up), "in/../../x")
	for name, to := range map[string]string{"link": outside, "dir": filepath.Dir(outside), "inner": "in"} {
		if err := os.Symlink(to, filepath.Join(w.Path, name)); err != nil {
			b.Fatal(err)
		}
	}
	if fi, err := os.Lstat(filepath.Join(w.Path, "link")); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		b.Skip("this system says that it made a symbolic link, and has none: so does Wine 8")
	}
	b.staysInside(l, "link", "dir/secret")
	if err := b.m.Remove(b.ctx(), l, "dir/secret"); err == nil {
		b.Error("Remove through a link led out")
	}
	if got, err := b.m.ReadFile(b.ctx(), l, "inner/f", 0); err != nil || string(got) != "ok\n" {
		b.Errorf("a link that stays inside: %q, %v", got, err)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "secret" {
		b.Errorf("the file outside is now %q, %v", got, err)
	}
}

// staysInside tries to read and to write by paths that lead out.
func (b *bench) staysInside(l agent.Lease, paths ...string) {
	b.Helper()
	for _, p := range paths {
		if got, err := b.m.ReadFile(b.ctx(), l, p, 0); err == nil {
			b.Errorf("ReadFile %q led out: %q", p, got)
		}
		if err := b.m.WriteFile(b.ctx(), l, p, []byte("changed"), 0o600); err == nil {
			b.Errorf("WriteFile %q led out", p)
		}
	}
}

func filesAbsolute(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	p := filepath.Join(b.TempDir(), "x", "y")
	if err := b.m.WriteFile(b.ctx(), l, p, []byte("abs"), 0o600); err != nil {
		b.Fatal(err)
	}
	if got, err := b.m.ReadFile(b.ctx(), l, p, 0); err != nil || string(got) != "abs" {
		b.Errorf("ReadFile of an absolute path: %q, %v", got, err)
	}
	if err := b.m.Remove(b.ctx(), l, filepath.Dir(p)); err != nil {
		b.Error(err)
	}
	if _, err := os.Stat(p); !os.IsNotExist(err) {
		b.Errorf("after Remove: %v", err)
	}
}

func filesRemove(b *bench) {
	l, w := b.open(agent.OpenRequest{})
	b.run(l, "make", text{"mkdir -p a/b c; touch a/b/f c/g top; mkdir ro; touch ro/f; chmod 0555 ro",
		"mkdir a\\b c ro\nfor %%f in (a\\b\\f c\\g top ro\\f) do echo x> %%f\nattrib +r ro\\f"})
	if err := b.m.Remove(b.ctx(), l, "a"); err != nil {
		b.Error(err)
	}
	if err := b.m.Remove(b.ctx(), l, "never/there"); err != nil {
		b.Errorf("Remove of nothing: %v", err)
	}
	if err := b.m.Remove(b.ctx(), l, "."); err != nil {
		b.Errorf("Remove of the workspace: %v", err)
	}
	es, err := os.ReadDir(w.Path)
	if err != nil || len(es) != 0 {
		b.Errorf("the emptied workspace has %v, %v", es, err)
	}
}

func glob(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.run(l, "make", text{"mkdir -p build/sub .git x; touch a.jar build/b.jar build/sub/c.jar build/sub/d.txt .git/HEAD x/old~ B.JAR",
		"mkdir build\\sub .git x\nfor %%f in (a.jar build\\b.jar build\\sub\\c.jar build\\sub\\d.txt .git\\HEAD x\\old~ B.JAR) do echo x> %%f"})
	for _, tt := range []struct {
		name string
		r    agent.GlobRequest
		want string
	}{
		{"all", agent.GlobRequest{}, ".git/HEAD B.JAR a.jar build/b.jar build/sub/c.jar build/sub/d.txt x/old~"},
		{"deep", agent.GlobRequest{Includes: "**/*.jar"}, "a.jar build/b.jar build/sub/c.jar"},
		{"top only", agent.GlobRequest{Includes: "*.jar"}, "a.jar"},
		{"folder", agent.GlobRequest{Includes: "build/"}, "build/b.jar build/sub/c.jar build/sub/d.txt"},
		{"two", agent.GlobRequest{Includes: "a.jar, build/*.jar"}, "a.jar build/b.jar"},
		{"excludes", agent.GlobRequest{Excludes: "**/*.jar,**/*~"}, ".git/HEAD B.JAR build/sub/d.txt"},
		{"default excludes", agent.GlobRequest{DefaultExcludes: true}, "B.JAR a.jar build/b.jar build/sub/c.jar build/sub/d.txt"},
		{"any case", agent.GlobRequest{Includes: "*.jar", CaseInsensitive: true}, "B.JAR a.jar"},
		{"below a folder", agent.GlobRequest{Dir: "build", Includes: "**/*.jar"}, "b.jar sub/c.jar"},
		{"none", agent.GlobRequest{Includes: "*.war"}, ""},
		{"no such folder", agent.GlobRequest{Dir: "nowhere"}, ""},
	} {
		tt.r.Lease = l
		got, err := b.m.Glob(b.ctx(), tt.r)
		if err != nil {
			b.Errorf("%s: %v", tt.name, err)
			continue
		}
		var names []string
		for _, f := range got {
			names = append(names, f.Path)
		}
		slices.Sort(names)
		if s := strings.Join(names, " "); s != tt.want {
			b.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

func packUnpack(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	for name, text := range map[string]string{"out/one": "one\n", "out/sub/two": "two", "out/run": "#!/bin/sh\n", "out/skip.tmp": "skip\n"} {
		mode := map[bool]fs.FileMode{true: 0o755}[name == "out/run"]
		if err := b.m.WriteFile(b.ctx(), l, name, []byte(text), mode); err != nil {
			b.Fatal(err)
		}
	}
	p, err := b.m.Pack(b.ctx(), agent.GlobRequest{Lease: l, Dir: "out", Excludes: "**/*.tmp"})
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, f := range p.Files {
		names = append(names, f.Path)
		if f.Path == "one" && f.Digest != cas.Of([]byte("one\n")) {
			b.Errorf("digest of one: %v", f.Digest)
		}
	}
	if got := strings.Join(names, " "); got != "one run sub/two" {
		b.Errorf("packed %q", got)
	}
	if p.Uploaded == 0 {
		b.Error("the first Pack moved nothing")
	}
	again, err := b.m.Pack(b.ctx(), agent.GlobRequest{Lease: l, Dir: "out", Excludes: "**/*.tmp"})
	if err != nil || again.Root != p.Root || again.Uploaded != 0 {
		b.Errorf("the second Pack: %+v, %v; want the same root and nothing moved", again, err)
	}
	if err := b.m.Unpack(b.ctx(), l, p.Root, "in/here"); err != nil {
		b.Fatal(err)
	}
	b.run(l, "look", text{"cd in/here; test $(find . -type f | wc -l) = 3; test -f one; test $(cat sub/two) = two; test -x run",
		"cd in\\here\nfor %%f in (one run sub\\two) do if not exist %%f exit /b 1\nif exist skip.tmp exit /b 2\ntype sub\\two"})
	if err := b.m.WriteFile(b.ctx(), l, "in/here/one", []byte("changed"), fs.FileMode(0o644)); err != nil {
		b.Fatal(err)
	}
	if err := b.m.Unpack(b.ctx(), l, p.Root, "in/here"); err != nil {
		b.Errorf("Unpack over what is there: %v", err)
	}
	if got, err := b.m.ReadFile(b.ctx(), l, "in/here/one", 0); err != nil || string(got) != "one\n" {
		b.Errorf("after the second Unpack: %q, %v", got, err)
	}
	b.wantKind("Unpack of an unknown tree", b.m.Unpack(b.ctx(), l, cas.Of([]byte("unknown")), "x"), fault.NotFound)
	if err := b.m.Unpack(b.ctx(), l, p.Root, "../out"); err == nil {
		b.Error("Unpack led out of the workspace")
	}
}
