package host_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sign is a named pipe by which processes show what they do: each line is an event, and its end comes when the last process
// that holds it is dead.
type sign struct {
	path string
	r    *os.File
	w    *os.File // keeps the pipe open until held
}

func newSign(t testing.TB) *sign {
	t.Helper()
	s := &sign{path: filepath.Join(t.TempDir(), "sign")}
	if err := unix.Mkfifo(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.r = r
	if s.w, err = os.OpenFile(s.path, os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.r.Close(); _ = s.w.Close() })
	return s
}

// await waits until a process has written want.
func (s *sign) await(t testing.TB, want string) {
	t.Helper()
	_ = s.r.SetReadDeadline(time.Now().Add(patience))
	var got []byte
	buf := make([]byte, 512)
	for !bytes.Contains(got, []byte(want)) {
		n, err := s.r.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("waiting for %q: %v; got %q", want, err, got)
		}
	}
}

// released waits until no process holds the pipe any more.
func (s *sign) released(t testing.TB) {
	t.Helper()
	_ = s.w.Close()
	_ = s.r.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, s.r); err != nil {
		t.Fatalf("a process still holds the sign: %v", err)
	}
}

// leftovers are the living processes that have the folder's name in their environment.
func leftovers(t testing.TB, root string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range dirs {
		env, err := os.ReadFile(filepath.Join(d, "environ"))
		if err != nil || !bytes.Contains(env, []byte(root)) || bytes.Contains(env, []byte("OUTWORK_SHIM=")) {
			continue
		}
		if filepath.Base(d) != strconv.Itoa(os.Getpid()) {
			cmd, _ := os.ReadFile(filepath.Join(d, "cmdline"))
			found = append(found, filepath.Base(d)+" "+string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func noLeftovers(t testing.TB, root string) {
	t.Helper()
	if found := leftovers(t, root); len(found) > 0 {
		t.Errorf("left over: %q", found)
	}
}
