package winrm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
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
//	host              name or address of the machine; default the node's name
//	port              default 5985, with https 5986
//	https             true, or false, which is the default unless port is 5986
//	user              an administrator of the machine: NAME, or DOMAIN\NAME
//	password          Ref of the user's password: file:/PATH, env:NAME
//	auth              ntlm (the default) or basic
//	ca                file with the CA's certificates that the machine's is signed by; default the system's
//	pinned            SHA-256 of the machine's certificate, in hexadecimal; nothing else is looked at then
//	insecure          true: any certificate will do
//	allowUnencrypted  true: basic without https, the password in the clear
//	service           name of the agent's service, outwork-agent-NAME; default the node's, with - for what cannot stand in it
//	runAs             user that the service runs as; default LocalSystem
//	runAsPassword     Ref of that user's password
//	url               address under which the machine reaches the controller; default the controller's own
//	upload            true: the agent's program is copied over WinRM, not fetched from url
//	timeout           for each request and each short command; default 1m
//	transfer          for bringing the agent's program there; default 15m
//	dialIn            for the agent to dial in after its service was started; default 90s
//	retries           further attempts after the machine could not be reached; default 0: the roster tries again by itself
//	retryWait         pause before each; default 15s
type settings struct {
	node          fleet.NodeName
	root          string // folder on the machine, as configured; "" is the default
	host          string
	port          int
	https         bool
	user          string
	password      secret.Ref
	auth          string
	ca            string
	pinned        string // hexadecimal; "" is none
	insecure      bool
	service       string
	runAs         string
	runAsPassword secret.Ref
	url           string
	options       string // of the agent's command line, each after a blank
	upload        bool
	timeout       time.Duration
	transfer      time.Duration
	dialIn        time.Duration
	retries       int
	retryWait     time.Duration
}

// Ways to log in.
const (
	authNTLM  = "ntlm"
	authBasic = "basic"
)

const (
	portHTTP  = 5985
	portHTTPS = 5986
)

func (s *settings) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

func (s *settings) scheme() string {
	if s.https {
		return "https"
	}
	return "http"
}

// sealed says that messages are encrypted by NTLM, as nothing else does it.
func (s *settings) sealed() bool { return s.auth == authNTLM && !s.https }

// settings reads and checks a node's settings. fault.Invalid tells all that is wrong.
func (l *Launcher) settings(n fleet.Node) (*settings, error) {
	if err := fleet.CheckName(n.Name); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	r := kit.Read(n)
	s := &settings{
		node: n.Name, root: strings.TrimRight(n.RemoteRoot, `\/`),
		host: r.Text("host", string(n.Name)), port: r.Number("port", 0, 0, 65535),
		user: r.Text("user", ""), password: r.Ref("password", ""), auth: r.Text("auth", authNTLM),
		ca: r.Text("ca", ""), pinned: plainHex(r.Text("pinned", "")), insecure: r.Yes("insecure", false),
		service: r.Text("service", serviceName(n.Name)), runAs: r.Text("runAs", ""), runAsPassword: r.Ref("runAsPassword", ""),
		url: strings.TrimRight(r.Text("url", l.cfg.URL()), "/"), upload: r.Yes("upload", false),
		timeout: r.Duration("timeout", time.Minute), transfer: r.Duration("transfer", 15*time.Minute), dialIn: r.Duration("dialIn", 90*time.Second),
		retries: r.Number("retries", 0, 0, 1000), retryWait: r.Duration("retryWait", 15*time.Second),
	}
	s.https = s.port == portHTTPS
	if r.Text("https", "") != "" {
		s.https = r.Yes("https", false)
	}
	if s.port == 0 && s.https {
		s.port = portHTTPS
	}
	s.port = cmp.Or(s.port, portHTTP)
	s.options = l.cfg.Options(s.url)
	s.check(r, r.Yes("allowUnencrypted", false))
	return s, r.Err()
}

