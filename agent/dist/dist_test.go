package dist_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/internal/fault"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func digest(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "outwork-agent-plan9-arm64"), "plan 9 agent")
	put(t, filepath.Join(dir, "outwork-agent-windows-amd64.exe"), "MZ")
	put(t, filepath.Join(dir, "outwork-agent-windows-arm64"), "no .exe")
	put(t, filepath.Join(dir, "README-x-y"), "no agent")
	self := filepath.Join(dir, "outwork")
	put(t, self, "the whole of outwork")
	d := dist.New(dist.Config{Folder: dir, Self: self})

	b, err := d.Open("plan9", "arm64")
	want := dist.Binary{Path: filepath.Join(dir, "outwork-agent-plan9-arm64"), SHA256: digest("plan 9 agent"), Size: 12, Name: "outwork-agent", OS: "plan9", Arch: "arm64"}
	if err != nil || b != want {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = d.Open("windows", "amd64"); err != nil || b.Name != "outwork-agent.exe" || b.SHA256 != digest("MZ") {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = d.Open(runtime.GOOS, runtime.GOARCH); err != nil || b.Path != self || b.Verb != "agent" || !strings.HasPrefix(b.Name, "outwork-agent") {
		t.Errorf("own kind: %+v, %v", b, err)
	}
	list := d.List()
	if len(list) != 3 {
		t.Errorf("%+v", list)
	}
	_, err = d.Open("linux", "riscv64")
	if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "no agent for linux/riscv64") || !strings.Contains(err.Error(), "make agents") || !strings.Contains(err.Error(), "plan9/arm64") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "../x", "a/b", "Linux", "a-b", strings.Repeat("a", 50)} {
		if _, err := d.Open(bad, "amd64"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The digest follows the file: a new build is seen, an old one is not read again.
func TestDigestIsKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outwork-agent-linux-amd64")
	put(t, path, "one")
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	d := dist.New(dist.Config{Folder: dir})
	open := func() dist.Binary {
		t.Helper()
		b, err := d.Open("linux", "amd64")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if b := open(); b.SHA256 != digest("one") {
		t.Errorf("%+v", b)
	}
	put(t, path, "two")
	if b := open(); b.SHA256 != digest("two") {
		t.Errorf("a new build is not seen: %+v", b)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, "six") // same size, and with the same time it is taken for the same
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if b := open(); b.SHA256 != digest("two") {
		t.Error("a file that did not change was read again")
	}
}

func TestNothingThere(t *testing.T) {
	for _, d := range []*dist.Dist{dist.New(dist.Config{}), dist.New(dist.Config{Folder: filepath.Join(t.TempDir(), "none")})} {
		if _, err := d.Open("linux", "amd64"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "none at all") {
			t.Errorf("%v", err)
		}
		if l := d.List(); len(l) != 0 {
			t.Errorf("%v", l)
		}
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "outwork-agent-linux-amd64"), "")
	if _, err := dist.New(dist.Config{Folder: dir}).Open("linux", "amd64"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an empty file: %v", err)
	}
}
