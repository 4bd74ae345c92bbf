package ssh

import (
	"bytes"
	"errors"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/internal/fault"
)

// ParseKey reads a private key: OpenSSH, PEM (PKCS#1, SEC 1), PKCS#8 or PuTTY's PPK of version 2 and 3. The passphrase is nil for a key
// that has none. fault.Invalid says what is wrong with it, and never shows any of it.
func ParseKey(text, passphrase []byte) (xssh.Signer, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte(ppkMagic)) {
		return parsePPK(text, passphrase)
	}
	signer, err := xssh.ParsePrivateKey(text)
	if missing := (*xssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		if len(passphrase) == 0 {
			return nil, fault.New(fault.Invalid, "the key is encrypted: set passphrase")
		}
		signer, err = xssh.ParsePrivateKeyWithPassphrase(text, passphrase)
	}
	switch {
	case err == nil:
		return signer, nil
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("ssh-")) || bytes.HasPrefix(text, []byte("ecdsa-")):
		return nil, fault.New(fault.Invalid, "this is a public key: expected the private one, the file without .pub")
	case strings.Contains(err.Error(), "decryption password incorrect"):
		return nil, fault.New(fault.Invalid, "the passphrase is wrong")
	}
	return nil, fault.New(fault.Invalid, "not a private key that can be read (OpenSSH, PEM, PKCS#8 or PPK was expected): %w", err)
}

// parseCertificate makes a signer that shows a certificate of its key.
func parseCertificate(text []byte, signer xssh.Signer) (xssh.Signer, error) {
	key, _, _, _, err := xssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "not a certificate (the content of a file like id_ed25519-cert.pub was expected): %w", err)
	}
	cert, ok := key.(*xssh.Certificate)
	if !ok {
		return nil, fault.New(fault.Invalid, "this is a public key: expected a certificate, the file that ends in -cert.pub")
	}
	s, err := xssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the certificate is not of this key: %w", err)
	}
	return s, nil
}

// AuthorizedLine is the line of ~/.ssh/authorized_keys that lets a key in. It allows to run commands and to copy files, which is all
// that a launch needs.
func AuthorizedLine(signer xssh.Signer) string { return authorizedLine(signer.PublicKey(), "restrict") }

func authorizedLine(key xssh.PublicKey, options string) string {
	if cert, ok := key.(*xssh.Certificate); ok {
		key = cert.Key
	}
	return options + " " + strings.TrimSpace(string(xssh.MarshalAuthorizedKey(key))) + " outwork"
}
