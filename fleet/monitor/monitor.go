// Package monitor judges how machines feel: the six fleet.Monitors, their limits, and a day of history for small graphs.
//
//	name          value                          bad                                   unless said otherwise
//	disk          bytes free at the remote root  below 1 GiB, and 20 % of all;         offline
//	                                             a warning below twice that
//	temp          bytes free for temporary files the same                              offline
//	swap          bytes of swap free             below 256 MiB and 20 % of all         warn
//	clock         milliseconds ahead of us       off by more than 5000                 warn
//	response      milliseconds, mean of five     five time-outs in a row, or a limit   disconnect
//	architecture  none                           never                                 ignore
//
// A value turns bad at once and good again when it was better than the limit by a tenth for a minute, so that a node at a
// limit does not flap. All is pure: what a monitor remembers stands in its Verdict. Only a History has a state of its own.
// A further monitor is a fleet.Monitor given to NewSet.
package monitor

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Names of the monitors.
const (
	Disk         = "disk"
	Temp         = "temp"
	Swap         = "swap"
	Clock        = "clock"
	Response     = "response"
	Architecture = "architecture"
)

// CauseMonitor is the kind of the offline causes given here.
const CauseMonitor = "monitor"

// errUnmeasured is a sample without the quantity.
var errUnmeasured = errors.New("the agent did not measure it")

// All returns the six monitors.
func All() []fleet.Monitor {
	return []fleet.Monitor{disk(), temp(), swap{}, clock{}, response{}, architecture{}}
}

// Set is the monitors of a farm with their limits. It does not change and may be used concurrently.
type Set struct {
	monitors []fleet.Monitor
	farm     map[string]fleet.Limit
}

// NewSet takes the limits of the farm, by the monitors' names; what is missing has the monitor's defaults. more are monitors
// beside the six. An error is fault.Invalid and names the limit.
func NewSet(farm map[string]fleet.Limit, more ...fleet.Monitor) (*Set, error) {
	s := &Set{monitors: append(All(), more...), farm: maps.Clone(farm)}
	return s, s.Check(farm)
}

// Judgement is what a Set makes of a sample.
type Judgement = fleet.Judgement

// Judge reads one sample. before is the Verdicts of the node's last Judgement, nil at first; node is what differs on it
// from the limits of the farm, field by field.
func (s *Set) Judge(before map[string]fleet.Verdict, sample fleet.Sample, node map[string]fleet.Limit) Judgement {
	j := Judgement{Verdicts: make(map[string]fleet.Verdict, len(s.monitors))}
	for _, m := range s.monitors {
		name := m.Name()
		last, known := before[name]
		v, err := m.Judge(last, sample, merge(s.farm[name], node[name]))
		if err != nil {
			if !known {
				continue
			}
			v = last
		}
		j.Verdicts[name] = v
		if rank(v.Action) > rank(j.Action) {
			j.Action, j.By = v.Action, name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sample.Readings)) {
		v := own(name, before[name], sample, sample.Readings[name])
		j.Verdicts[name] = v
		if rank(v.Action) > rank(j.Action) {
			j.Action, j.By = v.Action, name
		}
	}
	if j.Action == fleet.TakeOff || j.Action == fleet.Disconnect {
		v := j.Verdicts[j.By]
		j.Cause = &fleet.OfflineCause{Kind: CauseMonitor, Text: v.Cause, By: j.By, When: v.Since}
	}
	return j
}

// merge puts a node's limit over the farm's. A node's threshold for bad brings its own for warnings.
func merge(farm, node fleet.Limit) fleet.Limit {
	if node.Bad != 0 {
		farm.Bad, farm.Warn = node.Bad, 0
	}
	return fleet.Limit{
		Action: cmp.Or(node.Action, farm.Action),
		Bad:    farm.Bad,
		Warn:   cmp.Or(node.Warn, farm.Warn),
	}
}

func rank(a fleet.Action) int {
	return slices.Index([]fleet.Action{"", fleet.Ignore, fleet.Warn, fleet.TakeOff, fleet.Disconnect}, a)
}

// Check says what is wrong with limits, of the farm or of a node. fault.Invalid.
func (s *Set) Check(limits map[string]fleet.Limit) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if !slices.ContainsFunc(s.monitors, func(m fleet.Monitor) bool { return m.Name() == name }) {
			return fault.New(fault.Invalid, "monitors: %q: no such monitor: expected %s", name, s.names())
		}
		l := limits[name]
		if l.Action != "" && rank(l.Action) < 0 {
			return fault.New(fault.Invalid, "monitors.%s.action: %q: expected ignore, warn, offline or disconnect", name, l.Action)
		}
		if l.Bad < 0 || l.Warn < 0 {
			return fault.New(fault.Invalid, "monitors.%s: %d: expected limits that are not negative", name, min(l.Bad, l.Warn))
		}
		above := name == Clock || name == Response // what is above is bad
		if l.Bad > 0 && l.Warn > 0 && l.Bad != l.Warn && above == (l.Warn > l.Bad) {
			return fault.New(fault.Invalid, "monitors.%s.warn: %s would never be seen beside bad: %s", name, show(name, l.Warn), show(name, l.Bad))
		}
	}
	return nil
}

func (s *Set) names() (text string) {
	for i, m := range s.monitors {
		if i > 0 {
			text += ", "
		}
		text += m.Name()
	}
	return text
}
