package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet/label"
)

// nodeFlags are the flags of everything that a node can be told. What was not given stays out of the request.
type nodeFlags struct {
	flags                                        *pflag.FlagSet
	description, mode, root, launcher, retention string
	labels                                       labelList
	setup                                        setupFlags
	probes                                       probeFlags
	executors                                    int
	env, tools, launch, retain, monitors         []string
}

// labelList are the labels of a flag, written as an agent takes them too.
type labelList []string

func (l *labelList) String() string { return label.FormatLabels(*l) }

func (l *labelList) Type() string { return "labels" }

func (l *labelList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		some, err := label.ParseLabels(part)
		if err != nil {
			return err
		}
		*l = append(*l, some...)
	}
	if *l == nil {
		*l = labelList{} // given, and none
	}
	return nil
}

func (f *nodeFlags) add(fs *pflag.FlagSet) {
	f.flags = fs
	f.setup.add(fs)
	f.probes.add(fs)
	fs.StringVar(&f.description, "description", "", "what it is")
	fs.IntVar(&f.executors, "executors", 0, "how much it does at once")
	fs.Var(&f.labels, "labels", "its `labels`, separated by spaces or commas; one with a space in it stands in double quotes")
	fs.StringVar(&f.mode, "mode", "", "normal, or exclusive: only work whose label expression it matches")
	fs.StringVar(&f.root, "remote-root", "", "`folder` of the agent on the machine")
	fs.StringArrayVar(&f.env, "env", nil, "`NAME=VALUE` in the environment of its steps; may be repeated; an empty one takes all away")
	fs.StringArrayVar(&f.tools, "tool", nil, "`NAME=FOLDER` where a tool is on the machine; may be repeated; an empty one takes all away")
	fs.StringVar(&f.launcher, "launcher", "", "`kind`: inbound, ssh, winrm or command")
	fs.StringArrayVar(&f.launch, "launcher-config", nil, "`KEY=VALUE` of the launcher; may be repeated; replaces all settings that it has")
	fs.StringVar(&f.retention, "retention", "", "`kind`: always, demand, schedule, cloud or once")
	fs.StringArrayVar(&f.retain, "retention-config", nil, "`KEY=VALUE` of the retention, such as idleDelay=10m; may be repeated")
	fs.StringArrayVar(&f.monitors, "monitor", nil, "`NAME=SETTINGS` that differ from the farm's, such as disk=bad:5GiB,action:warn; may be repeated; an empty one takes all away")
}

func (f *nodeFlags) given(name string) bool { return f.flags.Changed(name) }

// update is what was given.
func (f *nodeFlags) update() (u api.NodeUpdate, err error) {
	texts := map[string]func(){
		"description": func() { u.Description = &f.description }, "mode": func() { u.Mode = &f.mode }, "remote-root": func() { u.RemoteRoot = &f.root },
		"launcher": func() { u.Launcher = &f.launcher }, "labels": func() { u.Labels = (*[]string)(&f.labels) }, "executors": func() { u.Executors = &f.executors },
		"env": func() { u.Env, err = pairs("env", f.env, err) }, "tool": func() { u.Tools, err = pairs("tool", f.tools, err) },
		"launcher-config": func() { u.LauncherConfig, err = pairs("launcher-config", f.launch, err) },
		"monitor":         func() { u.Monitors, err = limits(f.monitors, err) },
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if f.given(name) {
			texts[name]()
		}
	}
	if f.given("retention") || f.given("retention-config") {
		config, problem := pairs("retention-config", f.retain, err)
		u.Retention, err = &api.NodeRetention{Kind: f.retention, Config: *config}, problem
	}
	u.Setup = f.setup.given(f.flags)
	if err == nil {
		u.Probes, err = f.probes.given(f.flags)
	}
	return u, err
}

