package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/websocket"
)

// credentialFile, in Root, is only for the agent's user to read.
const credentialFile = "credential.json"

// credential is what the agent has of its own after it has joined.
type credential struct {
	URL        string `json:"url"` // of the controller that gave it; it is sent to no other
	Name       string `json:"name"`
	Credential string `json:"credential"`
	// Pin is the controller's key on its port for agents, once the agent has been there; "" before.
	Pin tcp.Pin `json:"pin,omitempty"`
}

// loadCredential returns the one for url, or nil when the agent has to join first.
func loadCredential(root, url string) (*credential, error) {
	path := filepath.Join(root, credentialFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	var c credential
	if err := json.Unmarshal(b, &c); err != nil || c.Credential == "" {
		return nil, fault.New(fault.Invalid, "%s is damaged: remove it and join again with a new --token (%w)", path, err)
	}
	if c.URL != url {
		return nil, nil
	}
	return &c, nil
}

// save is atomic: a crash leaves the old file or the new one.
func (c *credential) save(root string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("save credential: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(root, credentialFile), append(b, '\n')); err != nil {
		return fmt.Errorf("save credential: %w", err)
	}
	return nil
}

// join exchanges the one-use token for a credential and keeps it.
func join(ctx context.Context, c Config) (*credential, error) {
	body, err := json.Marshal(api.Join{Token: c.Token, Name: c.Name, Labels: c.Labels, Executors: c.Executors, Mode: c.Mode, Description: c.Description})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/api/v1/agents/join", bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "join: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	client := c.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "join: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		r := websocket.NewRefusal(resp)
		if r.Kind == fault.Conflict { // the name is taken: asking again does not change that
			r.Kind = fault.Denied
		}
		return nil, fmt.Errorf("join %s: %w", c.URL, r.Err())
	}
	var joined api.Joined
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&joined); err != nil || joined.Credential == "" || joined.Name == "" {
		return nil, fault.New(fault.Incompatible, "join %s: the answer is not one of an outwork controller (%w)", c.URL, err)
	}
	cred := &credential{URL: c.URL, Name: joined.Name, Credential: joined.Credential}
	return cred, cred.save(c.Root)
}
