package serve

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/outwork-build/outwork/internal/fault"
)

// holderFile, in Root, says which agent works there. The machine's lock keeps others out; this only names it to them.
const holderFile = "agent.json"

type holder struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
}

// hold names this agent. One that cannot only stays nameless.
func hold(c Config) {
	b, err := json.Marshal(holder{PID: os.Getpid(), Name: c.Name, URL: c.URL})
	if err == nil {
		err = os.WriteFile(filepath.Join(c.Root, holderFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		c.Logger.Warn("this agent leaves no name in its folder", "error", err)
	}
}

// inUse names the agent that works in the folder, when that is why the machine could not be opened.
func inUse(c Config, err error) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	var h holder
	b, unread := os.ReadFile(filepath.Join(c.Root, holderFile))
	if unread != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 {
		return err
	}
	return fault.New(fault.Conflict, "%s: work dir in use by pid %d (agent %s): stop it, or give this one a --root of its own", c.Root, h.PID, h.Name)
}
