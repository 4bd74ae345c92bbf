package log

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

func TestDiskFull(t *testing.T) {
	dir := need.Disk(t, "8m")
	s := openStore(t, filepath.Join(dir, "logs"), Config{})
	l := openLog(t, s, one)
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 6<<20), 0o600))
	a := l.Stream("a", "")
	line := strings.Repeat("0123456789abcdef", 600) + "\n" // crosses pages at odd places
	var sent strings.Builder
	var err error
	for err == nil && sent.Len() < 16<<20 {
		var n int
		n, err = a.Write([]byte(line))
		sent.WriteString(line[:n])
	}
	if !fault.Is(err, fault.Exhausted) {
		t.Fatalf("with a full disk: %v", err)
	}
	if a.Received() != int64(sent.Len()) || l.Size() != a.Received() {
		t.Fatalf("Received %d, Size %d, taken %d", a.Received(), l.Size(), sent.Len())
	}
	if console(t, l) != sent.String() {
		t.Error("what was there before is not what was written")
	}
	// As after a crash on the full disk.
	other, err := Open(filepath.Join(dir, "logs"), Config{})
	must(t, err)
	defer other.Close()
	found, err := other.Lookup(one)
	must(t, err)
	if got := found.Stream("a", "").Received(); got != a.Received() {
		t.Errorf("read by another, Received is %d, not %d", got, a.Received())
	}
	found.Release()
	if err := l.Finish(); err != nil && !fault.Is(err, fault.Exhausted) {
		t.Errorf("Finish with a full disk: %v", err)
	}
	if !l.Finished() {
		must(t, os.Remove(ballast))
		rest := []byte("and on it goes\n")
		if n, err := a.WriteAt(rest, a.Received()); err != nil || n != len(rest) {
			t.Fatalf("with space again: %d, %v", n, err)
		}
		sent.Write(rest)
		must(t, l.Finish())
	}
	if got := console(t, l); !strings.HasPrefix(got, sent.String()) {
		t.Error("after the disk was full the console is not what was taken")
	}
}
