package notify

import (
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/secret"
)

// Settings say who is told of what. The zero Settings tell nobody.
type Settings struct {
	SMTP     *SMTP     `json:"smtp,omitempty"` // nil sends no mail
	Webhooks []Webhook `json:"webhooks,omitempty"`
}

// SMTP is the server that takes mail, and who gets it.
type SMTP struct {
	Host     string     `json:"host"`
	Port     int        `json:"port,omitempty"` // 0 is 587 for STARTTLS, 465 for implicit TLS, 25 for none
	From     string     `json:"from"`
	To       []string   `json:"to"`
	TLS      string     `json:"tls,omitempty"` // StartTLS, ImplicitTLS or NoTLS; "" is StartTLS
	Username string     `json:"username,omitempty"`
	Password secret.Ref `json:"password,omitempty"` // needs Username, and TLS unless Host is this machine
	Interest
}

// How mail is encrypted on its way to the server.
const (
	StartTLS    = "starttls" // the connection is refused unless the server offers it
	ImplicitTLS = "implicit"
	NoTLS       = "none"
)

// Webhook is an address that gets a POST.
type Webhook struct {
	Name   string     `json:"name"` // of its own
	URL    string     `json:"url"`
	Secret secret.Ref `json:"secret,omitempty"` // signs each delivery; "" signs none
	// AllowPrivate are the networks behind the firewall that this webhook may reach, as CIDR prefixes. Without them an address
	// that is not public is refused.
	AllowPrivate []string `json:"allowPrivate,omitempty"`
	Interest
}

// Interest is what a channel wants to hear of.
type Interest struct {
	Nodes  []string     `json:"nodes,omitempty"`  // WentOffline, CameOnline; empty: nothing of nodes
	Builds *BuildFilter `json:"builds,omitempty"` // nil: nothing of builds
}

// What can become of a node.
const (
	WentOffline = "offline"
	CameOnline  = "online"
)

// BuildFilter chooses among builds that have ended. Its zero value takes all.
type BuildFilter struct {
	Jobs     []string       `json:"jobs,omitempty"`     // globs of full names, * within a folder; empty is every job
	Results  []build.Result `json:"results,omitempty"`  // empty is every result
	OnChange bool           `json:"onChange,omitempty"` // only when the job's build before ended otherwise
}

// Takes reports whether the filter chooses a build, given the result of the job's finished build before; "" when there is none: a
// first build counts as changed when it is no success.
func (f *BuildFilter) Takes(b build.Build, before build.Result) bool {
	if f == nil || len(f.Results) > 0 && !slices.Contains(f.Results, b.Result) {
		return false
	}
	if before == "" {
		before = build.Success
	}
	if f.OnChange && before == b.Result {
		return false
	}
	return len(f.Jobs) == 0 || slices.ContainsFunc(f.Jobs, func(glob string) bool {
		ok, err := path.Match(glob, string(b.ID.Job))
		return ok && err == nil
	})
}

// Recipients splits a list of addresses as people write it: "a@x;b@y" or "a@x, b@y".
func Recipients(text string) []string {
	var out []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' }) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// port is what to dial.
func (s *SMTP) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == ImplicitTLS:
		return 465
	case s.TLS == NoTLS:
		return 25
	}
	return 587
}

// Problem is one thing that is wrong with Settings. Path names the field below the Settings: "webhooks[0].url".
type Problem struct{ Path, Message string }

// Check lists all that is wrong with s.
func (s Settings) Check() (ps []Problem) {
	bad := func(path, format string, args ...any) { ps = append(ps, Problem{path, fmt.Sprintf(format, args...)}) }
	if s.SMTP != nil {
		s.SMTP.check(func(field, format string, args ...any) { bad("smtp."+field, format, args...) })
	}
	names := map[string]bool{}
	for i, w := range s.Webhooks {
		at := fmt.Sprintf("webhooks[%d].", i)
		if w.Name == "" || names[w.Name] {
			bad(at+"name", "%q: expected a name that no other webhook has", w.Name)
		}
		names[w.Name] = true
		w.check(func(field, format string, args ...any) { bad(at+field, format, args...) })
	}
	return ps
}

type complaint = func(field, format string, args ...any)

func (s *SMTP) check(bad complaint) {
	if s.Host == "" || strings.ContainsAny(s.Host, " /:@") && !strings.Contains(s.Host, "::") {
		bad("host", "%q: expected the mail server's name or address", s.Host)
	}
	if s.Port < 0 || s.Port > 65535 {
		bad("port", "%d: expected 1 to 65535", s.Port)
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		bad("from", "%q: expected an address such as farm@example.org", s.From)
	}
	if len(s.To) == 0 {
		bad("to", "expected at least one recipient")
	}
	for _, to := range s.To {
		if _, err := mail.ParseAddress(to); err != nil {
			bad("to", "%q: expected an address such as ops@example.org", to)
		}
	}
	if !slices.Contains([]string{"", StartTLS, ImplicitTLS, NoTLS}, s.TLS) {
		bad("tls", "%q: expected starttls, implicit or none", s.TLS)
	}
	if (s.Username == "") != (s.Password == "") {
		bad("password", "username and password go together")
	}
	if s.Password != "" && s.TLS == NoTLS && !loopback(s.Host) {
		bad("tls", "a password would be sent in the clear: expected starttls or implicit")
	}
	checkRef("password", s.Password, bad)
	s.Interest.check(bad)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func checkRef(field string, r secret.Ref, bad complaint) {
	if r == "" {
		return
	}
	if _, _, err := r.Split(); err != nil {
		bad(field, "%v", err)
	}
}

func (w *Webhook) check(bad complaint) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		bad("url", "expected https://HOST/PATH") // it is not repeated: the URLs of chat systems are secrets
	} else if u.User != nil {
		bad("url", "it holds a password: expected none, deliveries are signed with secret")
	}
	checkRef("secret", w.Secret, bad)
	for i, p := range w.AllowPrivate {
		if _, err := netip.ParsePrefix(p); err != nil {
			bad(fmt.Sprintf("allowPrivate[%d]", i), "%q: expected a network such as 10.0.0.0/8", p)
		}
	}
	w.Interest.check(bad)
}

func (n *Interest) check(bad complaint) {
	for i, what := range n.Nodes {
		if what != WentOffline && what != CameOnline {
			bad(fmt.Sprintf("nodes[%d]", i), "%q: expected offline or online", what)
		}
	}
	if n.Builds == nil {
		return
	}
	for i, glob := range n.Builds.Jobs {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			bad(fmt.Sprintf("builds.jobs[%d]", i), "%q: expected a job's full name, * for any part of one folder's", glob)
		}
	}
	for i, r := range n.Builds.Results {
		if _, err := build.ParseResult(string(r)); err != nil {
			bad(fmt.Sprintf("builds.results[%d]", i), "%v", err)
		}
	}
}

// wants reports whether anybody listens to builds.
func (s Settings) wantBuilds() bool {
	return s.SMTP != nil && s.SMTP.Builds != nil || slices.ContainsFunc(s.Webhooks, func(w Webhook) bool { return w.Builds != nil })
}
