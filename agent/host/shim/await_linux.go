package shim

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orphanLook is how often a shim that runs steps looks for orphans that have ended, until it has seen one.
const orphanLook = time.Second

// session says how a step is forked; the handle is set then, to -1 when the system has none.
func session() (*syscall.SysProcAttr, *int) {
	handle := -1
	return &syscall.SysProcAttr{Setsid: true, PidFD: &handle}, &handle
}

// await reaps a process when its handle says that it has ended, and reports whether it can. Call it with f.mu held.
func (f *family) await(pid, handle int) bool {
	if handle < 0 {
		return false
	}
	if unix.SetNonblock(handle, true) != nil { // before Linux 5.10: it could not be polled for
		_ = unix.Close(handle)
		return false
	}
	file := os.NewFile(uintptr(handle), "pidfd")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return false
	}
	if !f.looking {
		f.looking = true
		time.AfterFunc(orphanLook, f.look)
	}
	born := f.born
	go func() {
		defer file.Close()
		if raw.Read(func(uintptr) bool { return f.reapOne(pid, born) }) != nil {
			f.listen()
			f.reap()
		}
	}()
	return true
}

// reapOne takes the end of one process and reports whether it has come.
func (f *family) reapOne(pid int, born uint64) bool {
	var ws unix.WaitStatus
	f.mu.Lock()
	if f.mains[pid] != born { // reap has had it
		f.mu.Unlock()
		return true
	}
	got, err := unix.Wait4(pid, &ws, unix.WNOHANG, nil)
	for err == unix.EINTR {
		got, err = unix.Wait4(pid, &ws, unix.WNOHANG, nil)
	}
	if err != nil || got == 0 {
		f.mu.Unlock()
		return err != nil // which cannot be: nobody else waits for it
	}
	delete(f.mains, pid)
	f.mu.Unlock()
	f.ended(pid, statusOf(ws))
	f.token()
	return true
}

// look reaps orphans while steps run.
func (f *family) look() {
	f.reap()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.looking = len(f.mains) > 0; f.looking {
		time.AfterFunc(orphanLook, f.look)
	}
}
