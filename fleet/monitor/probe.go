package monitor

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/outwork-build/outwork/fleet"
)

// own judges a monitor of a node's own by its newest reading. Limits and what follows are those of its Probe; it turns good as the others do.
func own(name string, before fleet.Verdict, s fleet.Sample, r fleet.Reading) fleet.Verdict {
	limit := r.Probe.Limit
	limit.Action = cmp.Or(limit.Action, fleet.TakeOff)
	v := fleet.Verdict{Value: r.Value, Text: cmp.Or(r.Text, "ok")}
	g := above(r.Value, limit)
	if r.Probe.Below {
		g = below(r.Value, limit)
	}
	why := "Monitor " + name + ": " + cmp.Or(r.Text, number(r.Value))
	switch {
	case r.Failed != "":
		g = func(float64) fleet.Level { return fleet.Bad }
		v.Text = r.Failed
		if r.Text != "" {
			v.Text += ": " + r.Text
		}
		why = "Monitor " + name + " failed: " + v.Text
	case r.Probe.Value != "":
		v.Text = number(r.Value)
		why = fmt.Sprintf("Monitor %s: %s is %s the limit of %d", name, v.Text, map[bool]string{true: "below", false: "above"}[r.Probe.Below], limit.Bad)
	default:
		g = func(float64) fleet.Level { return fleet.Good }
	}
	v.State = []float64{settle(&v, before, s.At, g)}
	follow(&v, limit.Action, why)
	return v
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
