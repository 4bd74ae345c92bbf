//go:build unix

package ssh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/need"
)

// S1-18: with copy=false whatever is at agentPath is started rightly: the small agent, and the whole of Outwork. The controller has
// agents of its own kind or none; neither says what is there.
func TestAgentsThatAreThere(t *testing.T) {
	long(t)
	s := newSSHD(t, options{})
	program := need.Program(t, "golang", "go")
	for _, name := range []string{"outwork-agent", "outwork"} {
		at := filepath.Join(t.TempDir(), name)
		command(t, program, "build", "-o", at, "../../../cmd/"+name)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for about, from := range map[string]*dist.Dist{"small": agents(t), "none": dist.New(dist.Config{Folder: t.TempDir()}), "whole": dist.New(dist.Config{Self: self})} {
			l := launcher(t, ssh.Config{Agents: from})
			n := s.node("copy", "false", "agentPath", at, "prefix", "")
			n.RemoteRoot = filepath.Join(s.dir, fmt.Sprintf("root of %s, %s", name, about))
			connect(t, l, n, &buffer{}).Close()
		}
	}
}
