package host

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

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

// environ is the whole environment of one step's process.
func (l *lease) environ(step map[string]string, dir, key string) []string {
	env := map[string]string{}
	for _, v := range Inherited(l.h.cfg.Environ, l.h.cfg.PassEnv) {
		name, value, _ := strings.Cut(v, "=")
		env[foldName(name)] = value
	}
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
