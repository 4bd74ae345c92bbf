//go:build !linux

package shim

import "os"

// roomFor lets the write itself find out.
func roomFor(*os.File, int64, int64) bool { return true }
