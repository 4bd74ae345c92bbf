package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/store"
)

// wayPatience is how long the controller's own address may take to answer it.
const wayPatience = 5 * time.Second

// wayIn looks at what an agent that dials stands on, from here: its credential, the address that agents are told, the port for agents.
func (s *Server) wayIn(ctx context.Context, n fleet.Node, tell func(fleet.Hop)) bool {
	clear := true
	for _, step := range []struct {
		name string
		look func(context.Context, fleet.NodeName) (text, hint string, err error)
	}{{"credential", s.lookAtCredential}, {"url", s.lookAtURL}, {"port", s.lookAtPort}} {
		if !clear || step.name == "port" && s.agents.listener == nil {
			break
		}
		start := time.Now()
		text, hint, err := step.look(ctx, n.Name)
		if err != nil {
			text, clear = err.Error(), false
		}
		tell(fleet.Hop{Name: step.name, OK: clear, Text: text, Hint: hint, Took: time.Since(start)})
	}
	return clear
}

// lookAtCredential says whether there is an agent's credential for a node, or a token with which to get one.
func (s *Server) lookAtCredential(ctx context.Context, n fleet.NodeName) (text, hint string, err error) {
	tokens := s.ledger.Tables.Auth
	have, err := tokens.Tokens(ctx, store.TokenFilter{Kind: auth.Agent, Node: string(n)})
	if err != nil {
		return "", "", err
	}
	if len(have) > 0 {
		newest := have[len(have)-1]
		return "given to its agent at " + newest.Created.UTC().Format(time.RFC3339), "", nil
	}
	joins, err := tokens.Tokens(ctx, store.TokenFilter{Kind: auth.Join, Node: string(n)})
	if err != nil {
		return "", "", err
	}
	hint = "outwork node token --node '" + string(n) + "' makes a token, and shows the command to run on the machine"
	now := s.cfg.Now()
	slices.SortFunc(joins, func(a, b store.Token) int { return cmp.Compare(a.Expires.Unix(), b.Expires.Unix()) })
	switch i := len(joins) - 1; {
	case i < 0:
		return "", hint, fault.New(fault.Unauthenticated, "no agent has joined as this node, and there is no join token for it")
	case now.Before(joins[i].Expires) && joins[i].UsedAt.IsZero():
		return "", "run the command that came with the token on the machine; " + hint,
			fault.New(fault.Unauthenticated, "no agent has joined as this node: its join token waits until %s", joins[i].Expires.UTC().Format(time.RFC3339))
	default:
		return "", hint, fault.New(fault.Unauthenticated, "no agent has joined as this node: its join token expired at %s", joins[i].Expires.UTC().Format(time.RFC3339))
	}
}

// lookAtURL calls the address that agents are told.
func (s *Server) lookAtURL(ctx context.Context, _ fleet.NodeName) (text, hint string, err error) {
	hint = "outwork server --url must be an address under which agents reach the controller; look at the proxy and the name server in between"
	ctx, cancel := context.WithTimeout(ctx, wayPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL()+"/healthz", nil)
	if err != nil {
		return "", hint, err
	}
	// Whom agents trust is not known here: only whether the certificate is one of these days.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Proxy: nil}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return "", hint, fmt.Errorf("the controller does not reach itself at %s: %w", s.URL(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", hint, fmt.Errorf("%s/healthz answers %s: that is not this controller", s.URL(), resp.Status)
	}
	if resp.TLS != nil {
		if err := current(resp.TLS, s.cfg.Now()); err != nil {
			return "", "get a new certificate, or set the clock of this machine right", err
		}
	}
	return s.URL() + " answers", "", nil
}

// current says whether a server's certificate is valid now.
func current(c *tls.ConnectionState, now time.Time) error {
	leaf := c.PeerCertificates[0]
	switch {
	case now.After(leaf.NotAfter):
		return errors.New("the certificate of the controller's address expired at " + leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return errors.New("the certificate of the controller's address is valid only from " + leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// lookAtPort calls the port for agents.
func (s *Server) lookAtPort(ctx context.Context, _ fleet.NodeName) (text, hint string, err error) {
	at := s.agents.listener.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "localhost"
	}
	address := net.JoinHostPort(host, fmt.Sprint(at.Port))
	conn, err := (&net.Dialer{Timeout: wayPatience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", "something on this machine keeps the port from answering: a firewall, or too many open files", err
	}
	conn.Close()
	return "the port for agents at " + s.AgentAddress() + " answers", "", nil
}