// create is what was given, for a new node.
func (f *nodeFlags) create(name string) (api.NodeCreate, error) {
	u, err := f.update()
	return api.NodeCreate{Name: name, Description: u.Description, Executors: u.Executors, Labels: u.Labels, Mode: u.Mode, RemoteRoot: u.RemoteRoot, Env: u.Env, Tools: u.Tools,
		Launcher: u.Launcher, LauncherConfig: u.LauncherConfig, Retention: u.Retention, Monitors: u.Monitors, Setup: u.Setup, Probes: u.Probes}, err
}

// pairs reads NAME=VALUE. An empty one stands for none at all. before is an earlier problem, which stays.
func pairs(flag string, given []string, before error) (*map[string]string, error) {
	m := map[string]string{}
	for _, kv := range given {
		if kv == "" {
			continue
		}
		k, v, ok := strings.Cut(kv, "=")
		if (!ok || k == "") && before == nil {
			before = errUsage{fmt.Errorf("--%s %q: expected NAME=VALUE", flag, kv)}
		}
		m[k] = v
	}
	return &m, before
}

// limits reads monitor limits: disk=bad:5GiB,warn:10GiB,action:offline.
func limits(given []string, before error) (*map[string]api.NodeLimit, error) {
	m := map[string]api.NodeLimit{}
	for _, text := range given {
		if text == "" {
			continue
		}
		name, settings, ok := strings.Cut(text, "=")
		if !ok && before == nil {
			before = errUsage{fmt.Errorf("--monitor %q: expected NAME=SETTINGS, such as disk=bad:5GiB,action:warn", text)}
		}
		var l api.NodeLimit
		for kv := range strings.SplitSeq(settings, ",") {
			key, value, _ := strings.Cut(kv, ":")
			var err error
			switch key {
			case "action":
				l.Action = value
			case "bad":
				l.Bad, err = amount(value)
			case "warn":
				l.Warn, err = amount(value)
			default:
				err = fmt.Errorf("%q: expected action, bad or warn", key)
			}
			if err != nil && before == nil {
				before = errUsage{fmt.Errorf("--monitor %s: %w", text, err)}
			}
		}
		m[name] = l
	}
	return &m, before
}

// amount reads 5GiB, 300ms, 5s, or a plain number of bytes or milliseconds.
func amount(text string) (int64, error) {
	for _, unit := range []struct {
		name string
		size float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"ms", 1}, {"s", 1e3}, {"", 1}} {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && x >= 0 && x*unit.size < 1<<60 {
			return int64(x * unit.size), nil
		}
		break
	}
	return 0, fmt.Errorf("%q: expected a size such as 5GiB, or a time such as 500ms", text)
}

func (e *env) nodeUpdateCmd() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use: "update NAME", Short: "Change a node", Example: "  outwork node update a --labels linux,docker --executors 4", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			u, err := f.update()
			if err != nil {
				return err
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			n, err := cl.UpdateNode(c.Context(), args[0], u)
			if err != nil {
				return err
			}
			return e.show(n, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Changed node %s.\n", n.Name) })
		},
	}
	f.add(c.Flags())
	return c
}

func (e *env) nodeCopyCmd() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use: "copy FROM NAME", Short: "Make a node like another; flags say what is different", Example: "  outwork node copy build1 build2 --launcher-config host=build2.example.org",
		Long: "Make a node like another; flags say what is different. --launcher-config adds to the settings that are copied.",
		Args: exactly(2, "the node to copy and the new name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			n, err := f.create(args[1])
			if err != nil {
				return err
			}
			n.CopyFrom = args[0]
			cl, err := e.client()
			if err != nil {
				return err
			}
			if n.LauncherConfig != nil && n.Launcher == nil {
				from, err := cl.Node(c.Context(), args[0])
				if err != nil {
					return err
				}
				merged := map[string]string{}
				maps.Copy(merged, from.LauncherConfig)
				maps.Copy(merged, *n.LauncherConfig)
				n.LauncherConfig = &merged
			}
			made, err := cl.CreateNode(c.Context(), n)
			if err != nil {
				return err
			}
			return e.show(made, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Made node %s like %s.\n", made.Name, args[0]) })
		},
	}
	f.add(c.Flags())
	return c
}
