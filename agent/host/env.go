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

func (h *Host) inherited() map[string]string {
	env := map[string]string{}
	for _, v := range Inherited(h.cfg.Environ, h.cfg.PassEnv) {
		name, value, _ := strings.Cut(v, "=")
		env[foldName(name)] = value
	}
	return env
}

// shown bounds what Describe tells of the environment, so that an odd variable never keeps a machine away.
const shown = 128 << 10

// variables is what all steps of this machine find, but for what differs from lease to lease. Scripts read it as env.PATH.
func (h *Host) variables() map[string]string {
	env := h.inherited()
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

// environ is the whole environment of one step's process.
func (l *lease) environ(step map[string]string, dir, key string) []string {
	env := l.h.inherited()
	set(env, map[string]string{"HOME": l.work.Home, "TMPDIR": l.work.Tmp, "PWD": dir})
	if runtime.GOOS == "windows" {
		set(env, map[string]string{"USERPROFILE": l.work.Home, "TEMP": l.work.Tmp, "TMP": l.work.Tmp})
	}
	set(env, l.h.cfg.Env)
	set(env, l.rec.Env)
	set(env, step)
	set(env, map[string]string{shim.LeaseCookie: l.key, shim.StepCookie: key})
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
