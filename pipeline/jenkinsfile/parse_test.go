package jenkinsfile

import (
	"os"
	"path/filepath"
	"testing"
)

// corpus returns the paths of the realistic scripts.
func corpus(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*.groovy")
	if err != nil || len(paths) == 0 {
		t.Fatal("no corpus: ", err)
	}
	return paths
}

func TestCorpusParses(t *testing.T) {
	for _, path := range corpus(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(path, string(src)); err != nil {
			t.Errorf("%v", err)
		}
	}
}
