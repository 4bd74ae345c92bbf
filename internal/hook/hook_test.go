//go:build unix

package hook_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/hook"
)

func TestRun(t *testing.T) {
	t.Setenv("OUTWORK_TOKEN", "not for hooks")
	var out bytes.Buffer
	dir := t.TempDir()
	h := hook.Hook{Command: "env; pwd; echo no >&2", Dir: dir, Env: []string{"A=b"}, Output: &out}
	if err := h.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"A=b", dir, "no"} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("no %q in\n%s", line, &out)
		}
	}
	if strings.Contains(out.String(), "not for hooks") {
		t.Error("it sees the controller's own settings")
	}
	if err := (hook.Hook{Command: "exit 3"}).Run(t.Context()); !fault.Is(err, fault.Unavailable) || err.Error() != "exit 3" {
		t.Errorf("%v", err)
	}
	if err := (hook.Hook{Command: "true", Dir: "/nonexistent"}).Run(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// What a hook has started ends with it, and with its context.
func TestEnds(t *testing.T) {
	why := errors.New("enough")
	for _, after := range []string{"exit 0", "echo up; wait"} {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		ended := make(chan error, 1)
		go func() {
			ended <- hook.Hook{Command: "exec 3>" + pipe + "; sleep 60 & " + after}.Run(ctx)
		}()
		f, err := os.Open(pipe) // its end is the sleeper's
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if after != "exit 0" {
			cancel(why)
		}
		if err := f.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the sleeper lives on: %v", after, err)
		}
		if err := <-ended; after != "exit 0" && !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	}
}
