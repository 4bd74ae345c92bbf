package web

// setting is one setting of a kind of launcher or retention, as a form asks for it.
type setting struct {
	Key         string
	Label       string
	Hint        string
	Type        string   // "" is a line of text; number, area, check, select
	Options     []option // of a select
	Placeholder string   // what holds when nothing is written
	Wide        bool
	More        bool     // folded away until somebody asks for it
	Also        []string // other names under which it may be kept
}

type option struct{ Value, Text string }

// kind is a kind of launcher or retention.
type kind struct {
	Name     string
	Title    string
	About    string
	Settings []setting
	Further  bool // it may have settings that are not listed
}

// Class is what the kind's settings are shown by; see forms.css.
func (k kind) Class() string {
	if len(k.Settings) == 0 && k.Further {
		return "other"
	}
	return k.Name
}

var yesNo = []option{{"", "yes"}, {"false", "no"}}

const secretHint = "Where it is kept: env:NAME or file:PATH on the controller."

// launcherKinds says what the launchers that people choose ask for. A launcher that is not here is asked for lines of settings.
func launcherKinds() []kind {
	return []kind{
		{Name: "inbound", Title: "The agent dials", About: "An agent on the machine connects to the controller: also from behind a firewall or NAT. Save, and get the command to run there."},
		{Name: "ssh", Title: "By ssh", About: "The controller logs in, copies the agent there and starts it. The machine needs nothing but sshd.", Further: true, Settings: []setting{
			{Key: "host", Label: "Host", Hint: "Name or address.", Placeholder: "the node's name"},
			{Key: "port", Label: "Port", Type: "number", Placeholder: "22"},
			{Key: "user", Label: "User", Placeholder: "the controller's user"},
			{Key: "key", Label: "Private key", Hint: secretHint, Placeholder: "file:/etc/outwork/id_ed25519"},
			{Key: "password", Label: "Password", Hint: secretHint, Placeholder: "env:BUILD1_PASSWORD"},
			{Key: "hostKey", Label: "The machine is known by", Type: "select", Options: []option{{"", "the known_hosts file"}, {"pinned", "the key below"}, {"first-use", "the key it shows first"}, {"none", "nothing (unsafe)"}}},
			{Key: "pinnedKey", Label: "Its host key", Type: "area", Hint: "ssh-ed25519 AAAA… or SHA256:…, one a line.", Wide: true},
			{Key: "approve", Label: "A key that is shown first waits until somebody approves it", Type: "check", Wide: true},
			{Key: "passphrase", Label: "Passphrase of the key", Hint: secretHint, More: true},
			{Key: "certificate", Label: "Certificate for the key", Hint: secretHint, More: true},
			{Key: "agent", Label: "Use keys of the ssh agent (SSH_AUTH_SOCK)", Type: "check", Wide: true, More: true},
			{Key: "knownHosts", Label: "known_hosts file", Placeholder: "~/.ssh/known_hosts", More: true},
			{Key: "jump", Label: "Jump hosts, in order", Placeholder: "ops@bastion:2222, inner", More: true},
			{Key: "proxyCommand", Label: "Proxy command", Hint: "%h, %p and %r are host, port and user.", More: true},
			{Key: "sshConfig", Label: "Client configuration", Hint: "true is ~/.ssh/config; or a file.", Placeholder: "none", More: true},
			{Key: "prefix", Label: "Before the agent's command", Placeholder: "nice", More: true},
			{Key: "suffix", Label: "After it", More: true},
			{Key: "agentPath", Label: "The agent's program there", Placeholder: "ROOT/bin/outwork-agent", More: true},
			{Key: "copy", Label: "Keep that program up to date", Type: "select", Options: yesNo, More: true},
			{Key: "timeout", Label: "Time-out", Placeholder: "30s", More: true},
			{Key: "retries", Label: "Further attempts at once", Type: "number", Placeholder: "0", More: true},
			{Key: "retryWait", Label: "Pause before each", Placeholder: "15s", More: true},
			{Key: "keepalive", Label: "Ask whether it is there every", Placeholder: "15s", More: true},
		}},
		{Name: "command", Title: "By a command", About: "A command on the controller whose standard input and output lead to outwork-agent --stdio: in a container, over a serial line, through anything.", Settings: []setting{
			{Key: "command", Label: "Command", Placeholder: "docker exec -i build1 outwork-agent --stdio", Wide: true},
			{Key: "env", Label: "Its environment", Type: "area", Hint: "Lines of NAME=value.", More: true},
			{Key: "timeout", Label: "The agent must speak within", Placeholder: "1m", More: true},
			{Key: "text", Label: "The channel is made for text (telnet, a terminal)", Type: "check", Wide: true, More: true},
		}},
		{Name: "winrm", Title: "By WinRM", About: "The controller sets the agent up as a service on a Windows machine; the service dials in.", Settings: []setting{
			{Key: "host", Label: "Host", Hint: "Name or address.", Placeholder: "the node's name"},
			{Key: "port", Label: "Port", Type: "number", Placeholder: "5985, with https 5986"},
			{Key: "user", Label: "User", Hint: `An administrator: NAME, or DOMAIN\NAME.`, Placeholder: "Administrator"},
			{Key: "password", Label: "Password", Hint: secretHint, Placeholder: "env:WIN1_PASSWORD"},
			{Key: "https", Label: "By https", Type: "select", Options: []option{{"", "as the port says"}, {"true", "yes"}, {"false", "no"}}},
			{Key: "auth", Label: "Log in by", Type: "select", Options: []option{{"", "NTLM"}, {"basic", "basic"}}},
			{Key: "pinned", Label: "SHA-256 of its certificate", More: true},
			{Key: "ca", Label: "File of the CA's certificates", Placeholder: "the system's", More: true},
			{Key: "insecure", Label: "Any certificate will do (unsafe)", Type: "check", Wide: true, More: true},
			{Key: "allowUnencrypted", Label: "Send the password in the clear: basic without https (unsafe)", Type: "check", Wide: true, More: true},
			{Key: "service", Label: "Name of the service", Placeholder: "the node's name", More: true},
			{Key: "runAs", Label: "The service runs as", Placeholder: "LocalSystem", More: true},
			{Key: "runAsPassword", Label: "That user's password", Hint: secretHint, More: true},
			{Key: "url", Label: "The machine reaches the controller at", Placeholder: "the controller's address", More: true},
			{Key: "upload", Label: "Copy the agent over WinRM, not from that address", Type: "check", Wide: true, More: true},
			{Key: "timeout", Label: "Time-out of each request", Placeholder: "1m", More: true},
			{Key: "transfer", Label: "Time to bring the agent there", Placeholder: "15m", More: true},
			{Key: "dialIn", Label: "The agent must dial in within", Placeholder: "90s", More: true},
			{Key: "retries", Label: "Further attempts at once", Type: "number", Placeholder: "0", More: true},
			{Key: "retryWait", Label: "Pause before each", Placeholder: "15s", More: true},
		}},
	}
}

