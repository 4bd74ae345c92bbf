//go:build unix

package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return p
}

func link(t *testing.T, dir, name, target string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.Symlink(target, p)); err != nil {
		t.Fatal(err)
	}
}

// later is a scanner for which all files are old: each is read once.
func later() *scanner {
	return &scanner{cache: map[string]known{}, now: func() time.Time { return time.Now().Add(time.Hour) }}
}

func look(t *testing.T, s *scanner, e Entry) *scan {
	t.Helper()
	found, err := s.scan(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func paths(found *scan) (ps []string) {
	for _, e := range found.entries {
		if e.Path != "" && !e.Mode.IsDir() {
			ps = append(ps, e.Path)
		}
	}
	return ps
}

// S1-58: what matches is left out, with all that is below it.
func TestExclude(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"workspace/a/b", "jobs/x/workspace/c", ".ssh/id_rsa", ".ssh/known_hosts", "deep/.ssh/id_rsa", "top.tmp", "deep/x.tmp", "bin/run", "only/top", "deep/only/top"} {
		write(t, dir, name, "")
	}
	for _, c := range []struct{ patterns, want []string }{
		{[]string{"workspace"}, []string{".ssh/id_rsa", ".ssh/known_hosts", "bin/run", "deep/.ssh/id_rsa", "deep/only/top", "deep/x.tmp", "only/top", "top.tmp"}},
		{[]string{"workspace", ".ssh/id_*", "*.tmp"}, []string{".ssh/known_hosts", "bin/run", "deep/.ssh/id_rsa", "deep/only/top", "only/top"}},
		{[]string{"workspace/", "/only/**", "deep/.ssh"}, []string{".ssh/id_rsa", ".ssh/known_hosts", "bin/run", "deep/only/top", "deep/x.tmp", "top.tmp"}},
	} {
		if got := paths(look(t, later(), Entry{From: dir, Exclude: c.patterns})); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.patterns, got, c.want)
		}
	}
}

// A second look reads nothing; one at a changed file reads that one, also when its size and time are as before.
func TestAnUnchangedFolderIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		write(t, dir, fmt.Sprintf("d%d/f", i), fmt.Sprint(i))
	}
	s := later()
	first := look(t, s, Entry{From: dir})
	if s.read != 50 || first.files != 50 {
		t.Errorf("%d of %d files were read", s.read, first.files)
	}
	if look(t, s, Entry{From: dir}); s.read != 0 {
		t.Errorf("again: %d files were read", s.read)
	}
	p := filepath.Join(dir, "d7/f")
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "d7/f", "x")
	if err := os.Chtimes(p, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	third := look(t, s, Entry{From: dir})
	i := slices.IndexFunc(third.entries, func(e tree.Entry) bool { return e.Path == "d7/f" })
	if s.read != 1 || third.entries[i].Digest != cas.Of([]byte("x")) {
		t.Errorf("one changed: %d files were read, %v", s.read, third.entries[i].Digest)
	}
	now := &scanner{cache: map[string]known{}, now: time.Now} // what was just written may be written again within the clock's tick
	look(t, now, Entry{From: dir})
	if look(t, now, Entry{From: dir}); now.read != 50 {
		t.Errorf("fresh files: %d were read again, want all 50", now.read)
	}
}

