package web

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/fleet/monitor"
)

// A node's form holds its whole configuration as values of named inputs: launcher.KIND.KEY, retention.KIND.KEY,
// monitor.NAME.action, bad and warn, and pairs whose names and values come in turn (env.name, env.value). The settings of kinds
// that are not chosen are sent along and left aside.

// nodeValues writes a node's configuration into a form.
func nodeValues(n fleet.Node) url.Values {
	v := url.Values{"name": {string(n.Name)}, "description": {n.Description}, "executors": {strconv.Itoa(n.Executors)}, "labels": {label.FormatLabels(n.Labels)},
		"mode": {string(n.Mode)}, "remoteRoot": {n.RemoteRoot}, "launcher": {n.Launcher.Kind}, "retention": {n.Retention.Kind}}
	if n.Mode == "" {
		v.Set("mode", string(fleet.Normal))
	}
	if n.Retention.Kind == "" {
		v.Set("retention", "always")
	}
	setKind(v, "launcher", launcherKinds(), n.Launcher.Kind, n.Launcher.Config)
	setKind(v, "retention", retentionKinds(), v.Get("retention"), n.Retention.Config)
	for name, l := range n.Monitors {
		v.Set("monitor."+name+".action", string(l.Action))
		v.Set("monitor."+name+".bad", limitText(name, l.Bad))
		v.Set("monitor."+name+".warn", limitText(name, l.Warn))
	}
	setPairs(v, "env", n.Env)
	setPairs(v, "tool", n.Tools)
	if x := n.Setup; x != nil {
		v.Set("setup.files", x.Files)
		v.Set("setup.prepare", x.Prepare)
		v.Set("setup.command", x.Command)
		if x.Timeout != 0 {
			v.Set("setup.timeout", x.Timeout.String())
		}
	}
	return v
}

// setKind writes the settings of the chosen kind, those that it does not list as pairs.
func setKind(v url.Values, group string, all []kind, name string, config map[string]string) {
	k, _ := kindOf(all, name)
	rest := maps.Clone(config)
	for _, s := range k.Settings {
		for _, key := range append([]string{s.Key}, s.Also...) {
			if value, ok := rest[key]; ok {
				delete(rest, key)
				v.Set(group+"."+name+"."+s.Key, value)
			}
		}
	}
	setPairs(v, group+"."+name, rest)
}

func setPairs(v url.Values, group string, m map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v.Add(group+".name", name)
		v.Add(group+".value", m[name])
	}
}

