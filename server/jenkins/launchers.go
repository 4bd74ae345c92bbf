package jenkins

import (
	"maps"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Launchers and retention strategies of Jenkins, by their classes. A part is what both forms of a node's configuration have:
// settings under a class, from JSON or from XML.
type part struct {
	class string
	value func(name string) string         // "" when there is none
	inner func(name string) (string, part) // class and settings of a setting that is an object
}

const (
	classInbound  = "hudson.slaves.JNLPLauncher"
	classSSH      = "hudson.plugins.sshslaves.SSHLauncher"
	classCommand  = "hudson.slaves.CommandLauncher"
	classWindows  = "hudson.os.windows.ManagedWindowsServiceLauncher" // DCOM there, WinRM here
	classAlways   = "hudson.slaves.RetentionStrategy$Always"
	classDemand   = "hudson.slaves.RetentionStrategy$Demand"
	classSchedule = "hudson.slaves.SimpleScheduledRetentionStrategy"
	classCloud    = "hudson.slaves.CloudRetentionStrategy"
	verifiers     = "hudson.plugins.sshslaves.verifiers."
	ownLauncher   = "build.outwork.Launcher-" // of kinds that Jenkins does not have
)

// trim takes off what forms append to a class.
func trim(class string) string { return strings.TrimSuffix(class, "$DescriptorImpl") }

// launcher reads a launcher. What Outwork has besides Jenkins' settings stays as it is in old.
func launcher(p part, old fleet.LauncherSpec) (fleet.LauncherSpec, error) {
	kinds := map[string]string{"": "inbound", classInbound: "inbound", classSSH: "ssh", classCommand: "command",
		"hudson.plugins.sshslaves.SSHConnector": "ssh", classWindows: "winrm"}
	class := trim(p.class)
	kind, known := kinds[class]
	if own, ok := strings.CutPrefix(class, ownLauncher); ok {
		kind, known = own, true
	}
	if !known {
		return old, fault.New(fault.Invalid, "launcher %q: expected %s, %s or %s", class, classInbound, classSSH, classCommand)
	}
	spec := fleet.LauncherSpec{Kind: kind, Config: map[string]string{}}
	if old.Kind == kind {
		maps.Copy(spec.Config, old.Config)
	}
	set := func(to string, names ...string) {
		for _, n := range names {
			if v := p.value(n); v != "" {
				spec.Config[to] = v
			}
		}
	}
	var err error
	switch kind {
	case "command":
		set("command", "agentCommand", "command")
	case "winrm":
		err = windows(spec, p, set)
	case "ssh":
		set("host", "host")
		set("port", "port")
		set("prefix", "prefixStartSlaveCmd")
		set("suffix", "suffixStartSlaveCmd")
		set("user", "username")
		set("retries", "maxNumRetries")
		if s := p.value("launchTimeoutSeconds"); s != "" {
			spec.Config["timeout"] = s + "s"
		}
		if s := p.value("retryWaitTime"); s != "" {
			spec.Config["retryWait"] = s + "s"
		}
		if err = sshKey(spec, p.value("credentialsId")); err == nil {
			err = hostKey(spec, p)
		}
	case "inbound":
		if p.value("tunnel") != "" {
			err = fault.New(fault.Invalid, "launcher.tunnel: it is set where the agent runs: outwork agent --tunnel")
		}
	}
	if len(spec.Config) == 0 {
		spec.Config = nil
	}
	return spec, err
}

// windows reads the launcher that installs an agent on Windows. Jenkins' form has the password itself; Outwork keeps none.
func windows(spec fleet.LauncherSpec, p part, set func(to string, names ...string)) error {
	set("host", "host")
	set("user", "userName")
	switch password := p.value("password"); {
	case password == "" || spec.Config["password"] != "" && !strings.Contains(password, ":"):
	case strings.HasPrefix(password, "file:") || strings.HasPrefix(password, "env:"):
		spec.Config["password"] = password
	default:
		return fault.New(fault.Invalid, "launcher.password: expected file:/PATH or env:NAME: Outwork keeps no passwords of machines")
	}
	if class, account := p.inner("account"); strings.HasSuffix(trim(class), "AnotherUser") {
		return fault.New(fault.Invalid, "launcher.account %q: set runAs and runAsPassword of the winrm launcher", account.value("userName"))
	}
	return nil
}

// sshKey takes a credential's ID for what names a secret in Outwork.
func sshKey(spec fleet.LauncherSpec, id string) error {
	switch {
	case id == "":
	case strings.Contains(id, ":"):
		spec.Config["key"] = id
	default:
		return fault.New(fault.Invalid, "launcher.credentialsId %q: expected a key as file:/PATH or env:NAME (and its user as username): there are no credentials of Jenkins' kind here", id)
	}
	return nil
}

// hostKeys are the strategies by the class that they have in Jenkins.
var hostKeys = map[string]string{"KnownHostsFile": "known-hosts", "ManuallyProvided": "pinned", "ManuallyTrusted": "first-use", "NonVerifying": "none"}

func hostKey(spec fleet.LauncherSpec, p part) error {
	class, strategy := p.inner("sshHostKeyVerificationStrategy")
	if class == "" {
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(trim(class), verifiers), "KeyVerificationStrategy")
	kind, known := hostKeys[name]
	if !known {
		return fault.New(fault.Invalid, "launcher.sshHostKeyVerificationStrategy %q: expected one of %s*KeyVerificationStrategy", class, verifiers)
	}
	spec.Config["hostKey"] = kind
	if key := strategy.value("key"); kind == "pinned" && key != "" {
		spec.Config["pinnedKey"] = key
	}
	if strategy.value("requireInitialManualTrust") == "true" {
		spec.Config["approve"] = "true"
	}
	return nil
}

// retention reads a retention strategy.
func retention(p part) (fleet.RetentionSpec, error) {
	take := func(kind string, names ...string) fleet.RetentionSpec {
		s := fleet.RetentionSpec{Kind: kind, Config: map[string]string{}}
		for _, n := range names {
			if v := p.value(n); v != "" {
				s.Config[n] = v
			}
		}
		return s
	}
	switch class := trim(p.class); class {
	case "", classAlways:
		return fleet.RetentionSpec{}, nil
	case classDemand:
		return take("demand", "inDemandDelay", "idleDelay"), nil
	case classSchedule:
		return take("schedule", "startTimeSpec", "upTimeMins", "keepUpWhenActive"), nil
	case classCloud, "hudson.slaves.CloudSlaveRetentionStrategy":
		return take("cloud", "idleMinutes"), nil
	default:
		return fleet.RetentionSpec{}, fault.New(fault.Invalid, "retentionStrategy %q: expected %s, %s, %s or %s", class, classAlways, classDemand, classSchedule, classCloud)
	}
}

// writeLauncher writes a launcher as Jenkins would. Outwork's own settings are not shown; a POST leaves them alone.
func writeLauncher(w *xmlWriter, l fleet.LauncherSpec) {
	switch l.Kind {
	case "inbound", "":
		w.open("launcher", class(classInbound))
		w.open("workDirSettings", "")
		w.leaf("disabled", "false")
		w.close("workDirSettings")
		w.leaf("webSocket", "true")
		w.close("launcher")
	case "command":
		w.open("launcher", class(classCommand))
		w.leaf("agentCommand", l.Config["command"])
		w.close("launcher")
	case "ssh":
		w.open("launcher", class(classSSH))
		for _, f := range [][2]string{{"host", "host"}, {"port", "port"}, {"credentialsId", "key"}, {"username", "user"},
			{"prefixStartSlaveCmd", "prefix"}, {"suffixStartSlaveCmd", "suffix"}, {"maxNumRetries", "retries"}} {
			if v := l.Config[f[1]]; v != "" {
				w.leaf(f[0], v)
			}
		}
		for name, kind := range hostKeys {
			if l.Config["hostKey"] == kind {
				w.open("sshHostKeyVerificationStrategy", class(verifiers+name+"KeyVerificationStrategy"))
				if kind == "pinned" {
					w.leaf("key", l.Config["pinnedKey"])
				}
				w.close("sshHostKeyVerificationStrategy")
			}
		}
		w.close("launcher")
	case "winrm":
		w.open("launcher", class(classWindows))
		w.leaf("userName", l.Config["user"])
		if host := l.Config["host"]; host != "" {
			w.leaf("host", host)
		}
		w.close("launcher")
	default:
		w.empty("launcher", class(ownLauncher+l.Kind))
	}
}

func writeRetention(w *xmlWriter, r fleet.RetentionSpec) {
	classes := map[string]string{"": classAlways, "always": classAlways, "demand": classDemand, "schedule": classSchedule, "cloud": classCloud}
	name := classes[r.Kind]
	if name == "" {
		name = "build.outwork.Retention-" + r.Kind
	}
	if len(r.Config) == 0 {
		w.empty("retentionStrategy", class(name))
		return
	}
	w.open("retentionStrategy", class(name))
	for _, k := range sortedKeys(r.Config) {
		w.leaf(k, r.Config[k])
	}
	w.close("retentionStrategy")
}

// executors reads a number of executors, which comes as a number or as a text.
func executors(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "numExecutors %q: expected a number from 0", s)
	}
	return n, nil
}
