package winrm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// Examine looks at the way to a machine: settings, dns, tcp, tls, login, shell, disk, agent, and the way back to the controller.
func (l *Launcher) Examine(ctx context.Context, n fleet.Node, report func(fleet.Hop)) {
	e := &examination{l: l, n: n}
	defer e.close()
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{{"settings", e.settings}, {"dns", e.dns}, {"tcp", e.tcp}, {"tls", e.tls}, {"login", e.login}, {"shell", e.shell},
		{"disk", e.disk}, {"agent", e.agent}, {"controller", e.controller}} {
		start := time.Now()
		text, err := step.do(ctx)
		if errors.Is(err, errSkip) {
			continue
		}
		h := fleet.Hop{Name: step.name, OK: err == nil, Text: text, Took: time.Since(start)}
		if err != nil {
			h.Text, h.Hint = kit.Tell(err)
		}
		if report(h); err != nil {
			return
		}
	}
}

// errSkip is of a hop that is not on the way.
var errSkip = errors.New("not on the way")

// examination is what the hops share.
type examination struct {
	l    *Launcher
	n    fleet.Node
	s    *settings
	keys keys
	conn net.Conn
	m    *machine
}

func (e *examination) close() {
	if e.conn != nil {
		_ = e.conn.Close()
	}
	if e.m != nil {
		e.m.close()
	}
}

func (e *examination) settings(ctx context.Context) (_ string, err error) {
	if e.s, err = e.l.settings(e.n); err != nil {
		return "", err
	}
	if e.keys, err = e.l.unlock(ctx, e.s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s://%s, user %s, %s", e.s.scheme(), e.s.address(), e.s.user, e.s.auth), nil
}

func (e *examination) dns(ctx context.Context) (string, error) {
	if net.ParseIP(e.s.host) != nil {
		return "", errSkip
	}
	all, err := net.DefaultResolver.LookupHost(ctx, e.s.host)
	if err != nil {
		return "", e.s.unreachable(err)
	}
	return strings.Join(all, ", "), nil
}

func (e *examination) tcp(ctx context.Context) (_ string, err error) {
	if e.conn, err = (&net.Dialer{Timeout: e.s.timeout}).DialContext(ctx, "tcp", e.s.address()); err != nil {
		return "", e.s.unreachable(err)
	}
	return e.conn.RemoteAddr().String(), nil
}

func (e *examination) tls(ctx context.Context) (string, error) {
	if !e.s.https {
		return "", errSkip
	}
	c := e.s.tls(e.keys)
	c.ServerName = e.s.host
	ctx, cancel := context.WithTimeout(ctx, e.s.timeout)
	defer cancel()
	conn := tls.Client(e.conn, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", e.s.unreachable(err)
	}
	cert := conn.ConnectionState().PeerCertificates[0]
	text := fmt.Sprintf("certificate of %s, until %s, SHA-256 %s", cert.Subject.CommonName, cert.NotAfter.Format(time.DateOnly), fingerprint(cert))
	if e.s.insecure {
		text += " (insecure: any will do)"
	}
	return text, nil
}

func (e *examination) login(ctx context.Context) (_ string, err error) {
	if e.m, err = e.l.login(ctx, e.s, e.keys, kit.NewLog(io.Discard, "WinRM", nil)); err != nil {
		return "", err
	}
	return fmt.Sprintf("as %s, by %s", e.s.user, e.s.auth), nil
}

func (e *examination) shell(ctx context.Context) (string, error) {
	if err := e.m.look(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("cmd.exe on windows/%s, %s", e.m.place.arch, e.m.place.version), nil
}

func (e *examination) disk(ctx context.Context) (string, error) {
	free, err := e.m.free(ctx)
	if err != nil {
		return "", err
	}
	if free < 0 {
		return "how much is free on drive " + e.m.place.root[:2] + " is not known", nil
	}
	b, err := e.l.cfg.Agents.Open("windows", e.m.place.arch)
	if err == nil && free < 2*b.Size {
		return "", e.m.full("%s free on drive %s: the agent needs %s", size(free), e.m.place.root[:2], size(2*b.Size))
	}
	return fmt.Sprintf("%s free on drive %s", size(free), e.m.place.root[:2]), nil
}

func (e *examination) agent(ctx context.Context) (string, error) {
	b, err := e.l.cfg.Agents.Open("windows", e.m.place.arch)
	if err != nil {
		return "", err
	}
	have, err := e.m.hash(ctx, e.m.place.exe)
	switch {
	case err != nil:
		return "", err
	case have == "":
		return fmt.Sprintf("not there yet: windows/%s, %s, will come to %s", b.Arch, size(b.Size), e.m.place.exe), nil
	case have != b.SHA256:
		return fmt.Sprintf("another one is at %s: windows/%s, %s, will take its place", e.m.place.exe, b.Arch, size(b.Size)), nil
	}
	return e.m.place.exe + " is up to date", nil
}

// controller asks for the list of agents from there: the service goes the same way.
func (e *examination) controller(ctx context.Context) (string, error) {
	r, err := e.m.run(ctx, "curl -fsSk --connect-timeout 20 -o NUL "+quote(e.s.url+"/agent/"))
	switch {
	case err != nil:
		return "", err
	case r.code == 0:
		return e.s.url + " answers there", nil
	case r.code == 9009 || strings.Contains(r.err, "not recognized"):
		return "not looked at: the machine has no curl", nil
	}
	return "", kit.Trouble(fault.Unavailable, "check name and firewall, or set url to an address of the controller that the machine can reach",
		"%s cannot be reached from the machine: %s", e.s.url, short(r.said()))
}
