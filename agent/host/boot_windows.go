package host

import (
	"time"

	"golang.org/x/sys/windows"
)

// bootID changes each time the machine starts. Windows names no start, so it is the time of it, to ten seconds.
func bootID() string {
	return time.Now().Add(-windows.DurationSinceBoot()).UTC().Round(10 * time.Second).Format(time.RFC3339)
}
