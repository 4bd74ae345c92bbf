package host

import (
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"golang.org/x/sys/windows"
)

// pulse remembers the CPUs' times of the measurement before. One measurement runs at a time.
type pulse struct {
	idle, all float64 // seconds
	beat      bool    // there was one
}

func newPulse() *pulse { return &pulse{} }

// load is how many CPUs were busy since the measurement before; -1 the first time.
func (p *pulse) load() float64 {
	times, err := cpu.Times(false)
	if err != nil || len(times) == 0 {
		return -1
	}
	before := *p
	p.idle, p.all, p.beat = times[0].Idle, times[0].User+times[0].System+times[0].Idle+times[0].Irq, true
	if !before.beat || p.all <= before.all {
		return -1
	}
	return max(0, 1-(p.idle-before.idle)/(p.all-before.all)) * float64(runtime.NumCPU())
}

func uptime() time.Duration { return windows.DurationSinceBoot() }