// S1-56: links that stay inside are kept as they are; those that lead out, or round in a circle, are left out and named.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "jdk-17/bin/java", "java")
	link(t, dir, "java", "jdk-17")
	link(t, dir, "twice", "java/bin/java")
	link(t, dir, "jdk-17/self", "..")
	link(t, dir, "jdk-17/bin/up", "../../java/bin")
	link(t, dir, "dangling", "not/here")
	link(t, dir, "absolute", "/etc/passwd")
	link(t, dir, "out", "../x")
	link(t, dir, "jdk-17/bin/out", "../../../x")
	link(t, dir, "tricky", "java/../../x")
	link(t, dir, "loop-a", "loop-b")
	link(t, dir, "loop-b", "jdk-17/loop-c")
	link(t, dir, "jdk-17/loop-c", "../loop-a")
	link(t, dir, "self", "self")
	e := Entry{Name: "site", From: dir, To: "deep/in/it"}
	found := look(t, later(), e)
	c, err := compose([]Entry{e}, []*scan{found}, []part{{}})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(c.warnings, "\n")
	for _, name := range []string{"absolute", "out", "jdk-17/bin/out", "tricky", "deep/in/it/loop-a", "deep/in/it/loop-b", "deep/in/it/jdk-17/loop-c", "deep/in/it/self"} {
		if !strings.Contains(said, " "+name+": ") {
			t.Errorf("%s is not named:\n%s", name, said)
		}
	}
	if n := len(c.warnings); n != 8 {
		t.Errorf("%d warnings, want 8:\n%s", n, said)
	}
	var got []string
	for _, one := range unpacked(t, c) {
		if one.Mode&fs.ModeSymlink != 0 {
			got = append(got, strings.TrimPrefix(one.Path, "deep/in/it/")+" -> "+one.Link)
		}
	}
	slices.Sort(got)
	want := []string{"dangling -> not/here", "java -> jdk-17", "jdk-17/bin/up -> ../../java/bin", "jdk-17/self -> ..", "twice -> java/bin/java"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// unpacked reads a tree back as an agent does.
func unpacked(t *testing.T, c *composed) []tree.Entry {
	t.Helper()
	s := &shelf{}
	s.add(c.manifests)
	es, err := tree.List(t.Context(), over{shelf: s}, c.root, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return es
}

func machine(os, arch string, labels ...string) fleet.Status {
	st := fleet.Status{Node: fleet.Node{Name: "n"}, Machine: agent.Description{OS: os, Arch: arch}, Assigned: append(labels, "os:"+os, "arch:"+arch)}
	slices.Sort(st.Assigned)
	return st
}

// S1-55: of the folders for machines each node gets its own, and native leads there.
func TestNative(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ant-1.5/bin/ant", "linux-amd64/java-1.8/bin/java", "linux-arm64/java-1.8/bin/java", "sun-sparc/java-1.4/bin/java", "linux-tools/x"} {
		write(t, dir, name, name)
	}
	link(t, dir, "native", "sun-sparc") // as it is on the controller
	link(t, dir, "java-1.8", "native/java-1.8")
	pattern := Native{Pattern: "{os}-{arch}"}
	folders := Native{Folders: map[string]string{"linux-amd64": "os:linux && arch:amd64", "sun-sparc": "sparc", "linux-arm64": "arch:arm64"}}
	rest := []string{"ant-1.5/bin/ant", "java-1.8 -> native/java-1.8", "linux-tools/x"}
	for name, c := range map[string]struct {
		native Native
		st     fleet.Status
		want   []string
		says   string
	}{
		"amd64":      {pattern, machine("linux", "amd64"), []string{"linux-amd64/java-1.8/bin/java", "native -> linux-amd64", "sun-sparc/java-1.4/bin/java"}, ""},
		"arm64":      {pattern, machine("linux", "arm64"), []string{"linux-arm64/java-1.8/bin/java", "native -> linux-arm64", "sun-sparc/java-1.4/bin/java"}, ""},
		"no such":    {pattern, machine("windows", "amd64"), []string{"sun-sparc/java-1.4/bin/java"}, "no folder windows-amd64"},
		"by label":   {folders, machine("solaris", "sparc64", "sparc"), []string{"native -> sun-sparc", "sun-sparc/java-1.4/bin/java"}, ""},
		"for nobody": {folders, machine("plan9", "386"), nil, "no folder of native is for this machine"},
		"as it is":   {Native{}, machine("linux", "amd64"), []string{"linux-amd64/java-1.8/bin/java", "linux-arm64/java-1.8/bin/java", "native -> sun-sparc", "sun-sparc/java-1.4/bin/java"}, ""},
	} {
		e := Entry{From: dir, Native: c.native}
		parts, err := plan([]Entry{e}, c.st)
		if err != nil {
			t.Fatal(name, err)
		}
		made, err := compose([]Entry{e}, []*scan{look(t, later(), e)}, parts)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, one := range unpacked(t, made) {
			switch {
			case one.Mode&fs.ModeSymlink != 0:
				got = append(got, one.Path+" -> "+one.Link)
			case one.Mode.IsRegular():
				got = append(got, one.Path)
			}
		}
		want := append(slices.Clone(rest), c.want...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if said := strings.Join(made.warnings, "\n"); !strings.Contains(said, c.says) || (c.says == "") != (said == "") {
			t.Errorf("%s: %q, want %q", name, said, c.says)
		}
	}
	both := Entry{From: dir, Native: Native{Folders: map[string]string{"linux-amd64": "os:linux", "sun-sparc": "arch:amd64"}}}
	if _, err := plan([]Entry{both}, machine("linux", "amd64")); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "linux-amd64 and sun-sparc") {
		t.Errorf("two folders for one node: %v", err)
	}
}

func TestEntriesTogether(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "jdk/17/java", "17")
	write(t, b, "21/java", "21")
	write(t, b, "doc", "doc")
	entries := []Entry{{Name: "a", From: a}, {Name: "b", From: b, To: "jdk", Keep: true, Select: "big"}, {Name: "c", From: b, Select: "never"}}
	small, err := plan(entries, machine("linux", "amd64"))
	if err != nil || len(small) != 1 {
		t.Errorf("%v %v", small, err)
	}
	big, err := plan(entries, machine("linux", "amd64", "big"))
	if err != nil || len(big) != 2 {
		t.Fatalf("%v %v", big, err)
	}
	scans := []*scan{look(t, later(), entries[0]), look(t, later(), entries[1]), nil}
	c, err := compose(entries, scans, big)
	if err != nil || c.files != 3 || c.bytes != 7 || !slices.Equal(c.keep, []string{"jdk"}) {
		t.Errorf("%+v %v", c, err)
	}
	entries[1].To = ""
	write(t, b, "jdk/17/java", "another")
	scans[1] = look(t, later(), entries[1])
	if _, err := compose(entries, scans, big); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), `"a" and "b" both have jdk/17/java`) {
		t.Errorf("two files at one path: %v", err)
	}
}

