//go:build unix

package privacy

import "os"

// Make makes a folder that is for this user alone. One that is there stays as it is.
func Make(dir string, _ ...string) error { return os.MkdirAll(dir, 0o700) }

// Protect does nothing: the permission bits of a file say all there is.
func Protect(string, ...string) error { return nil }
