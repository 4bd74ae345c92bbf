//go:build !linux

package log

import (
	"os"
	"runtime"
)

func datasync(f *os.File) error { return f.Sync() }

// syncFolder makes the names in a folder durable, where the system can be asked to.
func syncFolder(root *os.Root, dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
