package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
)

// Import reads the nodes of a file of Jenkins' Configuration as Code plugin. left names, with line and column, everything that it did
// not take. An error is fault.Invalid: the file is no YAML, or what was taken is no configuration of ours.
func Import(file, text string) (d Document, left []string, err error) {
	r, body := open(file, text)
	if body == nil {
		r.bad(nil, "", "expected Jenkins' configuration: a mapping with the key jenkins")
		return d, nil, r.problems.err()
	}
	j := &jcasc{reader: r, doc: &d}
	j.file(body)
	for i, line := range r.problems.lines {
		if at := strings.Index(line, "${"); at >= 0 {
			r.bad(&token.Position{Line: i + 1, Column: at + 1}, "${…}", "Jenkins puts a value here: write it out, or for a secret where it is")
		}
	}
	if err := r.problems.err(); err != nil {
		for _, p := range r.problems.List {
			left = append(left, fmt.Sprintf("%s:%d:%d: %s: %s", file, p.Line, p.Column, p.Path, p.Message))
		}
	}
	if len(d.Nodes) > 0 || len(d.Farm.Monitors) > 0 {
		_, err = Parse("imported "+file, d.Write(), nil)
	}
	return d, left, err
}

// jcasc reads Jenkins' schema. What it does not know is a problem of its reader, and goes on.
type jcasc struct {
	*reader
	doc *Document
}

func (j *jcasc) drop(n ast.Node, path, format string, args ...any) {
	j.bad(where(n), path, "left out: "+format, args...)
}

// take reads the keys that are known; ignored ones need no word.
func (j *jcasc) take(n ast.Node, path string, ignored []string, fields ...field) {
	vs, _ := j.pairs(n, path)
next:
	for _, v := range vs {
		key := v.Key.GetToken().Value
		sub := join(path, key)
		for _, f := range fields {
			if f.key == key {
				f.read(v.Value, sub)
				continue next
			}
		}
		for _, i := range ignored {
			if i == key {
				continue next
			}
		}
		j.drop(v.Key, sub, "Outwork has no such setting here")
	}
}

func (j *jcasc) file(body ast.Node) {
	builtIn := fleet.Node{Name: fleet.BuiltIn, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "local"}}
	j.take(body, "", nil, field{"jenkins", func(n ast.Node, path string) {
		j.take(n, path, []string{"agentProtocols", "remotingSecurity", "slaveAgentPort", "crumbIssuer"},
			field{"numExecutors", j.number(&builtIn.Executors)},
			field{"labelString", j.words(&builtIn.Labels, strings.Fields)},
			field{"mode", j.mode(&builtIn.Mode)},
			field{"nodes", func(n ast.Node, path string) { j.list(n, path, j.item) }},
			field{"nodeMonitors", func(n ast.Node, path string) { j.list(n, path, j.monitor) }})
	}})
	if builtIn.Executors > 0 {
		j.doc.Nodes = append([]fleet.Node{builtIn}, j.doc.Nodes...)
	}
}

func (j *jcasc) mode(to *fleet.Mode) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, _ := j.scalar(n, path)
		switch strings.ToUpper(s) {
		case "NORMAL":
			*to = fleet.Normal
		case "EXCLUSIVE":
			*to = fleet.Exclusive
		default:
			j.drop(n, path, "%q: expected NORMAL or EXCLUSIVE", s)
		}
	}
}

func (j *jcasc) item(n ast.Node, path string) {
	j.take(n, path, nil, field{"permanent", j.permanent}, field{"dumb", j.permanent})
}

func (j *jcasc) permanent(n ast.Node, path string) {
	v := fleet.Node{Executors: 1, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
	var name string
	j.take(n, path, nil,
		field{"name", j.text(&name)},
		field{"nodeDescription", j.text(&v.Description)},
		field{"remoteFS", j.text(&v.RemoteRoot)},
		field{"numExecutors", j.number(&v.Executors)},
		field{"labelString", j.words(&v.Labels, strings.Fields)},
		field{"mode", j.mode(&v.Mode)},
		field{"retentionStrategy", func(n ast.Node, path string) { j.retention(&v, n, path) }},
		field{"launcher", func(n ast.Node, path string) { j.launcher(&v, n, path) }},
		field{"nodeProperties", func(n ast.Node, path string) {
			j.list(n, path, func(n ast.Node, path string) { j.property(&v, n, path) })
		}})
	v.Name = fleet.NodeName(name)
	if err := fleet.CheckName(v.Name); err != nil {
		j.drop(n, path, "the node: %v", err)
		return
	}
	j.doc.Nodes = append(j.doc.Nodes, v)
}

func (j *jcasc) retention(v *fleet.Node, n ast.Node, path string) {
	var spec fleet.RetentionSpec
	j.variant(&spec.Kind, &spec.Config)(n, path)
	switch spec.Kind {
	case "always":
	case "demand", "schedule":
		v.Retention = spec
	default:
		j.drop(n, path, "the retention strategy %q", spec.Kind)
	}
}

func (j *jcasc) launcher(v *fleet.Node, n ast.Node, path string) {
	if s, single := j.plain(n, path).(*ast.StringNode); single && (s.Value == "inbound" || s.Value == "jnlp") {
		return
	}
	j.take(n, path, nil,
		field{"inbound", j.inbound}, field{"jnlp", j.inbound},
		field{"ssh", func(n ast.Node, path string) { j.ssh(v, n, path) }},
		field{"sSHLauncher", func(n ast.Node, path string) { j.ssh(v, n, path) }},
		field{"command", func(n ast.Node, path string) {
			v.Launcher = fleet.LauncherSpec{Kind: "command", Config: map[string]string{}}
			j.take(n, path, nil, field{"command", j.setting(v, "command")})
			if strings.Contains(v.Launcher.Config["command"], ".jar") {
				j.bad(where(n), path, "the command starts Jenkins' agent: have it start outwork-agent --stdio")
			}
		}})
}

// inbound agents say themselves how they connect.
func (j *jcasc) inbound(n ast.Node, path string) {
	j.take(n, path, []string{"webSocket", "workDirSettings"})
}

func (j *jcasc) setting(v *fleet.Node, key string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if s, ok := j.scalar(n, path); ok && s != "" {
			v.Launcher.Config[key] = s
		}
	}
}

