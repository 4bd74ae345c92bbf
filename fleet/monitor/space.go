package monitor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
)

const (
	// hung is how long a file system may take to say how full it is.
	hung = time.Minute
	// soon is how far ahead a forecast is a warning.
	soon = 30 * time.Minute
)

// space watches a file system: disk and temp.
type space struct {
	name string
	of   func(*agent.Vitals) agent.Space
}

func disk() space { return space{Disk, func(v *agent.Vitals) agent.Space { return v.Disk }} }
func temp() space { return space{Temp, func(v *agent.Vitals) agent.Space { return v.Temp }} }

func (m space) Name() string { return m.name }

func (m space) Judge(before fleet.Verdict, s fleet.Sample, limit fleet.Limit) (fleet.Verdict, error) {
	if unmeasured(s) {
		return before, errUnmeasured
	}
	limit.Action = cmp.Or(limit.Action, fleet.TakeOff)
	sp := m.of(&s.Vitals)
	if sp.Age > hung {
		return m.hangs(before, s, sp, limit), nil
	}
	if sp.Free < 0 || sp.Total <= 0 {
		return before, errUnmeasured
	}
	limit.Bad = cmp.Or(limit.Bad, min(1<<30, sp.Total/5)) // a small file system is not always full
	limit.Warn = cmp.Or(limit.Warn, 2*limit.Bad)
	v := fleet.Verdict{Value: float64(sp.Free), Text: fmt.Sprintf("%s of %s free on %s", size(sp.Free), size(sp.Total), sp.Path)}
	f := forecastOf(before.State)
	f.add(s.At, v.Value)
	if left, ok := f.reaches(float64(limit.Bad)); ok {
		v.Full = s.At.Add(left).Truncate(time.Second)
		v.Text += fmt.Sprintf(", below %s in %s", size(limit.Bad), span(left))
	}
	plain := below(v.Value, limit)
	since := settle(&v, before, s.At, func(factor float64) fleet.Level {
		if l := plain(factor); l != fleet.Good || v.Full.IsZero() || v.Full.Sub(s.At) > soon {
			return l
		}
		return fleet.Warning
	})
	v.State = f.state(since)
	follow(&v, limit.Action, fmt.Sprintf("Disk space is below threshold of %s. Only %s out of %s left on %s.", size(limit.Bad), size(sp.Free), size(sp.Total), sp.Path))
	return v, nil
}

// hangs judges a file system that does not answer: work that touches it would hang as well.
func (m space) hangs(before fleet.Verdict, s fleet.Sample, sp agent.Space, limit fleet.Limit) fleet.Verdict {
	v := fleet.Verdict{Value: before.Value, Text: fmt.Sprintf("the file system of %s has not answered for %s", sp.Path, span(sp.Age))}
	settle(&v, before, s.At, func(float64) fleet.Level { return fleet.Bad })
	follow(&v, limit.Action, fmt.Sprintf("The file system of %s has not answered for %s.", sp.Path, span(sp.Age)))
	return v
}

// swap watches free swap space. It is bad when little is left, of itself and of all there is.
type swap struct{}

func (swap) Name() string { return Swap }

func (swap) Judge(before fleet.Verdict, s fleet.Sample, limit fleet.Limit) (fleet.Verdict, error) {
	free, all := s.Vitals.Swap, s.Vitals.SwapAll
	if unmeasured(s) || free < 0 || all < 0 {
		return before, errUnmeasured
	}
	limit.Action = cmp.Or(limit.Action, fleet.Warn)
	limit.Bad = min(cmp.Or(limit.Bad, 256<<20), all/5)
	limit.Warn = min(limit.Warn, all/5)
	v := fleet.Verdict{Value: float64(free), Text: "no swap"}
	if all > 0 {
		v.Text = fmt.Sprintf("%s of %s swap free", size(free), size(all))
	}
	if s.Vitals.Memory >= 0 && s.Vitals.MemoryAll > 0 {
		v.Text += fmt.Sprintf(", %s of %s memory available", size(s.Vitals.Memory), size(s.Vitals.MemoryAll))
	}
	v.State = []float64{settle(&v, before, s.At, below(v.Value, limit))}
	follow(&v, limit.Action, fmt.Sprintf("Swap space is below threshold of %s. Only %s out of %s left.", size(limit.Bad), size(free), size(all)))
	return v, nil
}
