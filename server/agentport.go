package server

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/tcp"
)

// agentPort is the port for agents besides the HTTP port. The zero value is none.
type agentPort struct {
	listener net.Listener
	endpoint tcp.Endpoint
	key      []byte // public, in DER
	server   *tcp.Server
}

// listenForAgents opens the port for agents, if there is to be one, with the controller's identity. hub takes the links.
func (s *Server) listenForAgents(hub *inbound.Hub) error {
	hub.Explain(s.wayIn)
	s.refused = hub.Refused
	if s.cfg.AgentListen == "" {
		return nil
	}
	cert, pin, err := tcp.Identity(s.cfg.Data)
	if err != nil {
		return err
	}
	l, err := listen("--agent-listen", s.cfg.AgentListen)
	if err != nil {
		return err
	}
	s.agents = agentPort{
		listener: l,
		endpoint: tcp.Endpoint{Port: l.Addr().(*net.TCPAddr).Port, Pin: pin},
		key:      cert.Leaf.RawSubjectPublicKeyInfo,
		server: tcp.NewServer(tcp.Config{
			TLS:   &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
			Admit: s.admit,
			Deliver: func(ctx context.Context, node string, l wire.Link) error {
				return hub.Deliver(ctx, fleet.NodeName(node), l)
			},
			Logger: s.log.With("room", "wire"),
		}),
	}
	return nil
}

// admit names the node whose credential a caller has.
func (s *Server) admit(ctx context.Context, c tcp.Caller) (string, error) {
	id, err := s.auth.Authenticate(ctx, c.Credential)
	if err == nil && id.Node == "" {
		err = fault.New(fault.Unauthenticated, "only an agent with its credential can connect here")
	}
	if err != nil {
		s.refused(c.Peer, err)
	}
	return id.Node, err
}

// route tells of the port: to Outwork's agents, and to probes that know Jenkins.
func (p *agentPort) route(mux *http.ServeMux) {
	mux.Handle("GET "+tcp.EndpointPath, p.endpoint)
	mux.HandleFunc("GET /tcpSlaveAgentListener/{$}", func(w http.ResponseWriter, r *http.Request) {
		if p.listener == nil {
			http.Error(w, "There is no port for agents: they connect to this one. outwork server --agent-listen opens one.", http.StatusNotFound)
			return
		}
		port, h := strconv.Itoa(p.endpoint.Port), w.Header()
		h.Set("X-Hudson-JNLP-Port", port)
		h.Set("X-Jenkins-JNLP-Port", port)
		h.Set("X-Instance-Identity", base64.StdEncoding.EncodeToString(p.key))
		h.Set("X-Jenkins-Agent-Protocols", "OUTWORK-AGENT")
		h.Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("Outwork: the port for agents is " + port + ". Start outwork agent; agent.jar cannot connect.\n"))
	})
}

// options are what an agent's command needs to come to the port for agents; "" when there is none. Where it listens at one address
// that is not that of the pages, the agent is told.
func (p *agentPort) options(pages string) string {
	if p.listener == nil {
		return ""
	}
	how := "--tcp"
	at := p.listener.Addr().(*net.TCPAddr).IP
	if u, err := url.Parse(pages); err == nil && !at.IsUnspecified() && u.Hostname() != at.String() {
		how = "--tunnel " + net.JoinHostPort(at.String(), "")
	}
	return " " + how + " --pin " + string(p.endpoint.Pin)
}

// JoinCommand is how one agent joins with a token.
func (s *Server) JoinCommand(token string) string {
	return "outwork agent --url " + s.URL() + s.agents.options(s.URL()) + " --token " + token
}

// AgentAddress is where the port for agents listens, as HOST:PORT; "" when there is none.
func (s *Server) AgentAddress() string {
	if s.agents.listener == nil {
		return ""
	}
	return s.agents.listener.Addr().String()
}
