package httpcache_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/need"
)

// A second machine, whose own cache is empty, gets from here what ccache put there on the first.
func TestCcache(t *testing.T) {
	need.Programs(t, "ccache gcc", "ccache", "gcc")
	for _, layout := range []string{"subdirs", "flat", "bazel"} {
		t.Run(layout, func(t *testing.T) {
			w := serve(t, nil)
			src := t.TempDir()
			const files = 3
			for i := range files {
				if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("f%d.c", i)), fmt.Appendf(nil, "int f%d(void) { return %d; }\n", i, i), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stats string
			for range 2 { // two machines
				own := t.TempDir()
				env := append(os.Environ(), "CCACHE_DIR="+own, "CCACHE_CONFIGPATH="+filepath.Join(own, "ccache.conf"),
					"CCACHE_SECONDARY_STORAGE="+w.url+"/raw/ccache|layout="+layout, "CCACHE_REMOTE_STORAGE="+w.url+"/raw/ccache|layout="+layout, "CCACHE_STATS=true")
				run := func(argv ...string) string {
					cmd := exec.Command(argv[0], argv[1:]...)
					cmd.Dir, cmd.Env = src, env
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Fatalf("%v: %v\n%s", argv, err, out)
					}
					return string(out)
				}
				for i := range files {
					run("ccache", "gcc", "-c", fmt.Sprintf("f%d.c", i), "-o", filepath.Join(own, fmt.Sprintf("f%d.o", i)))
				}
				stats = run("ccache", "--print-stats")
			}
			counts := map[string]string{}
			for line := range strings.Lines(stats) {
				if name, n, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
					counts[name] = n
				}
			}
			hits := counts["secondary_storage_hit"] + counts["remote_storage_hit"]
			misses := counts["cache_miss"]
			if hits == "" || hits == "0" || misses != "0" {
				t.Errorf("the second machine had %q hits here and %q misses:\n%s", hits, misses, stats)
			}
			if e := counts["secondary_storage_error"] + counts["remote_storage_error"]; strings.Trim(e, "0") != "" {
				t.Errorf("%s errors", e)
			}
		})
	}
}
