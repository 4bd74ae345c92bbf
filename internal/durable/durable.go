// Package durable replaces small files so that they survive whatever stops the machine.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile puts data into the file at path, with mode 0600, in place of what is there. Whatever interrupts it, the file has the old text or
// the new, and it has the new one for good when WriteFile returns nil. What it was writing may stay beside it as path.NUMBER.part after
// a crash. The folder must exist. Writers of the same file do not harm each other: the last one wins.
func WriteFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// syncFolder makes a new name in a folder durable. Systems that cannot sync a folder keep its names in their own time.
func syncFolder(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}
