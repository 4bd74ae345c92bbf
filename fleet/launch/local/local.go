// Package local is the Launcher that starts an agent as a child process of the controller.
//
// The child speaks over its stdin and stdout and writes its log to the node's. It ends when its link is closed or the controller
// dies; the shims of its steps live on and are found again by the next agent over the same folder.
package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
)

// Config of a Launcher. Root must be set.
type Config struct {
	// Root is the folder below which each node gets a folder of its own, when its RemoteRoot is empty.
	Root string
	// Argv starts an agent; --stdio, --name and --root are added. Empty is this program's own "agent" verb.
	Argv []string
	// Env is added to the agent's environment, "NAME=value". OUTWORK_ variables of this process are not handed down.
	Env []string
	// Grace is how long the child may take to end when its link is closed; 0 is 5 s.
	Grace time.Duration
}

// Launcher starts agents. All methods may be called concurrently.
type Launcher struct{ cfg Config }

// New checks the configuration.
func New(c Config) (*Launcher, error) {
	if c.Root == "" {
		return nil, fault.New(fault.Invalid, "local launcher: Root is empty: expected a folder")
	}
	if len(c.Argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fault.New(fault.Internal, "local launcher: find this program: %w", err)
		}
		c.Argv = []string{self, "agent"}
	}
	return &Launcher{c}, nil
}

// Launch starts the agent of n.
func (l *Launcher) Launch(ctx context.Context, n fleet.Node, log io.Writer) (wire.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := l.root(n)
	if err != nil {
		return nil, err
	}
	argv := append(append([]string{}, l.cfg.Argv...), "--stdio", "--name", string(n.Name), "--root", root)
	fmt.Fprintf(log, "Starting %s\n", strings.Join(argv, " "))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(environ(), l.cfg.Env...)
	cmd.Stderr = log
	apart(cmd)
	link, err := stdio.Start(cmd, l.cfg.Grace)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "launch %s: %w", n.Name, err)
	}
	return link, nil
}

func (l *Launcher) root(n fleet.Node) (string, error) {
	if err := fleet.CheckName(n.Name); err != nil {
		return "", fault.With(fault.Invalid, err)
	}
	root := n.RemoteRoot
	if root == "" {
		root = filepath.Join(l.cfg.Root, string(n.Name))
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fault.New(fault.Invalid, "launch %s: folder %q: %w", n.Name, n.RemoteRoot, err)
	}
	return root, nil
}

// environ keeps the controller's own settings, tokens among them, from its agents.
func environ() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OUTWORK_") {
			out = append(out, kv)
		}
	}
	return out
}
