//go:build unix && !linux

package shim

import "syscall"

// session says how a step is forked. The handle is -1: there is none.
func session() (*syscall.SysProcAttr, *int) {
	handle := -1
	return &syscall.SysProcAttr{Setsid: true}, &handle
}

// await reports whether the end of a process is learnt without a signal.
func (f *family) await(int, int) bool { return false }
