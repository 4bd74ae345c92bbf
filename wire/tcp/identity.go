package tcp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
)

// identityFile, in the controller's data folder, is only for its user to read.
const identityFile = "identity.pem"

// Identity is the controller's own key and certificate: agents know it by its Pin. It is read from the folder, or made there the
// first time: ECDSA P-256, self-signed, without an end. Who loses the file must have the agents join again.
func Identity(folder string) (tls.Certificate, Pin, error) {
	path := filepath.Join(folder, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = makeIdentity(path)
	}
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("controller's identity: %w", err)
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return tls.Certificate{}, "", fault.New(fault.Invalid, "%s is damaged: restore it from a backup, or remove it and have all agents join again: %w", path, err)
	}
	return c, PinOf(c.Leaf), nil
}

func makeIdentity(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Outwork controller"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: no end
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return b, durable.WriteFile(path, b)
}
