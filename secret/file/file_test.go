package file_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/secret/file"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := file.New(file.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, ref := range []secret.Ref{secret.Ref("file:" + path), "file:~/key"} {
		if v, err := s.Resolve(t.Context(), ref); err != nil || string(v.Reveal()) != "s3cret\n" {
			t.Errorf("%s: %q, %v", ref, v.Reveal(), err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("warned of a file that is in order: %s", &log)
	}
	for ref, kind := range map[secret.Ref]fault.Kind{
		"file:key": fault.Invalid, "env:X": fault.Invalid, "s3cret": fault.Invalid,
		secret.Ref("file:" + path + ".none"): fault.NotFound, secret.Ref("file:" + dir): fault.Invalid,
	} {
		if _, err := s.Resolve(t.Context(), ref); !fault.Is(err, kind) {
			t.Errorf("%s: %v, want %v", ref, err, kind)
		}
	}
}

func TestWarnsOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := file.New(file.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := s.Resolve(t.Context(), secret.Ref("file:"+path)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "chmod 600") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("%s", &log)
	}
}
