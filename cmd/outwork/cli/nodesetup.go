package cli

import (
	"github.com/spf13/pflag"

	"github.com/outwork-build/outwork/api"
)

// setupFlags are the flags of what is done before a node's first use.
type setupFlags struct{ api.NodeSetup }

func (s *setupFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&s.Files, "setup-files", "", "`folder` of the controller whose files are copied to the machine before its first use, and when they have changed")
	fs.StringVar(&s.Prepare, "setup-prepare", "", "`command` that is run on the controller before that")
	fs.StringVar(&s.Command, "setup-command", "", "`script` that is run on the machine after that; the setup flags that are given stand for the whole setup, and empty ones take it away")
	fs.StringVar(&s.Timeout, "setup-timeout", "", "how long all of it may take (default 30m)")
}

// given is the setup, if any of it was given.
func (s *setupFlags) given(fs *pflag.FlagSet) *api.NodeSetup {
	for _, name := range []string{"setup-files", "setup-prepare", "setup-command", "setup-timeout"} {
		if fs.Changed(name) {
			return &s.NodeSetup
		}
	}
	return nil
}
