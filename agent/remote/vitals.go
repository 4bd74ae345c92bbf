package remote

import (
	"math"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// toVitals leaves out what was not measured at all.
func toVitals(v agent.Vitals) *agentpb.Vitals {
	if v.Clock.IsZero() {
		return nil
	}
	return &agentpb.Vitals{Clock: toTime(v.Clock), Disk: toSpace(v.Disk), Temp: toSpace(v.Temp), Memory: v.Memory, MemoryAll: v.MemoryAll,
		Swap: v.Swap, SwapAll: v.SwapAll, Load: v.Load, Cpus: int32(v.CPUs), UptimeMs: toMillis(v.Uptime), Agent: v.Agent}
}

// fromVitals returns zero Vitals for an agent that knows none.
func fromVitals(v *agentpb.Vitals) agent.Vitals {
	if v == nil {
		return agent.Vitals{}
	}
	return agent.Vitals{Clock: fromTime(v.GetClock()), Disk: fromSpace(v.GetDisk()), Temp: fromSpace(v.GetTemp()), Memory: v.GetMemory(),
		MemoryAll: v.GetMemoryAll(), Swap: v.GetSwap(), SwapAll: v.GetSwapAll(), Load: v.GetLoad(), CPUs: int(v.GetCpus()),
		Uptime: orUnknown(fromMillis(v.GetUptimeMs())), Agent: v.GetAgent()}
}

func toSpace(s agent.Space) *agentpb.Space {
	return &agentpb.Space{Path: s.Path, Free: s.Free, Total: s.Total, AgeMs: toMillis(s.Age)}
}

// fromSpace takes a file system that the agent says nothing of as one that it could not measure.
func fromSpace(s *agentpb.Space) agent.Space {
	if s == nil {
		return agent.Space{Free: -1, Total: -1}
	}
	return agent.Space{Path: s.GetPath(), Free: s.GetFree(), Total: s.GetTotal(), Age: fromMillis(s.GetAgeMs())}
}

// orUnknown undoes the rounding of a -1 to a millisecond.
func orUnknown(d time.Duration) time.Duration {
	if d < 0 {
		return -1
	}
	return d
}

// checkVitals refuses what no machine can measure. Zero Vitals are none.
func checkVitals(v agent.Vitals) error {
	for what, n := range map[string]int64{
		"disk.free": v.Disk.Free, "disk.total": v.Disk.Total, "disk.age": int64(v.Disk.Age), "temp.free": v.Temp.Free, "temp.total": v.Temp.Total,
		"temp.age": int64(v.Temp.Age), "memory": v.Memory, "memory_all": v.MemoryAll, "swap": v.Swap, "swap_all": v.SwapAll, "agent": v.Agent,
	} {
		if n < -1 {
			return fault.New(fault.Invalid, "vitals.%s is %d: expected 0 or more, or -1", what, n)
		}
	}
	if math.IsNaN(v.Load) || math.IsInf(v.Load, 0) {
		return fault.New(fault.Invalid, "vitals.load is %v: expected a number", v.Load)
	}
	return first(checkPath("vitals.disk.path", v.Disk.Path), checkPath("vitals.temp.path", v.Temp.Path))
}
