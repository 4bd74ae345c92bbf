package winrm

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// unreachable explains why a request to the machine came to nothing.
func (s *settings) unreachable(err error) error {
	if _, hint := kit.Tell(err); hint != "" {
		return err
	}
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return kit.Trouble(fault.Unavailable, "check the setting host, or the controller's name servers", "the name %s is not known: %w", s.host, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return kit.Trouble(fault.Unavailable, "WinRM is not enabled there, or listens elsewhere: run `winrm quickconfig` on the machine as administrator (`winrm enumerate winrm/config/listener` shows its ports)",
			"%s refuses connections: %w", s.address(), err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return kit.Trouble(fault.Unavailable, "check that the machine is on, and the network on the way to it", "%s cannot be reached: %w", s.host, err)
	case errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return kit.Trouble(fault.Unavailable, "set https=false (port 5985), or give the port of its HTTPS listener (5986)", "%s does not speak TLS: %w", s.address(), err)
	case errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)), errors.As(err, new(x509.CertificateInvalidError)):
		return s.untrusted(err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return s.mute(err)
	case fault.Of(err) != fault.Internal:
		return err
	}
	return fault.With(fault.Unavailable, fmt.Errorf("%s: %w", s.address(), err))
}

func (s *settings) mute(err error) error {
	return kit.Trouble(fault.Unavailable, "check that the machine is on, and that firewalls let the controller in to this port", "%s does not answer: %w", s.address(), err)
}

// untrusted tells how to trust the certificate that was shown, after somebody has compared it.
func (s *settings) untrusted(err error) error {
	hint := "set ca to the file of the CA's certificate"
	var v *tls.CertificateVerificationError
	if errors.As(err, &v) && len(v.UnverifiedCertificates) > 0 {
		hint += ", or pinned=" + fingerprint(v.UnverifiedCertificates[0]) + " if that is the certificate of the machine's listener"
	}
	return kit.Trouble(fault.Unauthenticated, hint, "the certificate of %s is not trusted: %w", s.address(), err)
}

// refused explains an answer that is not one of WS-Management.
func (s *settings) refused(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return s.denied(resp.Header.Values("Www-Authenticate"))
	case http.StatusForbidden:
		return kit.Trouble(fault.Denied, "make the user a member of the machine's Administrators; a local one needs LocalAccountTokenFilterPolicy too", "%s lets %s not in (403)", s.address(), s.user)
	case http.StatusNotFound:
		return kit.Trouble(fault.Unavailable, "check host and port", "there is no /wsman at %s: it is not WinRM that listens there", s.address())
	}
	return fault.New(fault.Unavailable, "%s answers %s", s.address(), resp.Status)
}

// denied says what to change for a 401: the password, or what the machine takes.
func (s *settings) denied(offers []string) error {
	all := strings.ToLower(strings.Join(offers, ","))
	basic, negotiate := strings.Contains(all, "basic"), strings.Contains(all, "negotiate") || strings.Contains(all, "ntlm")
	switch {
	case s.auth == authBasic && !basic:
		return kit.Trouble(fault.Unauthenticated, "set auth=ntlm, or let it on the machine: `winrm set winrm/config/service/auth @{Basic=\"true\"}`",
			"%s takes no basic authentication", s.address())
	case s.auth == authNTLM && !negotiate:
		return kit.Trouble(fault.Unauthenticated, "set auth=basic with https, or let it on the machine: `winrm set winrm/config/service/auth @{Negotiate=\"true\"}`",
			"%s takes no NTLM authentication", s.address())
	}
	return kit.Trouble(fault.Unauthenticated, "check user and password (a local user is .\\NAME or NAME, one of a domain DOMAIN\\NAME); basic knows local users only",
		"%s does not let %s in", s.address(), s.user)
}
