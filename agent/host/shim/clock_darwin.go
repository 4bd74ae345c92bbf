package shim

import "golang.org/x/sys/unix"

// Now is the machine's monotonic clock in nanoseconds since it booted, time asleep included. All processes share it.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("CLOCK_MONOTONIC: " + err.Error()) // macOS has it since 10.12
	}
	return ts.Nano()
}
