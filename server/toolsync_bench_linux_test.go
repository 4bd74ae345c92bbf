package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
)

// BenchmarkToolSync brings ten thousand files to an agent of its own process, looks again with nothing to do, and again with one file
// changed; beside it rsync -a does the same from folder to folder. Times are in ms of one run each: -benchtime=1x.
func BenchmarkToolSync(b *testing.B) {
	rsync := need.Program(b, "rsync", "rsync")
	for range b.N {
		from, to, config := b.TempDir(), b.TempDir(), "version: 1\ntools: [{from: "
		fill(b, from, 10_000)
		took := func(name string, do func()) {
			begun := time.Now()
			do()
			b.ReportMetric(float64(time.Since(begun).Milliseconds()), name)
		}
		copied := func() {
			if out, err := exec.Command(rsync, "-a", "--delete", from+"/", to+"/").CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
		f := toolFarm(b, "version: 1\n", "")
		f.Online()
		put(b, f.Config.ConfigFile, config+from+"}]\n", 0o600)
		took("first-ms", func() {
			if err := f.Reload(f.Context()); err != nil {
				b.Fatal(err)
			}
			synced(f, "n1", whole)
		})
		took("rsync-first-ms", copied)
		sync1(f) // what was written just before the first look is read again by the second
		took("noop-ms", func() { sync1(f) })
		took("rsync-noop-ms", copied)
		put(b, filepath.Join(from, "d007/f00352"), "changed", 0o755)
		took("one-ms", func() { sync1(f) })
		took("rsync-one-ms", copied)
		f.Stop()
		_ = os.RemoveAll(to)
	}
	b.ReportMetric(0, "ns/op")
}
