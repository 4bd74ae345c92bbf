package command

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// settings are the node's LauncherSpec.Config.
type settings struct {
	command string        // for the shell
	env     []string      // NAME=value
	timeout time.Duration // until the agent says something; 0 is a minute
	text    bool          // the channel is not 8-bit clean
}

const defaultTimeout = time.Minute

func parse(n fleet.Node) (settings, error) {
	s := settings{timeout: defaultTimeout}
	if err := fleet.CheckName(n.Name); err != nil {
		return s, fault.With(fault.Invalid, err)
	}
	for _, key := range slices.Sorted(maps.Keys(n.Launcher.Config)) {
		if err := s.set(key, n.Launcher.Config[key]); err != nil {
			return s, fault.New(fault.Invalid, "node %s: launcher.config.%s: %w", n.Name, key, err)
		}
	}
	if s.command == "" {
		return s, fault.New(fault.Invalid, "node %s: launcher.config.command is missing: expected a command line such as: ssh %s outwork-agent --stdio", n.Name, n.Name)
	}
	return s, nil
}

func (s *settings) set(key, value string) (err error) {
	switch key {
	case "command":
		s.command = strings.TrimSpace(value)
		if strings.ContainsRune(value, 0) {
			return fault.New(fault.Invalid, "expected no NUL byte")
		}
	case "env":
		s.env, err = parseEnv(value)
	case "timeout":
		if s.timeout, err = time.ParseDuration(value); err != nil || s.timeout <= 0 {
			return fault.New(fault.Invalid, "%q: expected a time such as 90s or 5m", value)
		}
	case "text":
		if s.text, err = strconv.ParseBool(value); err != nil {
			return fault.New(fault.Invalid, "%q: expected true or false", value)
		}
	default:
		return fault.New(fault.Invalid, "there is no such setting: expected command, env, timeout or text")
	}
	return err
}

// parseEnv reads one NAME=value a line.
func parseEnv(value string) ([]string, error) {
	var env []string
	for line := range strings.Lines(value) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsRune(line, 0) {
			return nil, fault.New(fault.Invalid, "%q: expected lines of NAME=value", line)
		}
		env = append(env, line)
	}
	return env, nil
}

// environ is the command's environment; the later of two settings of a name counts. The controller's own settings, tokens among
// them, are not in it.
func (l *Launcher) environ(n fleet.Node, s settings) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OUTWORK_") {
			env = append(env, kv)
		}
	}
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	add("NODE_NAME", string(n.Name))
	add("WORKSPACE", n.RemoteRoot)
	add("OUTWORK_ROOT", n.RemoteRoot)
	add("OUTWORK_URL", l.cfg.URL)
	add("JENKINS_URL", l.cfg.URL)
	add("HUDSON_URL", l.cfg.URL)
	add("OUTWORK_AGENT_URL", l.cfg.Download)
	return append(append(env, l.cfg.Env...), s.env...)
}