// check says what is wrong with values that could be read.
func (s *settings) check(r *kit.Settings, allowUnencrypted bool) {
	if s.host == "" || strings.ContainsAny(s.host, " \t\r\n/@\\\"'?#") {
		r.Bad("host", "%q: expected a host's name or address", s.host)
	}
	if s.user == "" {
		r.Bad("user", "is missing: expected an administrator of the machine, NAME or DOMAIN\\NAME")
	}
	if s.password == "" {
		r.Bad("password", "is missing: expected file:/PATH or env:NAME")
	}
	switch {
	case s.auth != authNTLM && s.auth != authBasic:
		r.Bad("auth", "%q: expected ntlm or basic", s.auth)
	case s.auth == authBasic && !s.https && !allowUnencrypted:
		r.Bad("auth", "basic without https sends the password in the clear: expected https=true, auth=ntlm, or allowUnencrypted=true if the network is as good as a cable")
	}
	if !s.https && (s.ca != "" || s.pinned != "" || s.insecure) {
		r.Bad("https", "is false: ca, pinned and insecure are about certificates")
	}
	if s.pinned != "" && len(s.pinned) != 2*sha256.Size {
		r.Bad("pinned", "expected the %d hexadecimal digits of a SHA-256", 2*sha256.Size)
	}
	if !isService(s.service) {
		r.Bad("service", "%q: expected letters, digits, - _ and .", s.service)
	}
	if u, err := url.Parse(s.url); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || !quotable(s.url) {
		r.Bad("url", "%q: expected http://HOST or https://HOST, as the machine reaches the controller", s.url)
	}
	if s.root != "" && !isFolder(s.root) {
		r.Wrong("remoteRoot", "%q: expected a folder like C:\\outwork, without quotes and %%", s.root)
	}
	if !quotable(s.runAs) {
		r.Bad("runAs", "%q: expected a user's name", s.runAs)
	}
	if (s.runAs != "") != (s.runAsPassword != "") {
		r.Bad("runAs", "expected runAs and runAsPassword, or neither")
	}
}

// quotable says that text means itself between quotation marks on cmd.exe's command line.
func quotable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || strings.ContainsRune("\"%!^\u2028\u2029", c) })
}

// isFolder takes absolute paths with a drive; not the root of one, which is not an agent's alone.
func isFolder(s string) bool {
	return len(s) > 3 && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') && s[1] == ':' && (s[2] == '\\' || s[2] == '/') && quotable(s) && !strings.ContainsAny(s[2:], ":*?<>|")
}

func isService(s string) bool { return s != "" && len(s) <= 100 && serviceName(fleet.NodeName(s)) == s }

// serviceName is what a service of a node can be called.
func serviceName(n fleet.NodeName) string {
	name := strings.Map(func(c rune) rune {
		if (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' {
			return c
		}
		return '-'
	}, string(n))
	if len(name) > 0 && (name[0] == '.' || name[0] == '-') {
		name = "a" + name
	}
	return name[:min(len(name), 100)]
}

// plainHex takes fingerprints as they are shown: with a prefix, colons, in capitals.
func plainHex(s string) string {
	if len(s) > 7 && strings.EqualFold(s[:7], "sha256:") {
		s = s[7:]
	}
	return strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s))
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// keys are the secrets of settings, and the certificates.
type keys struct {
	password []byte
	runAs    []byte // nil when there is none
	roots    *x509.CertPool
}

func (k keys) masks() [][]byte { return [][]byte{k.password, k.runAs} }

// unlock finds the secrets.
func (l *Launcher) unlock(ctx context.Context, s *settings) (k keys, err error) {
	resolve := func(key string, ref secret.Ref) []byte {
		if ref == "" || err != nil {
			return nil
		}
		v, failed := l.cfg.Secrets.Resolve(ctx, ref)
		b := []byte(strings.TrimRight(string(v.Reveal()), "\r\n"))
		if failed == nil && len(b) == 0 {
			failed = fault.New(fault.Invalid, "%s is empty", ref)
		}
		if failed != nil {
			err = fmt.Errorf("%s: %w", key, failed)
		}
		return b
	}
	k.password, k.runAs = resolve("password", s.password), resolve("runAsPassword", s.runAsPassword)
	if err != nil || s.ca == "" {
		return k, err
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		return k, fault.New(fault.Invalid, "ca: %w", err)
	}
	k.roots = x509.NewCertPool()
	if !k.roots.AppendCertsFromPEM(pem) {
		return k, fault.New(fault.Invalid, "ca: %s has no certificate in PEM", s.ca)
	}
	return k, nil
}
