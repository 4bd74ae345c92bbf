//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/internal/fault"
)

// lockFolder takes the lock that a process holds while it lives.
func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, kinded(fmt.Errorf("data folder: %w", err))
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, inUse(path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("data folder: lock %s: %w", path, err)
	}
	noteOwner(f)
	return f, nil
}

func inUse(path string) error {
	who := "another process"
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
		who = "process " + strings.TrimSpace(string(b))
	}
	return fault.New(fault.Conflict, "the data folder of %s is in use by %s: stop that one, or give this one another folder", path, who)
}

// noteOwner leaves our process number for whoever finds the lock taken. That is for people: its failure is no harm.
func noteOwner(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// diskSpace returns the bytes that we may still write to the disk of a folder, and its size.
func diskSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), nil
}
