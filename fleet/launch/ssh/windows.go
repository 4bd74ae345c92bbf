package ssh

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// Machines with Windows' own sshd: the shell is cmd.exe or PowerShell, which quote in different ways, so that all but the start is done by
// sftp.

func (m *machine) prepareWindows(b dist.Binary) place {
	p := m.where(b)
	p.write = true // sftp will say
	return p
}

// installWindows copies the binary unless our stamp and its size say that it is there.
func (m *machine) installWindows(ctx context.Context, b dist.Binary, p place) error {
	c, done, err := m.openSFTP(ctx)
	if err != nil {
		return kit.Trouble(fault.Incompatible, "turn the sftp subsystem on in its sshd_config, or set agentPath and copy=false", "copy the agent to %s: %w", m.way.target, err)
	}
	defer done()
	to := sftpPath(p.path)
	if stamped(c, b, to) {
		m.log.Printf("The agent at %s is up to date (sha256 %.12s), nothing is copied", p.path, b.SHA256)
		return nil
	}
	start, tmp := time.Now(), to+".part"
	_ = c.Remove(tmp)
	_ = c.Remove(to + ".sha256")
	err = errors.Join(c.MkdirAll(path.Dir(to)), c.MkdirAll(sftpPath(p.root)))
	if err == nil {
		err = send(c, b, tmp)
	}
	if err == nil {
		err = replace(c, tmp, to)
	}
	if err == nil {
		err = stamp(c, b, to)
	}
	if err != nil {
		return kit.Trouble(fault.Unavailable, "check that user "+m.s.target().user+" may write there, and that the disk has room", "copy the agent to %s on %s: %w", p.path, m.way.target, err)
	}
	m.log.Printf("Copied the agent (%s, sha256 %.12s) to %s by sftp in %v", size(b.Size), b.SHA256, p.path, time.Since(start).Round(time.Millisecond))
	return nil
}

func stamped(c *sftp.Client, b dist.Binary, to string) bool {
	st, err := c.Stat(to)
	if err != nil || st.Size() != b.Size {
		return false
	}
	f, err := c.Open(to + ".sha256")
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	return err == nil && strings.TrimSpace(string(text)) == b.SHA256
}

// sftpPath is how Windows' sftp writes C:\a\b: /C:/a/b.
func sftpPath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if drive(p) {
		p = "/" + p
	}
	return p
}

// quoteWindows makes one word of s. Double quotes cannot be in a path.
func quoteWindows(sh shell, s string) string {
	if !strings.ContainsAny(s, " &()[]{}^=;!'+,`~$%@") {
		return s
	}
	if sh == powerShell {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + s + `"`
}
