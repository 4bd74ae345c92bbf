package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/websocket"
)

// An agent of a protocol that the controller does not speak is refused on both sides with both versions, and its node says so.
func TestWrongProtocol(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	tok, err := w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.Join{Token: tok.Secret, Name: "future", Executors: 1})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(w.URL+"/api/v1/agents/join", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var joined api.Joined
	if err := json.NewDecoder(resp.Body).Decode(&joined); err != nil || joined.Credential == "" {
		t.Fatalf("%s: %+v, %v", resp.Status, joined, err)
	}
	link, err := websocket.Dial(w.Context(), websocket.DialConfig{URL: w.URL + "/api/v1/agents/connect",
		Header: http.Header{"Authorization": {"Bearer " + joined.Credential}, websocket.InstanceHeader: {"test/1/1"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wire.Handshake(w.Context(), link, wire.Hello{Protocol: wire.Protocol + 98, MinProtocol: wire.Protocol + 98, Version: "99.0", Name: "future"})
	if !fault.Is(err, fault.Incompatible) || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("the agent's side: %v", err)
	}
	w.Await("the node to say it", func() bool {
		n, err := w.Client.Node(w.Context(), "future")
		return err == nil && n.State != "online" && n.Offline != nil && strings.Contains(n.Offline.Text, "99.0") && strings.Contains(n.Offline.Text, "upgrade")
	})
}
