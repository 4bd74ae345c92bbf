package host

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// lookPath finds the program that a name leads to. A program that is not there fails to start.
func lookPath(name, _, _ string) string {
	if path, err := exec.LookPath(name); err == nil || errors.Is(err, exec.ErrDot) {
		return path
	}
	return name
}

// there reports whether a program that lookPath found is still there: it is looked for each time.
func there(string) bool { return false }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// freeBytes is the room that this user may still use on the disk of path.
func freeBytes(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(p, &free, nil, nil)
	return int64(free), err
}

// lockFile takes the only lock on a file; it ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// onlyName reports whether a file is known to have one name only: here it is not worth the asking.
func onlyName(os.FileInfo) bool { return false }

// named reports whether a file has a name at all: one that is open keeps it here.
func named(os.FileInfo) bool { return true }

// openScript opens or makes a file for writing.
func openScript(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o700)
}
