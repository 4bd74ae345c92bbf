package tcp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Pin is the fingerprint of a controller's key: "sha256:" and the SHA-256 of the certificate's SubjectPublicKeyInfo in hex. The
// certificate may be renewed; the key stays. "" is none.
type Pin string

const sha = "sha256:"

// ParsePin understands hex, with or without colons, and base64, as curl and openssl print them. "" is no pin.
func ParsePin(s string) (Pin, error) {
	if s == "" {
		return "", nil
	}
	rest, ok := strings.CutPrefix(strings.ReplaceAll(s, "sha256//", sha), sha)
	if ok {
		if b, err := hex.DecodeString(strings.ReplaceAll(rest, ":", "")); err == nil && len(b) == sha256.Size {
			return Pin(sha + hex.EncodeToString(b)), nil
		}
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "=")); err == nil && len(b) == sha256.Size {
			return Pin(sha + hex.EncodeToString(b)), nil
		}
	}
	return "", fault.New(fault.Invalid, "pin %q: expected sha256: and 64 hexadecimal digits, as the controller prints it", s)
}

// PinOf is the pin of a certificate.
func PinOf(c *x509.Certificate) Pin {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return Pin(sha + hex.EncodeToString(sum[:]))
}

// Only returns a configuration that takes the key of the pin and no other, whatever the certificate says besides. base may be nil.
func (p Pin) Only(base *tls.Config) *tls.Config {
	return p.config(base, func(cs tls.ConnectionState) error {
		return fault.New(fault.Denied, "the controller shows the key %s, expected %s: either it was set up anew (then join again), or somebody stands in between", PinOf(cs.PeerCertificates[0]), p)
	})
}

// Or returns a configuration that takes the key of the pin, and any certificate that base would take. base may be nil.
func (p Pin) Or(base *tls.Config) *tls.Config {
	if p == "" {
		return base
	}
	var roots *x509.CertPool
	if base != nil {
		roots = base.RootCAs
	}
	return p.config(base, func(cs tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, DNSName: cs.ServerName, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(o)
		return err
	})
}

// config checks the pin itself, and asks otherwise what to do.
func (p Pin) config(base *tls.Config, otherwise func(tls.ConnectionState) error) *tls.Config {
	c := base.Clone()
	if c == nil {
		c = &tls.Config{}
	}
	c.InsecureSkipVerify = true // VerifyConnection does it
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if PinOf(cs.PeerCertificates[0]) == p {
			return nil
		}
		return otherwise(cs)
	}
	return c
}
