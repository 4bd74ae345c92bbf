package host

import (
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// timeOfDay is SYSTEM_TIMEOFDAY_INFORMATION of winternl.h. Its times are in units of 100 ns since 1601.
type timeOfDay struct {
	Boot, Now, Zone    int64
	ZoneID, _          uint32
	BootBias, SleptFor int64
}

// bootID changes each time the machine starts. Windows names no start, so it is the time of it. When someone sets the clock,
// Windows moves that time too and keeps in its bias by how much, so without the bias it stays what it was.
func bootID() string {
	var t timeOfDay
	err := windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&t), uint32(unsafe.Sizeof(t)), nil)
	if err != nil || t.Boot == 0 {
		return time.Now().Add(-windows.DurationSinceBoot()).UTC().Round(10 * time.Second).Format(time.RFC3339)
	}
	return "w" + strconv.FormatInt(t.Boot-t.BootBias, 10)
}
