package tools_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// F5: a disk that turns out to be full leaves the tools as they were and gets its room back.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	b.configure(need.Disk(t, "8m"))
	write(t, b.source, "old", "old", 0o644)
	b.sync(t)
	for _, name := range []string{"a", "b", "c"} {
		write(t, b.source, name, strings.Repeat(name, 4<<20), 0o644)
	}
	_, err := b.Sync(t.Context(), agent.ToolsRequest{Root: b.pack(t)})
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "full") || !strings.Contains(err.Error(), b.cfg.Dir) {
		t.Fatalf("%v", err)
	}
	if read(t, filepath.Join(b.root, "tools/old")) != "old" || b.states(t) != 1 {
		t.Error("the tools are not what they were")
	}
	write(t, b.source, "b", "small", 0o644)
	write(t, b.source, "c", "small too", 0o644)
	b.sync(t) // 4 MiB fit where the rest was given back
	b.compare(t)
}
