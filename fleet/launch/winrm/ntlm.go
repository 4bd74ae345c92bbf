package winrm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/bodgit/ntlmssp"

	"github.com/outwork-build/outwork/internal/fault"
)

// sealer encrypts what goes over a connection that NTLM has authenticated, and decrypts what comes ([MS-WSMV] 2.2.9.1).
type sealer struct{ session *ntlmssp.SecuritySession }

const (
	boundary   = "--Encrypted Boundary"
	sealedType = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
	octets     = "\tContent-Type: application/octet-stream\r\n"
)

// handshake authenticates a connection by NTLM: the next request goes over the same.
func (c *client) handshake(ctx context.Context) (*sealer, error) {
	user, domain := account(c.s.user)
	nt, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(user, c.password), ntlmssp.SetDomain(domain), ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
	if err != nil {
		return nil, fmt.Errorf("NTLM: %w", err)
	}
	var challenge []byte
	for range 2 {
		token, err := nt.Authenticate(challenge, nil)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "NTLM: the challenge of %s: %w", c.s.address(), err)
		}
		resp, _, err := c.raw(ctx, "", soapType, func(r *http.Request) {
			r.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
		})
		switch {
		case err != nil:
			return nil, err
		case nt.Complete() && resp.StatusCode == http.StatusOK:
			return c.session(nt)
		case resp.StatusCode != http.StatusUnauthorized:
			return nil, c.s.refused(resp)
		}
		if challenge != nil {
			break
		}
		if challenge = negotiated(resp.Header); challenge == nil {
			return nil, c.s.denied(resp.Header.Values("Www-Authenticate"))
		}
	}
	return nil, c.s.denied([]string{"negotiate"})
}

// session is nil-proof: without keys nothing is sent.
func (c *client) session(nt *ntlmssp.Client) (*sealer, error) {
	if nt.SecuritySession() == nil && c.s.sealed() {
		return nil, fault.New(fault.Denied, "%s does not agree to encryption: set https=true", c.s.address())
	}
	return &sealer{nt.SecuritySession()}, nil
}

// account takes DOMAIN\NAME and NAME@DOMAIN apart. The machine itself is "." or nothing.
func account(user string) (name, domain string) {
	if d, n, ok := strings.Cut(user, `\`); ok {
		if d == "." {
			d = ""
		}
		return n, d
	}
	name, domain, _ = strings.Cut(user, "@")
	return name, domain
}

// negotiated is the token of a challenge, nil when there is none.
func negotiated(h http.Header) []byte {
	for _, v := range h.Values("Www-Authenticate") {
		if text, ok := strings.CutPrefix(v, "Negotiate "); ok {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return b
			}
		}
	}
	return nil
}

func (s *sealer) wrap(message string) (body, contentType string, err error) {
	sealed, signature, err := s.session.Wrap([]byte(message))
	if err != nil {
		return "", "", fmt.Errorf("encrypt: %w", err)
	}
	var b strings.Builder
	b.WriteString(boundary + "\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n")
	fmt.Fprintf(&b, "\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n", len(message))
	b.WriteString(boundary + "\r\n" + octets)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(signature))))
	b.Write(signature)
	b.Write(sealed)
	b.WriteString(boundary + "--\r\n")
	return b.String(), sealedType, nil
}

var originalLength = regexp.MustCompile(`Length=(\d+)`)

// unwrap takes nothing that is not encrypted.
func (s *sealer) unwrap(contentType string, body []byte) (string, error) {
	if !strings.HasPrefix(contentType, "multipart/encrypted") {
		return "", fault.New(fault.Denied, "an answer came that is not encrypted (%q): it is not taken", contentType)
	}
	damaged := fault.New(fault.Unavailable, "an encrypted answer is damaged")
	head, rest, ok := bytes.Cut(body, []byte(octets))
	length := originalLength.FindSubmatch(head)
	if !ok || length == nil || len(rest) < 4 {
		return "", damaged
	}
	n, err := strconv.Atoi(string(length[1]))
	mark := binary.LittleEndian.Uint32(rest)
	if err != nil || uint64(len(rest)) < 4+uint64(mark)+uint64(n) || mark != 16 {
		return "", damaged
	}
	signature, sealed := rest[4:4+mark], rest[4+mark:4+int(mark)+n]
	plain, err := s.session.Unwrap(sealed, signature)
	if err != nil {
		return "", fault.New(fault.Unavailable, "an encrypted answer is damaged: %w", err)
	}
	return string(plain), nil
}
