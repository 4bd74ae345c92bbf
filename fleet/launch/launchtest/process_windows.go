package launchtest

import (
	"os"
	"testing"
)

// running: on Windows a process that has ended cannot be found.
func running(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	p.Release()
	return true
}

func kill(t testing.TB, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Errorf("find agent %d: %v", pid, err)
		return
	}
	defer p.Release()
	if err := p.Kill(); err != nil {
		t.Errorf("kill agent %d: %v", pid, err)
	}
}
