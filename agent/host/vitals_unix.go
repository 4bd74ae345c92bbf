//go:build unix

package host

import "github.com/shirou/gopsutil/v4/load"

// pulse remembers what a measurement needs of the one before: nothing, where the system keeps a load average.
type pulse struct{}

func newPulse() *pulse { return &pulse{} }

func (*pulse) load() float64 {
	avg, err := load.Avg()
	if err != nil {
		return -1
	}
	return avg.Load1
}
