package ssh

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
)

// settings are a node's LauncherSpec.Config, read. The keys are:
//
//	host          name or address of the machine; default the node's name (S1-24)
//	port          default 22
//	user          default the user that the controller runs as
//	key           Ref of a private key: OpenSSH, PEM, PKCS#8 or PuTTY's PPK
//	passphrase    Ref of the key's passphrase
//	certificate   Ref of a user certificate for the key; default KEYFILE-cert.pub when there is one
//	password      Ref of a password, also for keyboard-interactive
//	agent         true: keys of the ssh agent (SSH_AUTH_SOCK)
//	hostKey       known-hosts (the default), pinned, first-use or none
//	knownHosts    file for known-hosts; default ~/.ssh/known_hosts
//	pinnedKey     for pinned: "ssh-ed25519 AAAA…" or "SHA256:…"; several separated by newlines
//	approve       true: a key that first-use sees first awaits approval
//	jump          hosts to go through, in order: "ops@bastion:2222, inner"
//	jump.N.KEY    user, key, passphrase, certificate, password, agent, hostKey, knownHosts, pinnedKey, approve of the Nth of them
//	              (from 1); default the machine's own
//	proxyCommand  command on the controller whose stdin and stdout lead to the first host; %h, %p and %r are its host, port and user
//	sshConfig     true, or a file: what is not set here is taken from it (true is ~/.ssh/config)
//	prefix        put before the agent in the start command: "nice", "FOO=bar", "bash -c '"
//	suffix        put after it
//	agentPath     where the agent's binary is kept on the machine; default ROOT/bin/outwork-agent
//	copy          false: what is at agentPath is used as it is
//	timeout       for each connection and login, and for each short command; default 30s
//	retries       further attempts after a connection failed; default 0: the roster tries again by itself
//	retryWait     pause before each; default 15s
//	keepalive     how often the connection is tried; default 15s
type settings struct {
	node         fleet.NodeName
	root         string // as configured; "" is the default
	hops         []hop  // jump hosts in order, then the machine
	proxyCommand string
	prefix       string
	suffix       string
	agentPath    string
	copy         bool
	timeout      time.Duration
	retries      int
	retryWait    time.Duration
	keepalive    time.Duration
}

// hop is one sshd on the way.
type hop struct {
	label string // "jump 1"; "" is the machine
	host  string
	port  int // 0 until defaults are in
	access
}

// access is how to log in at a hop, and how to know it.
type access struct {
	user        string
	key         secret.Ref
	passphrase  secret.Ref
	certificate secret.Ref
	password    secret.Ref
	agent       bool
	identities  []string // further key files, from an ssh_config; those that are missing are left out

	hostKey    string // known-hosts, pinned, first-use, none
	knownHosts string
	pinned     string
	approve    bool
}

func (h hop) address() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }
func (h hop) String() string  { return h.user + "@" + h.address() }

// options are what a key may do at the hop: run commands and copy files, and at a jump host lead further.
func (h hop) options() string {
	if h.label == "" {
		return "restrict"
	}
	return "restrict,port-forwarding"
}

// who names the hop in a sentence.
func (h hop) who() string {
	if h.label == "" {
		return h.String()
	}
	return h.label + " (" + h.String() + ")"
}

// target is the machine itself.
func (s *settings) target() hop { return s.hops[len(s.hops)-1] }

// settings reads and checks a node's settings. fault.Invalid tells all that is wrong.
func (l *Launcher) settings(n fleet.Node) (*settings, error) {
	r := &reader{m: n.Launcher.Config, used: map[string]bool{}}
	if err := fleet.CheckName(n.Name); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	s := &settings{
		node: n.Name, root: n.RemoteRoot,
		proxyCommand: r.text("proxyCommand", ""),
		prefix:       r.text("prefix", ""), suffix: r.text("suffix", ""),
		agentPath: r.text("agentPath", ""), copy: r.yes("copy", true),
		timeout: r.duration("timeout", 30*time.Second), retries: r.number("retries", 0, 0, 1000),
		retryWait: r.duration("retryWait", 15*time.Second), keepalive: r.duration("keepalive", 15*time.Second),
	}
	machine := hop{host: r.text("host", string(n.Name)), port: r.number("port", 0, 1, 65535), access: r.access("", access{})}
	jumps := r.text("jump", "")
	conf, err := l.sshConfig(r.text("sshConfig", ""))
	if err != nil {
		r.bad("sshConfig", "%v", err)
	}
	conf.apply(&machine, l.cfg.Home)
	if jumps == "" && s.proxyCommand == "" {
		jumps, s.proxyCommand = conf.way(machine)
	}
	machine.host = conf.hostName(machine.host)
	for i, text := range list(jumps) {
		s.hops = append(s.hops, r.jump(i+1, text, machine.access, conf, l.cfg.Home))
	}
	s.hops = append(s.hops, machine)
	for i := range s.hops {
		l.complete(&s.hops[i], r)
	}
	if s.proxyCommand != "" && jumps != "" {
		r.bad("proxyCommand", "is set beside jump: expected one of them")
	}
	if !s.copy && s.agentPath == "" {
		r.bad("agentPath", "is missing: with copy=false, say where the agent is on the machine")
	}
	return s, r.err(n.Name)
}

