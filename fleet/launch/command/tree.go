package command

import (
	"fmt"
	"os/exec"
	"sync"

	"github.com/outwork-build/outwork/wire"
)

// tree is the link of a command, which ends with all that the command started in its process group.
type tree struct {
	wire.Link
	cmd  *exec.Cmd
	name string
	rest []byte // read before the link was handed out
	once sync.Once
}

func (t *tree) Peer() string { return fmt.Sprintf("%s (pid %d)", t.name, t.cmd.Process.Pid) }

// Noise implements wire.Noisy.
func (t *tree) Noise() int {
	n, ok := t.Link.(wire.Noisy)
	if !ok {
		return 0
	}
	return n.Noise()
}

func (t *tree) Read(p []byte) (int, error) {
	if len(t.rest) > 0 {
		n := copy(p, t.rest)
		t.rest = t.rest[n:]
		return n, nil
	}
	return t.Link.Read(p)
}

// Close gives the command its time to end, and then ends what is left of the group.
func (t *tree) Close() error {
	err := t.Link.Close()
	t.once.Do(t.kill) // later the number may be another group's
	return err
}

// kill ends the group at once.
func (t *tree) kill() { killGroup(t.cmd.Process.Pid) }
