package tools_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/tools"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
)

// On Windows a lease's tools are the state itself, and `tools` leads to the newest, with or without the right to make symbolic links.
func TestStatesOnWindows(t *testing.T) {
	root, store := t.TempDir(), memory.New(memory.Config{})
	cfg := tools.Config{Dir: filepath.Join(root, ".outwork", "tools"), Link: filepath.Join(root, "tools"), CAS: store,
		Free: func() (int64, error) { return 1 << 40, nil }, Full: func(error) bool { return false }, Discard: os.RemoveAll, Background: func(f func()) { f() }}
	k := tools.Open(cfg)
	sync := func(text string) {
		t.Helper()
		d, err := cas.PutBytes(t.Context(), store, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		top, manifests, err := tree.Build([]tree.Entry{{Path: "bin/tool.cmd", Mode: 0o755, Digest: d}, {Path: "same", Mode: 0o644, Digest: cas.Empty}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifests {
			if _, err := cas.PutBytes(t.Context(), store, m); err != nil {
				t.Fatal(err)
			}
		}
		if done, err := k.Sync(t.Context(), agent.ToolsRequest{Root: top}); err != nil || !done.Changed {
			t.Fatalf("%+v %v", done, err)
		}
		if again, err := k.Sync(t.Context(), agent.ToolsRequest{Root: top}); err != nil || again.Changed {
			t.Errorf("again: %+v %v", again, err)
		}
	}
	is := func(dir, want string) {
		t.Helper()
		if text, err := os.ReadFile(filepath.Join(dir, "bin", "tool.cmd")); err != nil || string(text) != want {
			t.Errorf("%s: %q %v, want %q", dir, text, err, want)
		}
	}
	sync("one")
	first := k.Pin(`C:\ws\a`)
	sync("two")
	is(first, "one")
	is(k.Pin(`C:\ws\b`), "two")
	if _, err := os.Lstat(cfg.Link); err == nil { // Wine says that it makes links, and makes none
		is(cfg.Link, "two")
	}
	k = tools.Open(cfg) // the agent was restarted
	is(k.Pinned(`C:\ws\a`), "one")
	is(k.Pin(`C:\ws\c`), "two")
	k.Release(`C:\ws\a`)
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("a state that nobody uses is there: %v", err)
	}
}