// complete fills in the defaults of a hop and checks it.
func (l *Launcher) complete(h *hop, r *reader) {
	key := func(k string) string {
		if h.label == "" {
			return k
		}
		return strings.Replace(h.label, " ", ".", 1) + "." + k
	}
	if h.port == 0 {
		h.port = 22
	}
	if h.user == "" {
		if u, err := user.Current(); err == nil {
			h.user = u.Username
		}
	}
	if h.host == "" || strings.ContainsAny(h.host, " \t\n/@;$`\"'()<>|&\\*?#!~{}") || strings.HasPrefix(h.host, "-") {
		r.bad(key("host"), "%q: expected a host's name or address", h.host)
	}
	if strings.HasPrefix(h.user, "-") || h.user == "" {
		r.bad(key("user"), "%q: expected a user's name", h.user)
	}
	if h.key == "" && h.password == "" && !h.agent && len(h.identities) == 0 {
		r.bad(key("key"), "is missing: expected key, password or agent=true to log in with")
	}
	if h.knownHosts == "" {
		h.knownHosts = l.dotSSH("known_hosts")
	}
	l.checkHostKey(h, key, r)
}

func (l *Launcher) checkHostKey(h *hop, key func(string) string, r *reader) {
	switch h.hostKey {
	case "":
		h.hostKey = knownHostsFile
	case knownHostsFile, noCheck:
	case pinned:
		if _, err := parsePins(h.pinned); err != nil {
			r.bad(key("pinnedKey"), "%v", err)
		}
	case firstUse:
		if l.cfg.HostKeys == nil {
			r.bad(key("hostKey"), "first-use: this controller keeps no host keys: expected known-hosts or pinned")
		}
	default:
		r.bad(key("hostKey"), "%q: expected known-hosts, pinned, first-use or none", h.hostKey)
	}
}

// reader takes settings out of a map and remembers what was wrong.
type reader struct {
	m        map[string]string
	used     map[string]bool
	problems []string
}

func (r *reader) bad(key, format string, args ...any) {
	r.problems = append(r.problems, "launcher.config."+key+": "+fmt.Sprintf(format, args...))
}

func (r *reader) text(key, or string) string {
	r.used[key] = true
	if v := r.m[key]; v != "" {
		return v
	}
	return or
}

func (r *reader) ref(key string, or secret.Ref) secret.Ref {
	ref := secret.Ref(r.text(key, string(or)))
	if ref != "" {
		if _, _, err := ref.Split(); err != nil {
			r.bad(key, "%v", err)
		}
	}
	return ref
}

func (r *reader) yes(key string, or bool) bool {
	v := r.text(key, strconv.FormatBool(or))
	b, err := strconv.ParseBool(v)
	if err != nil {
		r.bad(key, "%q: expected true or false", v)
	}
	return b
}

func (r *reader) number(key string, or, low, high int) int {
	v := r.text(key, "")
	if v == "" {
		return or
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		r.bad(key, "%q: expected a number from %d to %d", v, low, high)
	}
	return n
}

func (r *reader) duration(key string, or time.Duration) time.Duration {
	v := r.text(key, or.String())
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Millisecond || d > 24*time.Hour {
		r.bad(key, "%q: expected a time like 30s", v)
	}
	return d
}

// access reads how to log in. Of a jump host, what is not set is as or says; one that has a way to log in of its own takes none
// of the machine's.
func (r *reader) access(prefix string, or access) access {
	own := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return r.m[prefix+k] != "" })
	}
	if own("key", "password", "agent") {
		or.key, or.passphrase, or.certificate, or.password, or.agent, or.identities = "", "", "", "", false, nil
	}
	return access{
		user: r.text(prefix+"user", or.user),
		key:  r.ref(prefix+"key", or.key), passphrase: r.ref(prefix+"passphrase", or.passphrase),
		certificate: r.ref(prefix+"certificate", or.certificate), password: r.ref(prefix+"password", or.password),
		agent: r.yes(prefix+"agent", or.agent), identities: or.identities,
		hostKey: r.text(prefix+"hostKey", or.hostKey), knownHosts: r.text(prefix+"knownHosts", or.knownHosts),
		pinned: r.text(prefix+"pinnedKey", or.pinned), approve: r.yes(prefix+"approve", or.approve),
	}
}

// jump reads the nth jump host, "user@host:port".
func (r *reader) jump(n int, text string, machine access, conf *clientConfig, home string) hop {
	h := hop{label: fmt.Sprintf("jump %d", n)}
	name, rest, ok := strings.Cut(text, "@")
	if !ok {
		name, rest = "", text
	}
	var err error
	if h.host, h.port, err = splitPort(rest); err != nil {
		r.bad("jump", "%q: %v", text, err)
	}
	prefix := fmt.Sprintf("jump.%d.", n)
	h.user = name
	conf.apply(&h, home)
	or := machine
	if h.user != "" {
		or.user = h.user
	}
	if h.knownHosts != "" {
		or.knownHosts = h.knownHosts
	}
	if len(h.identities) > 0 {
		or.identities = h.identities
	}
	h.access = r.access(prefix, or)
	h.host = conf.hostName(h.host)
	return h
}

// err is all that was wrong, a key that is not known included.
func (r *reader) err(n fleet.NodeName) error {
	for key := range r.m {
		if !r.used[key] {
			r.bad(key, "is not a setting of the ssh launcher")
		}
	}
	if len(r.problems) == 0 {
		return nil
	}
	slices.Sort(r.problems)
	return fault.New(fault.Invalid, "node %s: %s", n, strings.Join(r.problems, "; "))
}

// list splits at commas and white space.
func list(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' })
}

// splitPort takes "host", "host:port", "[::1]:port" and bare IPv6 addresses apart; port 0 is none.
func splitPort(s string) (host string, port int, err error) {
	if net.ParseIP(s) != nil || !strings.Contains(s, ":") {
		return s, 0, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("port %q: expected a number from 1 to 65535", text)
	}
	return host, port, nil
}
