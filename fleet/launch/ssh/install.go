package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// errNoSFTP says that the machine's sshd does not transfer files.
var errNoSFTP = errors.New("no sftp there")

// install brings the agent's binary there, unless it is there already. The old one stays until the new one is complete, and processes that
// run from it go on.
func (m *machine) install(ctx context.Context, b dist.Binary, p place) error {
	if !m.s.copy {
		return nil
	}
	if m.platform.shell != posix {
		return m.installWindows(ctx, b, p)
	}
	if p.current {
		m.log.Printf("The agent at %s is up to date (sha256 %.12s), nothing is copied", p.path, b.SHA256)
		return nil
	}
	if err := m.room(b, p); err != nil {
		return err
	}
	start := time.Now()
	tmp := p.path + ".part-" + strings.ToLower(rand.Text()[:8])
	way := "sftp"
	err := m.sftp(ctx, b, tmp, p.path)
	if errors.Is(err, errNoSFTP) {
		m.log.Printf("There is no sftp on %s (%v): copying with cat", m.way.target, err)
		way = "cat"
		err = m.cat(ctx, b, tmp, p.path)
	}
	if err != nil {
		m.remove(ctx, tmp)
		return m.notCopied(ctx, b, p, err)
	}
	m.log.Printf("Copied the agent (%s, %s/%s, sha256 %.12s) to %s by %s in %v", size(b.Size), b.OS, b.Arch, b.SHA256, p.path, way, time.Since(start).Round(time.Millisecond))
	return nil
}

// room checks before anything is written that it fits: a full disk hurts others on that machine too.
func (m *machine) room(b dist.Binary, p place) error {
	dir := p.path[:strings.LastIndexByte(p.path, '/')+1]
	if !p.write {
		return kit.Trouble(fault.Denied, "let that user write there, or set the node's remote root or agentPath to another folder",
			"copy the agent to %s: user %s may not write to %s (or its disk is read-only)", m.way.target, orText(m.platform.user, m.s.target().user), dir)
	}
	if p.free >= 0 && p.free < b.Size {
		return noRoom(m.way.target, dir, p.free, b.Size)
	}
	return nil
}

func noRoom(target, dir string, free, need int64) error {
	return kit.Trouble(fault.Exhausted, "free space there, or set the node's remote root or agentPath to another disk",
		"copy the agent to %s: the disk of %s is full: %s are free, the agent needs %s", target, dir, size(free), size(need))
}

// notCopied finds out why copying failed: sftp says "failure" for many a thing.
func (m *machine) notCopied(ctx context.Context, b dist.Binary, p place, err error) error {
	if fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
		return err
	}
	said, _, again := m.script(ctx, m.looking(p))
	if why := m.way.why(); why != nil {
		err = why
	}
	if again != nil {
		return fault.New(fault.Unavailable, "copy the agent to %s on %s: the connection ended: %w", p.path, m.way.target, err)
	}
	now := p.found(said, b)
	dir := p.path[:strings.LastIndexByte(p.path, '/')+1]
	if now.free >= 0 && now.free < b.Size || strings.Contains(err.Error(), "No space left") {
		return noRoom(m.way.target, dir, now.free, b.Size)
	}
	return kit.Trouble(fault.Unavailable, "check that user "+m.s.target().user+" may write there, and quotas", "copy the agent to %s on %s: %w", p.path, m.way.target, err)
}

// remove tidies up after a copy that failed.
func (m *machine) remove(ctx context.Context, tmp string) {
	ctx, cancel := m.timed(context.WithoutCancel(ctx))
	defer cancel()
	_, _ = m.run(ctx, "rm -f "+quote(tmp), nil)
}

