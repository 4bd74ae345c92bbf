package rest

import (
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// nodeProbes is what the API says of a node's own monitors. Their scripts are an admin's to see.
func nodeProbes(probes map[string]fleet.Probe) map[string]api.NodeProbe {
	if len(probes) == 0 {
		return nil
	}
	out := map[string]api.NodeProbe{}
	for name, p := range probes {
		a := api.NodeProbe{Command: p.Command, Value: p.Value, Below: p.Below, Action: string(p.Limit.Action), Bad: p.Limit.Bad, Warn: p.Limit.Warn}
		if p.Interval > 0 {
			a.Interval = p.Interval.String()
		}
		out[name] = a
	}
	return out
}

// changeProbes sets a node's own monitors; nil changes none.
func changeProbes(n *fleet.Node, u *map[string]api.NodeProbe) error {
	if u == nil {
		return nil
	}
	n.Probes = map[string]fleet.Probe{}
	for name, a := range *u {
		p := fleet.Probe{Command: a.Command, Value: a.Value, Below: a.Below, Limit: fleet.Limit{Action: fleet.Action(a.Action), Bad: a.Bad, Warn: a.Warn}}
		if a.Interval != "" {
			d, err := time.ParseDuration(a.Interval)
			if err != nil {
				return fault.New(fault.Invalid, "probes.%s.interval: %q: expected a time, such as 30s", name, a.Interval)
			}
			p.Interval = d
		}
		n.Probes[name] = p
	}
	return nil
}
