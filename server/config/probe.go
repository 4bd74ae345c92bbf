package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// probe reads a monitor of a node's own: `{exec: docker info, interval: 1m, value: "([0-9]+)", bad: 90, action: warn}`.
func probe(name string, settings map[string]string) (p fleet.Probe, err error) {
	number := func(text string) (n int64) {
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = fmt.Errorf("%q: expected a whole number, in the value's unit", text)
		}
		return n
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		text := settings[key]
		switch key {
		case "exec":
			p.Command = text
		case "interval":
			if p.Interval, err = time.ParseDuration(text); err != nil {
				err = fmt.Errorf("%q: expected a time, such as 30s", text)
			}
		case "ok":
			if text != "exit0" {
				err = fmt.Errorf("%q: expected exit0, which is always asked for", text)
			}
		case "value":
			p.Value = text
		case "below":
			if p.Below, err = strconv.ParseBool(text); err != nil {
				err = fmt.Errorf("%q: expected true or false", text)
			}
		case "action":
			p.Limit.Action = fleet.Action(text)
		case "bad":
			p.Limit.Bad = number(text)
		case "warn":
			p.Limit.Warn = number(text)
		default:
			err = fmt.Errorf("no such setting: expected exec, interval, value, below, bad, warn or action")
		}
		if err != nil {
			return p, fmt.Errorf("monitors.%s.%s: %w", name, key, err)
		}
	}
	return p, fleet.CheckProbe(name, p)
}

// ofMonitors writes a node's limits, and its own monitors among them.
func ofMonitors(n fleet.Node) tree {
	t := ofLimits(n.Monitors)
	for _, name := range slices.Sorted(maps.Keys(n.Probes)) {
		p, x := n.Probes[name], tree{}
		x.put("exec", p.Command)
		if p.Interval > 0 {
			x.put("interval", p.Interval.String())
		}
		x.put("value", p.Value)
		x.put("below", p.Below)
		x.put("action", string(p.Limit.Action))
		x.put("bad", int(p.Limit.Bad))
		x.put("warn", int(p.Limit.Warn))
		t = append(t, entry{name, x})
	}
	return t
}
