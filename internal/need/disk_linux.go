package need

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a file system of its own with room for size, as mount's option of a tmpfs writes it ("8m"). It goes with the test.
func Disk(t testing.TB, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		Lack(t, "a disk of %s is mounted by root only", size)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		Lack(t, "mount a disk of %s: %v", size, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
