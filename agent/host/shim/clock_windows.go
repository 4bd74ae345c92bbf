package shim

import "golang.org/x/sys/windows"

// Now is the machine's monotonic clock in nanoseconds since it booted, time asleep included. All processes share it.
func Now() int64 { return windows.DurationSinceBoot().Nanoseconds() }
