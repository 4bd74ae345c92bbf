package host

import (
	"time"

	"golang.org/x/sys/unix"
)

func uptime() time.Duration {
	boot, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return -1
	}
	return time.Since(time.Unix(boot.Unix()))
}
