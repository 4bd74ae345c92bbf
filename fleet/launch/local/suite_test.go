package local_test

import (
	"testing"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/local"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestSuite(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{
		New: func(t testing.TB) launchtest.Rig {
			program := launchtest.Program(t)
			l, err := local.New(local.Config{Root: t.TempDir(), Argv: []string{program}})
			if err != nil {
				t.Fatal(err)
			}
			return launchtest.Rig{Launcher: l, Node: fleet.Node{Name: "node 1"}, Says: []string{"Starting " + program + " --stdio --name node 1", "msg=connected"}}
		},
		Wrong: []launchtest.Wrong{
			{Name: "name", Change: func(n *fleet.Node) { n.Name = "../n" }, Kind: fault.Invalid, Says: "../n"},
		},
	})
}
