package tcp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// EndpointPath is where the controller's HTTP port tells agents of its port for agents. It needs no credential: nothing of it is
// secret.
const EndpointPath = "/api/v1/agents/endpoint"

// Endpoint is how agents reach the controller besides the HTTP port. It is the handler of EndpointPath.
type Endpoint struct {
	Port  int  `json:"port,omitempty"`  // of the Server; 0: there is none
	Plain bool `json:"plain,omitempty"` // it has no TLS
	Pin   Pin  `json:"pin,omitempty"`   // of its key; "": a CA vouches for its certificate
}

// ServeHTTP answers with the endpoint as JSON.
func (e Endpoint) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(e) // who does not hear it has left
}

// Ask asks the controller at the address that people open for its Endpoint. fault.Unavailable: it is not reached.
// fault.Incompatible: no Outwork controller of today answers there. fault.Denied: it has no port for agents.
func Ask(ctx context.Context, client *http.Client, address string) (Endpoint, error) {
	var e Endpoint
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+EndpointPath, nil)
	if err != nil {
		return e, fault.New(fault.Invalid, "ask %s for its port for agents: %w", address, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return e, fault.New(fault.Unavailable, "ask %s for its port for agents: %w", address, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return e, fault.New(fault.Denied, "%s has no port for agents: leave --tcp and --tunnel out, or start the controller with --agent-listen", address)
	case resp.StatusCode != http.StatusOK:
		return e, fault.New(fault.Unavailable, "ask %s for its port for agents: %s", address, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(&e); err != nil {
		return e, fault.New(fault.Incompatible, "ask %s for its port for agents: the answer is not one of an outwork controller: %w", address, err)
	}
	if e.Port == 0 {
		return e, fault.New(fault.Denied, "%s has no port for agents: leave --tcp and --tunnel out, or start the controller with --agent-listen", address)
	}
	if e.Pin, err = ParsePin(string(e.Pin)); err != nil {
		return e, fault.New(fault.Incompatible, "ask %s for its port for agents: %w", address, err)
	}
	return e, nil
}

// Tunnel is where to dial instead of where the controller says: "HOST:PORT", "HOST:" or ":PORT"; the half that is left out is
// the controller's own. "" is nothing.
type Tunnel string

// ParseTunnel checks s.
func ParseTunnel(s string) (Tunnel, error) {
	if s == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(s)
	hint := ""
	switch {
	case strings.Contains(s, ","):
		hint = fmt.Sprintf("; did you mean %q?", strings.Replace(s, ",", ":", 1))
	case strings.Contains(s, "://"):
		hint = "; it is no URL: leave " + s[:strings.Index(s, "://")+3] + " out"
	case err != nil:
		hint = fmt.Sprintf("; did you mean %q?", s+":")
	case host == "" && port == "":
		hint = "; both halves are missing"
	case port != "" && !isPort(port):
		hint = fmt.Sprintf("; %q is no port", port)
	default:
		return Tunnel(s), nil
	}
	return "", fault.New(fault.Invalid, "tunnel %q: expected HOST:PORT, HOST: or :PORT%s", s, hint)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// Address is what to dial: the tunnel's halves, and for what it leaves out the host of the controller's address and its port.
func (t Tunnel) Address(host string, port int) string {
	h, p, err := net.SplitHostPort(string(t))
	if err != nil || h == "" {
		h = host
	}
	if p == "" {
		p = strconv.Itoa(port)
	}
	return net.JoinHostPort(h, p)
}
