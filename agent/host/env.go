package host

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent/host/shim"
)

// Inherited chooses what steps see of the agent's own environment. Everything passes (PATH, LANG, proxies, JAVA_HOME …)
// but Outwork's own variables, what a service manager, a login or a launcher meant for the agent alone, and names
// that look like secrets, unless pass lists them.
func Inherited(environ, pass []string) []string {
	var kept []string
	for _, v := range environ {
		name, _, ok := strings.Cut(v, "=")
		if ok && name != "" && (slices.Contains(pass, name) || !private(name)) {
			kept = append(kept, v)
		}
	}
	return kept
}

func private(name string) bool {
	name = strings.ToUpper(name)
	for _, prefix := range []string{"OUTWORK_", "LISTEN_", "WATCHDOG_", "SYSTEMD_", "MEMORY_PRESSURE_", "SSH_", "SUDO_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, word := range []string{"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "PRIVATE_KEY", "ACCESS_KEY", "API_KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	switch name {
	case "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "CREDENTIALS_DIRECTORY",
		"DBUS_SESSION_BUS_ADDRESS", "GOCOVERDIR", "GOTRACEBACK", "_", "OLDPWD", "SHLVL":
		return true
	}
	return false
}

// shown bounds what Describe tells of the environment, so that an odd variable never keeps a machine away.
const shown = 128 << 10

// variables is what all steps of this machine find, but for what differs from lease to lease. Scripts read it as env.PATH.
func (h *Host) variables() map[string]string {
	env := map[string]string{}
	for _, v := range Inherited(h.cfg.Environ, h.cfg.PassEnv) {
		name, value, _ := strings.Cut(v, "=")
		env[foldName(name)] = value
	}
	for _, name := range []string{"HOME", "TMPDIR", "PWD", "USERPROFILE", "TEMP", "TMP"} {
		delete(env, name)
	}
	set(env, h.cfg.Env)
	total := 0
	for _, name := range slices.Sorted(maps.Keys(env)) {
		size := len(name) + len(env[name]) + 2
		if total += size; total > shown || !utf8.ValidString(name+env[name]) {
			total -= size
			delete(env, name)
		}
	}
	return env
}

// surroundings are the variables that the steps of a lease share. The shim has them too, so that a start names only what is
// the step's own.
type surroundings struct {
	values map[string]string
	list   []string // the values, for the shim; nil when a variable is made of PWD, which is each step's own
}

// surround makes the surroundings of a lease's steps; dir is a step's folder, or "" for all of them.
func (l *lease) surround(dir string) surroundings {
	env := map[string]string{}
	for _, v := range l.h.inherited {
		name, value, _ := strings.Cut(v, "=")
		env[foldName(name)] = value
	}
	set(env, map[string]string{"HOME": l.work.Home, "TMPDIR": l.work.Tmp, "PWD": dir})
	if l.work.Tools != "" {
		set(env, map[string]string{toolsVariable: l.work.Tools})
	}
	if runtime.GOOS == "windows" {
		set(env, map[string]string{"USERPROFILE": l.work.Home, "TEMP": l.work.Tmp, "TMP": l.work.Tmp})
	}
	set(env, l.h.cfg.Env)
	set(env, l.rec.Env)
	env[shim.LeaseCookie] = l.key
	s := surroundings{values: env}
	if !mentions(l.h.cfg.Env, "PWD") && !mentions(l.rec.Env, "PWD") {
		s.list = listed(env)
	}
	return s
}

// mentions reports whether env has a variable by that name, or one that is laid before it.
func mentions(env map[string]string, bare string) bool {
	for name := range env {
		if n, _, _ := strings.Cut(name, "+"); foldName(n) == bare {
			return true
		}
	}
	return false
}

// environ is the environment of one step's process: all of it, or what is to be laid over the lease's surroundings, which
// the shim has. path is its PATH. Call it with l.mu held.
func (l *lease) environ(step map[string]string, dir, key string) (env []string, over bool, path string) {
	if l.around.values == nil {
		l.around = l.surround("")
	}
	if l.around.list == nil || l.link == nil || !l.link.surrounded {
		all := l.surround(dir).values
		set(all, step)
		all[shim.LeaseCookie], all[shim.StepCookie] = l.key, key
		return listed(all), false, all["PATH"]
	}
	own := map[string]string{"PWD": dir}
	for name := range step {
		bare, _, _ := strings.Cut(name, "+")
		bare = foldName(bare)
		if value, ok := l.around.values[bare]; ok && bare != "PWD" {
			own[bare] = value
		}
	}
	set(own, step)
	own[shim.LeaseCookie], own[shim.StepCookie] = l.key, key
	path, ok := own["PATH"]
	if !ok {
		path = l.around.values["PATH"]
	}
	return listed(own), true, path
}

func listed(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// set lays variables over env. NAME+X=value puts value before what NAME holds, separated as PATH is.
func set(env, over map[string]string) {
	// In the order of names, so that several NAME+X come out the same each time, and NAME before NAME+X.
	for _, name := range slices.Sorted(maps.Keys(over)) {
		value := over[name]
		bare, _, prepend := strings.Cut(name, "+")
		bare = foldName(bare)
		if old := env[bare]; prepend && old != "" {
			value += string(os.PathListSeparator) + old
		}
		env[bare] = value
	}
}

// foldName makes names that the system takes for the same one equal.
func foldName(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}
