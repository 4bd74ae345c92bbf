package host

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"github.com/shirou/gopsutil/v4/mem"
	"golang.org/x/sys/unix"
)

// swapOf takes the swap from what was read for the memory: it stands in the same file.
func swapOf(m *mem.VirtualMemoryStat) (free, all int64) { return int64(m.SwapFree), int64(m.SwapTotal) }

func uptime() time.Duration {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return -1
	}
	return time.Duration(info.Uptime) * time.Second
}

// resident is the memory this process has.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return -1
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return -1
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize())
}
