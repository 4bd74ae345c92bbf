package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/outwork-build/outwork/api"
)

// probeFlags are the flags of a node's own monitors.
type probeFlags struct{ commands, settings []string }

func (p *probeFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&p.commands, "probe", nil, "`NAME=SCRIPT` run on the machine each minute, which takes the node off while it fails; may be repeated; those that are given stand for all, an empty one takes all away")
	fs.StringArrayVar(&p.settings, "probe-settings", nil, "`NAME=SETTINGS` of a probe, such as gpu=interval:30s,bad:90,warn:80,action:warn,value:temp=([0-9.]+); value, a regular expression, is the last; below:true has values below bad be bad")
}

// given are the probes, if any flag of them was given.
func (p *probeFlags) given(fs *pflag.FlagSet) (*map[string]api.NodeProbe, error) {
	if !fs.Changed("probe") {
		if fs.Changed("probe-settings") {
			return nil, errUsage{fmt.Errorf("--probe-settings: expected --probe too, which has the script")}
		}
		return nil, nil
	}
	scripts, err := pairs("probe", p.commands, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]api.NodeProbe{}
	for name, script := range *scripts {
		out[name] = api.NodeProbe{Command: script}
	}
	for _, text := range p.settings {
		name, settings, _ := strings.Cut(text, "=")
		one, ok := out[name]
		if !ok {
			return nil, errUsage{fmt.Errorf("--probe-settings %q: there is no --probe %s=…", text, name)}
		}
		if err := probeSettings(&one, settings); err != nil {
			return nil, errUsage{fmt.Errorf("--probe-settings %q: %w", text, err)}
		}
		out[name] = one
	}
	return &out, nil
}

func probeSettings(p *api.NodeProbe, settings string) (err error) {
	for settings != "" && err == nil {
		var kv string
		if rest, ok := strings.CutPrefix(settings, "value:"); ok {
			p.Value = rest
			return nil
		}
		kv, settings, _ = strings.Cut(settings, ",")
		key, value, _ := strings.Cut(kv, ":")
		switch key {
		case "interval":
			p.Interval = value
		case "action":
			p.Action = value
		case "bad":
			p.Bad, err = strconv.ParseInt(value, 10, 64)
		case "warn":
			p.Warn, err = strconv.ParseInt(value, 10, 64)
		case "below":
			p.Below, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("%q: expected interval, bad, warn, action, below or value", key)
		}
	}
	return err
}