// openSFTP starts an sftp session. errNoSFTP when there is no such thing, or noise instead.
func (m *machine) openSFTP(ctx context.Context) (*sftp.Client, func(), error) {
	session, err := m.way.client().NewSession()
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "open a session on %s: %w", m.way.target, err)
	}
	closed := func() { _ = session.Close() }
	w, err1 := session.StdinPipe()
	r, err2 := session.StdoutPipe()
	if err := errors.Join(err1, err2, session.RequestSubsystem("sftp")); err != nil {
		closed()
		return nil, nil, fmt.Errorf("%w: %w", errNoSFTP, err)
	}
	greeting, cancel := m.timed(ctx)
	defer cancel()
	stop := context.AfterFunc(greeting, closed)
	client, err := sftp.NewClientPipe(r, w, sftp.UseConcurrentWrites(true))
	if !stop() && err == nil {
		_ = client.Close()
		err = context.Cause(greeting)
	}
	if err != nil {
		closed()
		return nil, nil, fmt.Errorf("%w: %w", errNoSFTP, err)
	}
	stop = context.AfterFunc(ctx, closed)
	return client, func() { stop(); _ = client.Close(); closed() }, nil
}

// sftp writes the binary beside its place and moves it there.
func (m *machine) sftp(ctx context.Context, b dist.Binary, tmp, to string) error {
	c, done, err := m.openSFTP(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := send(c, b, tmp); err != nil {
		return err
	}
	if err := c.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("chmod %s: %w", tmp, err)
	}
	if err := c.PosixRename(tmp, to); err != nil {
		if err = replace(c, tmp, to); err != nil {
			return fmt.Errorf("rename to %s: %w", to, err)
		}
	}
	return stamp(c, b, to)
}

// send copies the file.
func send(c *sftp.Client, b dist.Binary, tmp string) error {
	src, err := os.Open(b.Path)
	if err != nil {
		return fault.New(fault.Internal, "read the agent: %w", err)
	}
	defer src.Close()
	dst, err := c.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	n, err := dst.ReadFrom(src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	st, err := c.Stat(tmp)
	if err != nil || st.Size() != b.Size || n != b.Size {
		return fmt.Errorf("write %s: %d of %d bytes arrived (%w)", tmp, n, b.Size, err)
	}
	return nil
}

// replace is a rename where there is no atomic one, and where a program that runs can be renamed but not replaced: Windows.
func replace(c *sftp.Client, tmp, to string) error {
	old := to + ".old"
	_ = c.Remove(old) // of the last time, if nothing runs from it any more
	if _, err := c.Stat(old); err == nil {
		old += "-" + strings.ToLower(rand.Text()[:8])
	}
	if err := c.Rename(to, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := c.Rename(tmp, to); err != nil {
		_ = c.Rename(old, to)
		return err
	}
	_ = c.Remove(old)
	return nil
}

// stamp writes what the binary is, for machines that cannot say it themselves.
func stamp(c *sftp.Client, b dist.Binary, to string) error {
	f, err := c.Create(to + ".sha256")
	if err != nil {
		return fmt.Errorf("create %s.sha256: %w", to, err)
	}
	_, err = io.WriteString(f, b.SHA256+"\n")
	return errors.Join(err, f.Close())
}

// cat copies through a shell. The parts are put together only when all has arrived.
func (m *machine) cat(ctx context.Context, b dist.Binary, tmp, to string) error {
	src, err := os.Open(b.Path)
	if err != nil {
		return fault.New(fault.Internal, "read the agent: %w", err)
	}
	defer src.Close()
	script := fmt.Sprintf(`cat > %[1]s && [ "$(wc -c < %[1]s)" -eq %[3]d ] && chmod 755 %[1]s && mv -f %[1]s %[2]s && echo %[4]s > %[2]s.sha256`,
		quote(tmp), quote(to), b.Size, b.SHA256)
	r, err := m.run(ctx, "sh -c "+quote(script), src)
	if err == nil && r.code != 0 {
		err = errors.New(orText(r.err, "not all of it arrived (exit status "+strconv.Itoa(r.code)+")"))
	}
	return err
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
