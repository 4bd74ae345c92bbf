package shim

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// roomFor reserves n bytes behind the end of a file without making it longer, and reports whether the disk had them.
func roomFor(f *os.File, end, n int64) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, end, n) }); err != nil {
		return false
	}
	return ferr == nil || errors.Is(ferr, unix.EOPNOTSUPP) || errors.Is(ferr, unix.ENOSYS)
}