func (j *jcasc) ssh(v *fleet.Node, n ast.Node, path string) {
	v.Launcher = fleet.LauncherSpec{Kind: "ssh", Config: map[string]string{}}
	seconds := func(key string) func(ast.Node, string) {
		return func(n ast.Node, path string) {
			j.setting(v, key)(n, path)
			if s := v.Launcher.Config[key]; s != "" {
				v.Launcher.Config[key] = s + "s"
			}
		}
	}
	j.take(n, path, []string{"javaPath", "jvmOptions", "tcpNoDelay"}, // there is no Java, and Go's sockets have no delay
		field{"host", j.setting(v, "host")}, field{"port", j.setting(v, "port")},
		field{"prefixStartSlaveCmd", j.setting(v, "prefix")}, field{"suffixStartSlaveCmd", j.setting(v, "suffix")},
		field{"launchTimeoutSeconds", seconds("timeout")}, field{"retryWaitTime", seconds("retryWait")}, field{"maxNumRetries", j.setting(v, "retries")},
		field{"workDir", j.text(&v.RemoteRoot)},
		field{"credentialsId", func(n ast.Node, path string) {
			s, _ := j.scalar(n, path)
			j.drop(n, path, "the credential %q: set user, and key or password as file:/PATH or env:NAME", s)
		}},
		field{"sshHostKeyVerificationStrategy", func(n ast.Node, path string) {
			j.drop(n, path, "set hostKey, knownHosts or pinnedKey: see docs/launchers/ssh.md")
		}})
}

func (j *jcasc) property(v *fleet.Node, n ast.Node, path string) {
	pairs := func(to *map[string]string, list, key, value string) func(ast.Node, string) {
		return func(n ast.Node, path string) {
			j.take(n, path, nil, field{list, func(n ast.Node, path string) {
				j.list(n, path, func(n ast.Node, path string) {
					var k, x string
					j.take(n, path, nil, field{key, j.text(&k)}, field{value, j.text(&x)})
					if *to == nil {
						*to = map[string]string{}
					}
					(*to)[k] = x
				})
			}})
		}
	}
	j.take(n, path, nil,
		field{"envVars", pairs(&v.Env, "env", "key", "value")},
		field{"toolLocation", pairs(&v.Tools, "locations", "key", "home")},
		field{"diskSpaceMonitor", func(n ast.Node, path string) {
			set := func(name string, warn bool) func(ast.Node, string) {
				return func(n ast.Node, path string) { j.bytes(&v.Monitors, name, warn, n, path) }
			}
			j.take(n, path, nil, field{"freeDiskSpaceThreshold", set(monitor.Disk, false)}, field{"freeDiskSpaceWarningThreshold", set(monitor.Disk, true)},
				field{"freeTempSpaceThreshold", set(monitor.Temp, false)}, field{"freeTempSpaceWarningThreshold", set(monitor.Temp, true)})
		}})
}

func (j *jcasc) bytes(to *map[string]fleet.Limit, name string, warn bool, n ast.Node, path string) {
	s, _ := j.scalar(n, path)
	size, err := monitor.ParseBytes(s)
	if err != nil {
		j.drop(n, path, "%v", err)
		return
	}
	if *to == nil {
		*to = map[string]fleet.Limit{}
	}
	l := (*to)[name]
	if warn {
		l.Warn = size
	} else {
		l.Bad = size
	}
	(*to)[name] = l
}

// ours is a monitor's name in Outwork; "" when it has none.
func ours(jenkins string) string {
	switch jenkins {
	case "diskSpace":
		return monitor.Disk
	case "tmpSpace":
		return monitor.Temp
	case "swapSpace":
		return monitor.Swap
	case "clock":
		return monitor.Clock
	case "responseTime":
		return monitor.Response
	case "architecture":
		return monitor.Architecture
	}
	return ""
}

func (j *jcasc) monitor(n ast.Node, path string) {
	if s, single := j.plain(n, path).(*ast.StringNode); single {
		if ours(s.Value) == "" {
			j.drop(n, path, "there is no monitor %q", s.Value)
		}
		return
	}
	vs, _ := j.pairs(n, path)
	for _, v := range vs {
		name := ours(v.Key.GetToken().Value)
		if name == "" {
			j.drop(v.Key, path, "there is no monitor %q", v.Key.GetToken().Value)
			continue
		}
		ignored := false
		j.take(v.Value, path, nil, field{"ignored", j.flag(&ignored)},
			field{"freeSpaceThreshold", func(n ast.Node, path string) { j.bytes(&j.doc.Farm.Monitors, name, false, n, path) }},
			field{"freeSpaceWarningThreshold", func(n ast.Node, path string) { j.bytes(&j.doc.Farm.Monitors, name, true, n, path) }})
		if ignored {
			if j.doc.Farm.Monitors == nil {
				j.doc.Farm.Monitors = map[string]fleet.Limit{}
			}
			l := j.doc.Farm.Monitors[name]
			l.Action = fleet.Ignore
			j.doc.Farm.Monitors[name] = l
		}
	}
}
