package jenkins

import (
	"fmt"
	"math"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// monitorNames are Jenkins' six monitors, in its order.
var monitorNames = []string{"SwapSpaceMonitor", "TemporarySpaceMonitor", "DiskSpaceMonitor", "ArchitectureMonitor", "ResponseTimeMonitor", "ClockMonitor"}

var systems = map[string]string{"linux": "Linux", "windows": "Windows", "darwin": "Mac OS X"}

// monitorData has what is measured of a node under the names that Jenkins has; what is not known is null.
func monitorData(st fleet.Status) *export.Bean {
	known := map[string]any{}
	if m := st.Machine; m.OS != "" {
		system := systems[m.OS]
		if system == "" {
			system = m.OS
		}
		known["ArchitectureMonitor"] = fmt.Sprintf("%s (%s)", system, m.Arch)
	}
	v, at := st.Vitals, ms(st.LastHeard)
	if !v.Clock.IsZero() {
		known["SwapSpaceMonitor"] = monitorBean("SwapSpaceMonitor$MemoryUsage2").
			Show(5, "availablePhysicalMemory", v.Memory).Show(5, "availableSwapSpace", v.Swap).
			Show(5, "totalPhysicalMemory", v.MemoryAll).Show(5, "totalSwapSpace", v.SwapAll)
		known["TemporarySpaceMonitor"] = diskSpace(v.Temp, at)
		known["DiskSpaceMonitor"] = diskSpace(v.Disk, at)
	}
	switch response, judged := st.Monitors[monitor.Response]; {
	case judged:
		known["ResponseTimeMonitor"] = responseTime(at, int64(math.Round(response.Value)))
	case st.RoundTrip > 0:
		known["ResponseTimeMonitor"] = responseTime(at, st.RoundTrip.Milliseconds())
	}
	if clock, judged := st.Monitors[monitor.Clock]; judged {
		// Jenkins counts how far the node is behind.
		known["ClockMonitor"] = (&export.Bean{Class: "hudson.util.ClockDifference"}).Show(5, "diff", -int64(math.Round(clock.Value)))
	}
	b := &export.Bean{}
	for _, m := range monitorNames {
		b.Show(5, "hudson.node_monitors."+m, known[m])
	}
	return b
}

func monitorBean(class string) *export.Bean {
	return &export.Bean{Class: "hudson.node_monitors." + class}
}

func responseTime(at, average int64) *export.Bean {
	return monitorBean("ResponseTimeMonitor$Data").Show(5, "timestamp", at).Show(5, "average", average)
}

func diskSpace(s agent.Space, at int64) any {
	if s.Total < 0 {
		return nil // the machine cannot measure it
	}
	return monitorBean("DiskSpaceMonitorDescriptor$DiskSpace").Show(5, "timestamp", at).Show(5, "path", s.Path).Show(5, "size", s.Free).Show(5, "totalSize", s.Total)
}
