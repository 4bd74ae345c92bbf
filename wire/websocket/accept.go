package websocket

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// InstanceHeader is where an agent says which process of which boot it is; see link.Instance.
const InstanceHeader = "Outwork-Agent-Instance"

const maxInstance = 256

// Accept makes a Link of a request for a WebSocket. The caller has checked who it is that calls. When it fails it has answered
// the request. The link outlives the request: the handler may return.
func Accept(w http.ResponseWriter, r *http.Request) (wire.Link, error) {
	instance := r.Header.Get(InstanceHeader)
	if len(instance) > maxInstance || !utf8.ValidString(instance) {
		http.Error(w, InstanceHeader+": expected at most 256 bytes of UTF-8", http.StatusBadRequest)
		return nil, fault.New(fault.Invalid, "%s: %d bytes, expected at most %d of UTF-8", InstanceHeader, len(instance), maxInstance)
	}
	if !asks(r, Subprotocol) {
		http.Error(w, "expected the WebSocket subprotocol "+Subprotocol, http.StatusUpgradeRequired)
		return nil, fault.New(fault.Incompatible, "%s asked for no WebSocket subprotocol %s", r.RemoteAddr, Subprotocol)
	}
	h := &hijacked{ResponseWriter: w}
	// An agent sends no Origin. A browser does, and has no business here: the library refuses a foreign one.
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, fault.New(fault.Invalid, "accept WebSocket of %s: %w", r.RemoteAddr, err)
	}
	return newLink(conn, below(h.conn), r.RemoteAddr, instance), nil
}

func asks(r *http.Request, protocol string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for _, p := range splitList(line) {
			if p == protocol {
				return true
			}
		}
	}
	return false
}

// hijacked keeps the connection that the library takes over.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err == nil && conn == nil {
		err = errors.New("no connection")
	}
	h.conn = conn
	return conn, rw, err
}
