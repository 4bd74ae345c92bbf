package rest

import (
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// nodeSetup is what the API says of a setup. Its commands are an admin's to see.
func nodeSetup(s *fleet.Setup) *api.NodeSetup {
	if s == nil {
		return nil
	}
	a := &api.NodeSetup{Files: s.Files, Prepare: s.Prepare, Command: s.Command}
	if s.Timeout > 0 {
		a.Timeout = s.Timeout.String()
	}
	return a
}

// changeSetup sets what is done before a node's first use; nil changes nothing, and an empty one takes it away.
func changeSetup(n *fleet.Node, u *api.NodeSetup) error {
	switch {
	case u == nil:
		return nil
	case *u == (api.NodeSetup{}):
		n.Setup = nil
		return nil
	}
	s := &fleet.Setup{Files: u.Files, Prepare: u.Prepare, Command: u.Command}
	if u.Timeout != "" {
		d, err := time.ParseDuration(u.Timeout)
		if err != nil || d <= 0 {
			return fault.New(fault.Invalid, "setup.timeout: %q: expected a time, such as 10m", u.Timeout)
		}
		s.Timeout = d
	}
	n.Setup = s
	return nil
}
