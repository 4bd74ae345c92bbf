package fleet

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNodeLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := openNodeLog(dir, "a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + "\n"
	for range 3 * logFile / len(line) {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	l.printf("the end")
	data, end := l.read(0)
	if len(data) < logKept || len(data) > 3*logKept || end < 3*logFile-int64(len(line)) || !strings.HasSuffix(string(data), " the end\n") {
		t.Errorf("in memory: %d bytes, end %d, %q", len(data), end, data[len(data)-20:])
	}
	l.close()
	var size int64
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
	}
	if len(files) != 2 || size > 2*logFile+logKept {
		t.Errorf("on disk: %v, %d bytes", files, size)
	}
	// A new controller remembers the newest.
	l, err = openNodeLog(dir, "a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := l.read(0); !strings.HasSuffix(string(data), " the end\n") || len(data) > logKept {
		t.Errorf("after a restart: %d bytes", len(data))
	}
	l.remove()
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

func TestNodeLogSurvivesItsFile(t *testing.T) {
	l, err := openNodeLog(t.TempDir(), "a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.file.Close() // as if the disk had gone
	l.printf("still here")
	if data, _ := l.read(0); !strings.Contains(string(data), "still here") {
		t.Errorf("log %q", data)
	}
	l.remove()
}