const timeHint = "Minutes, or 90s, 1h30m."

// retentionKinds says what the kinds of retention ask for.
func retentionKinds() []kind {
	idle := []setting{{Key: "idle", Label: "Idle for", Hint: timeHint, Placeholder: "10", Also: []string{"idleMinutes"}}}
	return []kind{
		{Name: "always", Title: "Always", About: "Keep it connected as much as possible."},
		{Name: "demand", Title: "On demand", About: "Connect it when work waits for it, disconnect it when it is idle.", Settings: []setting{
			{Key: "inDemandDelay", Label: "Work has waited for", Hint: timeHint, Placeholder: "0"},
			{Key: "idleDelay", Label: "Idle for", Hint: timeHint, Placeholder: "1"},
		}},
		{Name: "schedule", Title: "By schedule", About: "Connect it at certain times, for a while.", Settings: []setting{
			{Key: "start", Label: "At", Hint: "A crontab: minute, hour, day, month, day of the week.", Placeholder: "0 8 * * 1-5", Also: []string{"startTimeSpec"}},
			{Key: "upTime", Label: "For", Hint: timeHint, Placeholder: "10h", Also: []string{"upTimeMins"}},
			{Key: "timeZone", Label: "Time zone", Placeholder: "the controller's"},
			{Key: "keepWhenActive", Label: "Let it finish its work at the end", Type: "check", Also: []string{"keepUpWhenActive"}},
		}},
		{Name: "cloud", Title: "Until idle", About: "Delete the node when it has been idle.", Settings: idle},
		{Name: "once", Title: "For one build", About: "Delete the node after its first work, or when it got none.", Settings: idle},
	}
}

// setupAsked is what the setup of a machine asks for.
func setupAsked() []setting {
	return []setting{
		{Key: "files", Label: "Folder of the controller that is copied there", Placeholder: "/etc/outwork/files"},
		{Key: "timeout", Label: "Time for all of it", Placeholder: "30m"},
		{Key: "command", Label: "Script that is run there, where the files are", Type: "area", Wide: true},
		{Key: "prepare", Label: "Command line that is run on the controller before", Wide: true},
	}
}

// limitAbout says what holds when nothing is set, by the monitor's name.
type limitAbout struct{ Name, Title, Bad, Default string }

// limitsAsked are the monitors that have limits.
func limitsAsked() []limitAbout {
	return []limitAbout{
		{"disk", "Disk of the remote root", "free below", "1 GiB and 20 %: offline"},
		{"temp", "Temporary space", "free below", "1 GiB and 20 %: offline"},
		{"swap", "Swap", "free below", "256 MiB and 20 %: warn"},
		{"clock", "Clock", "off by more than", "5s: warn"},
		{"response", "Response time", "slower than", "five time-outs: disconnect"},
	}
}

var limitActions = []option{{"", "as the farm"}, {"ignore", "ignore"}, {"warn", "warn"}, {"offline", "take it off"}, {"disconnect", "disconnect"}}

// kindOf finds a kind by name.
func kindOf(all []kind, name string) (kind, bool) {
	for _, k := range all {
		if k.Name == name {
			return k, true
		}
	}
	return kind{Name: name, Title: name, Further: true}, false
}
