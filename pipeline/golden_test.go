package pipeline_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is printed over the golden files")

// TestConsole evaluates every testdata/NAME.jenkinsfile and compares the whole log with NAME.console.
func TestConsole(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jenkinsfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".jenkinsfile"), func(t *testing.T) {
			script, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			w.start()
			b, got := w.run(string(script))
			golden := strings.TrimSuffix(f, ".jenkinsfile") + ".console"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("console:\n%s\nwant:\n%s", got, want)
			}
			if !strings.HasSuffix(got, "\nFinished: "+string(b.Result)+"\n") {
				t.Errorf("the record says %s, the log ends with another result", b.Result)
			}
			if held := w.farm.active(); len(held) > 0 {
				t.Errorf("executors still held: %q", held)
			}
		})
	}
}
