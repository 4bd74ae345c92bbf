//go:build unix

package shim

import "os"

// OpenShared opens a file that is there, for reading and, when so wanted, writing. It can be removed while it is open, like any here.
func OpenShared(path string, write bool) (*os.File, error) {
	if write {
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	return os.Open(path)
}

// makeShared makes such a file, which is not there.
func makeShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}