// limitText writes a limit so that it reads back as the same number. Zero is none.
func limitText(name string, n int64) string {
	switch {
	case n == 0:
		return ""
	case name == monitor.Clock || name == monitor.Response:
		return (time.Duration(n) * time.Millisecond).String()
	}
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if size := int64(1) << (10 * (4 - i)); n%size == 0 {
			return fmt.Sprintf("%d %s", n/size, unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

// problem is something wrong in a form. Field is the name of an input; "" is the form as a whole.
type problem struct{ Field, Label, Text string }

// problems collects what is wrong, one thing for each field.
type problems []problem

func (ps *problems) add(field, label, format string, args ...any) {
	if ps.Of(field) == "" {
		*ps = append(*ps, problem{field, label, fmt.Sprintf(format, args...)})
	}
}

// join adds to what is wrong with a field.
func (ps *problems) join(field, label, text string) {
	for i := range *ps {
		if p := &(*ps)[i]; p.Field == field {
			p.Text += "; " + text
			return
		}
	}
	ps.add(field, label, "%s", text)
}

// Of is what is wrong with a field.
func (ps problems) Of(field string) string {
	for _, p := range ps {
		if p.Field == field {
			return p.Text
		}
	}
	return ""
}

// readNode puts a form's values on a node. Groups that the form does not have stay as they are.
func readNode(v url.Values, n fleet.Node) (fleet.Node, problems) {
	var ps problems
	n.Description, n.RemoteRoot, n.Mode = strings.TrimSpace(v.Get("description")), strings.TrimSpace(v.Get("remoteRoot")), fleet.Mode(v.Get("mode"))
	if n.Mode != fleet.Normal && n.Mode != fleet.Exclusive && n.Mode != "" {
		ps.add("mode", "Mode", "%q: expected normal or exclusive", n.Mode)
	}
	var err error
	if n.Executors, err = strconv.Atoi(strings.TrimSpace(v.Get("executors"))); err != nil || n.Executors < 0 || n.Executors > 10_000 {
		ps.add("executors", "Executors", "%q: expected a number from 0 to 10000", v.Get("executors"))
	}
	if n.Labels, err = label.ParseLabels(v.Get("labels")); err != nil {
		ps.add("labels", "Labels", "%v", err)
	}
	if kind := v.Get("launcher"); kind != "" {
		n.Launcher = fleet.LauncherSpec{Kind: kind, Config: readKind(v, "launcher", launcherKinds(), kind, &ps)}
	}
	if kind := v.Get("retention"); kind != "" {
		n.Retention = fleet.RetentionSpec{Kind: kind, Config: readKind(v, "retention", retentionKinds(), kind, &ps)}
		if kind == "always" {
			n.Retention = fleet.RetentionSpec{}
		}
	}
	n.Monitors = readLimits(v, n.Monitors, &ps)
	if v.Has("setup.command") {
		n.Setup = readSetup(v, &ps)
	}
	if v.Has("env.name") {
		n.Env = readPairs(v, "env", "Environment", &ps)
	}
	if v.Has("tool.name") {
		n.Tools = readPairs(v, "tool", "Tools", &ps)
	}
	return n, ps
}

func readKind(v url.Values, group string, all []kind, name string, ps *problems) map[string]string {
	k, _ := kindOf(all, name)
	config := readPairs(v, group+"."+name, "Further settings", ps)
	for _, s := range k.Settings {
		if value := text(v.Get(group + "." + name + "." + s.Key)); value != "" {
			if config == nil {
				config = map[string]string{}
			}
			config[s.Key] = value
		}
	}
	return config
}

// text is an input's value without what browsers make of lines.
func text(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

func readPairs(v url.Values, group, label string, ps *problems) map[string]string {
	var m map[string]string
	names, values := v[group+".name"], v[group+".value"]
	for i, name := range names {
		value := ""
		if i < len(values) {
			value = strings.ReplaceAll(values[i], "\r\n", "\n")
		}
		name = strings.TrimSpace(name)
		_, twice := m[name]
		switch {
		case name == "" && value == "":
			continue
		case name == "":
			ps.add(group+".name", label, "the value %q has no name", value)
		case strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			ps.add(group+".name", label, "%q: expected a name without an equals sign, and no NUL", name)
		case twice:
			ps.add(group+".name", label, "%q is there twice", name)
		}
		if m == nil {
			m = map[string]string{}
		}
		m[name] = value
	}
	return m
}

// readSetup is what is done before a node's first use; nil is nothing.
func readSetup(v url.Values, ps *problems) *fleet.Setup {
	x := fleet.Setup{Files: text(v.Get("setup.files")), Prepare: text(v.Get("setup.prepare")), Command: text(v.Get("setup.command"))}
	if s := text(v.Get("setup.timeout")); s != "" {
		var err error
		if x.Timeout, err = time.ParseDuration(s); err != nil || x.Timeout <= 0 {
			ps.add("setup.timeout", "Time for all of it", "%q: expected a time such as 90s or 30m", s)
		}
	}
	if x == (fleet.Setup{}) {
		return nil
	}
	return &x
}

func readLimits(v url.Values, before map[string]fleet.Limit, ps *problems) map[string]fleet.Limit {
	all := maps.Clone(before)
	for _, m := range limitsAsked() {
		if !v.Has("monitor." + m.Name + ".action") {
			continue
		}
		var l fleet.Limit
		for _, key := range []string{"action", "bad", "warn"} {
			field := "monitor." + m.Name + "." + key
			value := strings.TrimSpace(v.Get(field))
			if value == "" {
				continue
			}
			one, err := monitor.ParseLimit(m.Name, map[string]string{key: value})
			if err != nil {
				ps.add(field, m.Title, "%s", strings.TrimPrefix(err.Error(), "monitors."+m.Name+"."+key+": "))
			}
			switch key {
			case "action":
				l.Action = one.Action
			case "bad":
				l.Bad = one.Bad
			default:
				l.Warn = one.Warn
			}
		}
		if all == nil {
			all = map[string]fleet.Limit{}
		}
		if all[m.Name] = l; l == (fleet.Limit{}) {
			delete(all, m.Name)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
