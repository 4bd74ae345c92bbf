//go:build unix

package launchtest

import (
	"syscall"
	"testing"
)

// running reports whether a process of this computer exists. One that nobody has waited for yet does.
func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("kill agent %d: %v", pid, err)
	}
}
