//go:build unix

package file

import "io/fs"

// others reports whether users other than the owner can read the file.
func others(st fs.FileInfo) bool { return st.Mode().Perm()&0o077 != 0 }
