package server

import (
	"net/http"
	"os"
	"path/filepath"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/server/agents"
)

// binaries finds the agents that the controller hands out: in AgentsDir, else in agents-bin of the data folder when it is there, else
// beside this program, where `make agents` and the packages put them.
func binaries(c Config) *dist.Dist {
	self, err := os.Executable()
	if err != nil {
		self = ""
	}
	folder := c.AgentsDir
	if folder == "" {
		folder = filepath.Join(c.Data, "agents-bin")
		if _, err := os.Stat(folder); err != nil && self != "" {
			folder = filepath.Join(filepath.Dir(self), "agents")
		}
	}
	return dist.New(dist.Config{Folder: folder, Self: self})
}

// handOut serves the binaries and the scripts that fetch them.
func (s *Server) handOut(mux *http.ServeMux) {
	agents.Route(mux, agents.Config{Binaries: binaries(s.cfg), URL: s.URL, Options: s.agents.options, Log: s.log.With("room", "agents")})
}
