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
	"github.com/outwork-build/outwork/fleet/launch/kit"
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
	r := kit.Read(n)
	if err := fleet.CheckName(n.Name); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	s := &settings{
		node: n.Name, root: n.RemoteRoot,
		proxyCommand: r.Text("proxyCommand", ""),
		prefix:       r.Text("prefix", ""), suffix: r.Text("suffix", ""),
		agentPath: r.Text("agentPath", ""), copy: r.Yes("copy", true),
		timeout: r.Duration("timeout", 30*time.Second), retries: r.Number("retries", 0, 0, 1000),
		retryWait: r.Duration("retryWait", 15*time.Second), keepalive: r.Duration("keepalive", 15*time.Second),
	}
	machine := hop{host: r.Text("host", string(n.Name)), port: r.Number("port", 0, 1, 65535), access: readAccess(r, "", access{})}
	jumps := r.Text("jump", "")
	conf, err := l.sshConfig(r.Text("sshConfig", ""))
	if err != nil {
		r.Bad("sshConfig", "%v", err)
	}
	conf.apply(&machine, l.cfg.Home)
	if jumps == "" && s.proxyCommand == "" {
		jumps, s.proxyCommand = conf.way(machine)
	}
	machine.host = conf.hostName(machine.host)
	for i, text := range list(jumps) {
		s.hops = append(s.hops, readJump(r, i+1, text, machine.access, conf, l.cfg.Home))
	}
	s.hops = append(s.hops, machine)
	for i := range s.hops {
		l.complete(&s.hops[i], r)
	}
	if s.proxyCommand != "" && jumps != "" {
		r.Bad("proxyCommand", "is set beside jump: expected one of them")
	}
	if !s.copy && s.agentPath == "" {
		r.Bad("agentPath", "is missing: with copy=false, say where the agent is on the machine")
	}
	return s, r.Err()
}

// complete fills in the defaults of a hop and checks it.
func (l *Launcher) complete(h *hop, r *kit.Settings) {
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
		r.Bad(key("host"), "%q: expected a host's name or address", h.host)
	}
	if strings.HasPrefix(h.user, "-") || h.user == "" {
		r.Bad(key("user"), "%q: expected a user's name", h.user)
	}
	if h.key == "" && h.password == "" && !h.agent && len(h.identities) == 0 {
		r.Bad(key("key"), "is missing: expected key, password or agent=true to log in with")
	}
	if h.knownHosts == "" {
		h.knownHosts = l.dotSSH("known_hosts")
	}
	l.checkHostKey(h, key, r)
}

func (l *Launcher) checkHostKey(h *hop, key func(string) string, r *kit.Settings) {
	switch h.hostKey {
	case "":
		h.hostKey = knownHostsFile
	case knownHostsFile, noCheck:
	case pinned:
		if _, err := parsePins(h.pinned); err != nil {
			r.Bad(key("pinnedKey"), "%v", err)
		}
	case firstUse:
		if l.cfg.HostKeys == nil {
			r.Bad(key("hostKey"), "first-use: this controller keeps no host keys: expected known-hosts or pinned")
		}
	default:
		r.Bad(key("hostKey"), "%q: expected known-hosts, pinned, first-use or none", h.hostKey)
	}
}

// access reads how to log in. Of a jump host, what is not set is as or says; one that has a way to log in of its own takes none
// of the machine's.
func readAccess(r *kit.Settings, prefix string, or access) access {
	own := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return r.Has(prefix + k) })
	}
	if own("key", "password", "agent") {
		or.key, or.passphrase, or.certificate, or.password, or.agent, or.identities = "", "", "", "", false, nil
	}
	return access{
		user: r.Text(prefix+"user", or.user),
		key:  r.Ref(prefix+"key", or.key), passphrase: r.Ref(prefix+"passphrase", or.passphrase),
		certificate: r.Ref(prefix+"certificate", or.certificate), password: r.Ref(prefix+"password", or.password),
		agent: r.Yes(prefix+"agent", or.agent), identities: or.identities,
		hostKey: r.Text(prefix+"hostKey", or.hostKey), knownHosts: r.Text(prefix+"knownHosts", or.knownHosts),
		pinned: r.Text(prefix+"pinnedKey", or.pinned), approve: r.Yes(prefix+"approve", or.approve),
	}
}

// jump reads the nth jump host, "user@host:port".
func readJump(r *kit.Settings, n int, text string, machine access, conf *clientConfig, home string) hop {
	h := hop{label: fmt.Sprintf("jump %d", n)}
	name, rest, ok := strings.Cut(text, "@")
	if !ok {
		name, rest = "", text
	}
	var err error
	if h.host, h.port, err = splitPort(rest); err != nil {
		r.Bad("jump", "%q: %v", text, err)
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
	h.access = readAccess(r, prefix, or)
	h.host = conf.hostName(h.host)
	return h
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
