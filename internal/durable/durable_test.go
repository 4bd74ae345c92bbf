package durable_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/internal/durable"
)

// A reader finds one whole text or another, however many write, and nothing is left beside it.
func TestReadersFindAWholeText(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	texts := map[string]bool{}
	var writers sync.WaitGroup
	for _, c := range "abcd" {
		text := strings.Repeat(string(c), 50_000)
		texts[text] = true
		if err := durable.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for range 20 {
				if err := durable.WriteFile(path, []byte(text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); writers.Wait() }()
	for {
		b, err := os.ReadFile(path)
		if err != nil || !texts[string(b)] {
			t.Fatalf("%v, %d bytes", err, len(b))
		}
		select {
		case <-done:
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Fatalf("left behind: %v %v", left, err)
			}
			return
		default:
		}
	}
}

// A write that fails loses nothing of what was there, and leaves nothing.
func TestAFailureLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken") // a folder: no file can take its place
	if err := os.MkdirAll(filepath.Join(path, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x")); err == nil {
		t.Error("a file has taken a folder's place")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || !left[0].IsDir() {
		t.Errorf("left: %v %v", left, err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "f"), []byte("x")); err == nil {
		t.Error("written into a folder that is not there")
	}
}

func TestModeIsTheOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := durable.WriteFile(path, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
