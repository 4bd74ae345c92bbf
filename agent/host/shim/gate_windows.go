package shim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A gate is the way to a shim where the system keeps no socket in a folder that is the owner's alone: a port of the loopback
// interface, which every user of the machine can reach. Both sides prove by TLS that they hold the shim's key, which is in a file
// that only the owner can read: so nobody else is listened to, nobody else is taken for the shim, and nobody who can watch the
// interface sees what a step's environment holds.
type gate struct {
	net.Listener
	key     *tls.Config
	through chan net.Conn
	pending chan struct{} // a token for each connection that has not proved itself
	shut    chan struct{} // closed when no more come
}

const (
	// maxPending bounds connections that have not proved themselves. More wait for their turn: a refused one would look as if
	// there were no shim.
	maxPending = 32
	// proofPatience is how long a proof may take.
	proofPatience = 5 * time.Second
)

// newGate lets those who hold the key come through to l.
func newGate(l net.Listener, key ed25519.PrivateKey) (*gate, error) {
	conf, err := holding(key)
	if err != nil {
		return nil, err
	}
	g := &gate{Listener: l, key: conf, through: make(chan net.Conn), pending: make(chan struct{}, maxPending), shut: make(chan struct{})}
	go g.run()
	return g, nil
}

func (g *gate) run() {
	defer close(g.shut)
	for {
		g.pending <- struct{}{}
		conn, err := g.Listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { <-g.pending }()
			proved, err := prove(tls.Server(conn, g.key))
			if err != nil {
				return
			}
			select {
			case g.through <- proved:
			case <-g.shut:
				_ = proved.Close()
			}
		}()
	}
}

// Accept returns the next connection that has proved itself.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case conn := <-g.through:
		return conn, nil
	case <-g.shut:
		return nil, net.ErrClosed
	}
}

// enter connects to the gate at addr.
func enter(addr string, key ed25519.PrivateKey) (net.Conn, error) {
	conf, err := holding(key)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", addr, proofPatience)
	if err != nil {
		return nil, err
	}
	proved, err := prove(tls.Client(conn, conf))
	if err != nil { // its cause stays out of it: an end of the connection here does not say that the shim has ended
		return nil, fmt.Errorf("who answers at %s is not the shim, or is busy: %v", addr, err)
	}
	return proved, nil
}

func prove(conn *tls.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), proofPatience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.NetConn().Close()
		return nil, err
	}
	return conn, nil
}

// holding is what either side of a gate is made of: a certificate of the one key, and the demand for such a one.
func holding(key ed25519.PrivateKey) (*tls.Config, error) {
	plain := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, plain, plain, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the shim's certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // names and dates say nothing here; VerifyConnection asks for the key
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if other, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok || !other.Equal(key.Public()) {
				return errors.New("the other side has another key")
			}
			return nil
		},
	}, nil
}
