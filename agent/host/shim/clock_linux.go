package shim

import "golang.org/x/sys/unix"

// Now is the machine's monotonic clock in nanoseconds since it booted, time asleep included. All processes share it.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return ts.Nano()
}
