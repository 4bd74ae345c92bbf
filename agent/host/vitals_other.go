//go:build !linux

package host

import (
	"runtime/metrics"

	"github.com/shirou/gopsutil/v4/mem"
)

func swapOf(*mem.VirtualMemoryStat) (free, all int64) {
	s, err := mem.SwapMemory()
	if err != nil {
		return -1, -1
	}
	return int64(s.Free), int64(s.Total)
}

// resident is about the memory this process has: what the runtime holds of the system and has not given back.
func resident() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) - int64(samples[1].Value.Uint64())
}
