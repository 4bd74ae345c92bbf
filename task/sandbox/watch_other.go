//go:build !linux

package sandbox

import (
	"runtime"

	"github.com/outwork-build/outwork/internal/fault"
)

// Watch finds out which of files that should not be needed are read. It needs Linux.
type Watch struct{}

// StartWatch is fault.Unavailable on this system.
func StartWatch(Scratch, []string) (*Watch, error) {
	return nil, fault.New(fault.Unavailable, "undeclared files cannot be watched for on %s", runtime.GOOS)
}

// Stop does nothing on this system.
func (*Watch) Stop() []string { return nil }