// A folder that is not what it should be changes nothing anywhere, and one thing in it that cannot be sent does not keep back the rest.
func TestWhatCannotBeLookedThrough(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	write(t, dir, "f", "f")
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "bad\xff", "")
	found := look(t, later(), Entry{From: dir})
	if said := strings.Join(found.problems, "\n"); len(found.problems) != 2 || !strings.Contains(said, "pipe: is no file") || !strings.Contains(said, "not UTF-8") {
		t.Errorf("%q", said)
	}
	for from, c := range map[string]struct {
		kind fault.Kind
		says string
	}{
		filepath.Join(dir, "gone"): {fault.NotFound, "gone"},
		empty:                      {fault.Invalid, "is empty"},
		filepath.Dir(empty):        {fault.Invalid, "the controller's own folder"},
	} {
		s := later()
		s.own = empty
		if from == empty {
			s.own = ""
		}
		if _, err := s.scan(t.Context(), Entry{From: from}); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestCheck(t *testing.T) {
	good := []Entry{{From: "/srv/tools", Native: Native{Pattern: "{os}-{arch}"}, Exclude: []string{"*.tmp", ".ssh/id_*"}, Select: "linux && !small"}, {From: "/x/tools", Name: "other", To: "a/b"}}
	if ps := Check(good); len(ps) > 0 {
		t.Errorf("%+v", ps)
	}
	bad := []Entry{
		{From: "relative"}, {Name: "up", From: "/a", To: "../x"}, {Name: "select", From: "/a", Select: "a &&"}, {Name: "exclude", From: "/a", Exclude: []string{"a,b"}},
		{Name: "pattern", From: "/a", Native: Native{Pattern: "x/{os}"}}, {Name: "plain", From: "/a", Native: Native{Pattern: "linux"}},
		{Name: "folders", From: "/a", Native: Native{Folders: map[string]string{"a/b": "x"}}}, {Name: "nobody", From: "/a", Native: Native{Folders: map[string]string{"a": ""}}}, {Name: "up", From: "/b"},
	}
	want := []string{"[0].from", "[1].to", "[2].select", "[3].exclude", "[4].native", "[5].native", "[6].native", "[7].native", "[8].name"}
	var got []string
	for _, p := range Check(bad) {
		got = append(got, p.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Bytes come from where they are, from any offset, and only as long as they are what was looked at.
func TestShelf(t *testing.T) {
	dir := t.TempDir()
	p := write(t, dir, "f", strings.Repeat("tool", 50_000))
	d := cas.Of([]byte(strings.Repeat("tool", 50_000)))
	s := &shelf{}
	s.put(map[cas.Digest]string{d: p}, nil)
	store := over{shelf: s}
	for _, off := range []int64{0, 1, 150_000, d.Size} {
		r, err := store.Get(t.Context(), d, off)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cas.OfReader(r)
		if err != nil || got != cas.Of([]byte(strings.Repeat("tool", 50_000)[off:])) {
			t.Errorf("from %d: %v %v", off, got, err)
		}
		r.Close()
	}
	if _, err := store.Get(t.Context(), d, d.Size+1); !errors.Is(err, cas.ErrRange) {
		t.Errorf("behind the end: %v", err)
	}
	write(t, dir, "f", strings.Repeat("evil", 50_000))
	if _, err := cas.ReadAll(t.Context(), store, d, 1<<20); !errors.Is(err, cas.ErrMismatch) || !strings.Contains(err.Error(), p+" has changed") {
		t.Errorf("changed since: %v", err)
	}
}
