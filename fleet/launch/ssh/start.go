package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// maxNoise is how much a login shell may print before the agent greets, in bytes.
const maxNoise = 64 << 10

// lastWords is how long the reason of an end may take to arrive after the end.
const lastWords = 2 * time.Second

// command is the line that starts the agent.
func (m *machine) command(b dist.Binary, p place) string {
	words := []string{p.path}
	if b.Verb != "" {
		words = append(words, b.Verb)
	}
	words = append(words, "--stdio", "--name", string(m.s.node), "--root", p.native)
	for i, w := range words {
		if m.platform.shell == posix {
			words[i] = quote(w)
		} else {
			words[i] = quoteWindows(m.platform.shell, w)
		}
	}
	if m.platform.shell == powerShell && strings.HasPrefix(words[0], "'") {
		words[0] = "& " + words[0]
	}
	line := strings.Join(words, " ")
	if m.s.prefix != "" {
		line = m.s.prefix + " " + line
	}
	if m.s.suffix != "" {
		line += " " + m.s.suffix
	}
	if m.platform.shell == posix {
		line = "cd " + quote(p.root) + " && " + line
	}
	return line
}

// start starts the agent; its stdin and stdout are the link.
func (l *Launcher) start(m *machine, b dist.Binary, p place) (wire.Link, error) {
	session, err := m.way.client().NewSession()
	if err != nil {
		return nil, kit.Trouble(fault.Unavailable, "look at sshd's log there (MaxSessions)", "open a session on %s: %w", m.way.target, err)
	}
	k := &link{l: l, m: m, place: p, session: session, writing: make(chan struct{}, 1), closing: make(chan struct{}), exited: make(chan struct{})}
	stdin, err1 := session.StdinPipe()
	stdout, err2 := session.StdoutPipe()
	k.stdin, k.stdout, k.said = stdin, stdout, &lines{log: m.log, each: k.hear}
	session.Stderr = k.said
	line := m.command(b, p)
	m.log.Printf("$ %s", line)
	if err := errors.Join(err1, err2, session.Start(line)); err != nil {
		_ = session.Close()
		return nil, fault.New(fault.Unavailable, "start the agent on %s: %w", m.way.target, err)
	}
	m.way.running.Go(k.wait)
	return k, nil
}

// link is a running agent. It implements wire.Link and wire.Noisy.
type link struct {
	l       *Launcher
	m       *machine
	place   place
	session *xssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	said    *lines
	pid     atomic.Int64 // of the agent, as it said; 0 is not known

	writing chan struct{} // holds a token while somebody writes: an ssh channel must not be written to while its end is announced
	closing chan struct{} // closed by Close
	exited  chan struct{} // closed when the agent has ended, or the connection
	err     error         // why; valid once exited is closed
	seen    bool          // the agent was seen to end; valid once exited is closed
	closed  sync.Once
}

func (k *link) Peer() string { return "agent on " + k.m.way.target }
func (k *link) Noise() int   { return maxNoise }

func (k *link) Write(p []byte) (int, error) {
	select {
	case <-k.closing:
		return 0, net.ErrClosed
	default:
	}
	select {
	case <-k.closing:
		return 0, net.ErrClosed
	case k.writing <- struct{}{}:
	}
	defer func() { <-k.writing }()
	return k.stdin.Write(p)
}

// hear looks for the agent's process id in what it says.
func (k *link) hear(line []byte) {
	if k.pid.Load() != 0 {
		return
	}
	_, rest, ok := strings.Cut(string(line), " pid=")
	if !ok {
		return
	}
	digits := strings.FieldsFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if len(digits) > 0 {
		if n, err := strconv.ParseInt(digits[0], 10, 32); err == nil && n > 1 {
			k.pid.Store(n)
		}
	}
}

func (k *link) wait() {
	err := k.session.Wait()
	last := k.said.end()
	k.err = k.ended(err, last)
	exit := (*xssh.ExitError)(nil)
	k.seen = err == nil || errors.As(err, &exit)
	close(k.exited)
}

// ended explains the end. nil is an exit in good order.
func (k *link) ended(err error, last string) error {
	if err == nil {
		return nil
	}
	exit := (*xssh.ExitError)(nil)
	if !errors.As(err, &exit) {
		if why := k.m.way.why(); why != nil {
			err = why
		}
		return fault.New(fault.Unavailable, "the ssh connection with %s ended: %w", k.m.way.target, err)
	}
	how := fmt.Sprintf("exit status %d", exit.ExitStatus())
	switch {
	case exit.Signal() != "":
		how = "killed by signal " + exit.Signal()
	case exit.ExitStatus() > 128:
		how += fmt.Sprintf(": killed by signal %d", exit.ExitStatus()-128)
	case last != "":
		how += ": " + last
	}
	hint := k.hint(exit.ExitStatus(), last)
	if hint == "" {
		return fault.New(fault.Unavailable, "the agent on %s ended (%s)", k.m.way.target, how)
	}
	return kit.Trouble(fault.Unavailable, hint, "the agent on %s did not start (%s)", k.m.way.target, how)
}

func (k *link) hint(code int, last string) string {
	switch {
	case strings.Contains(last, "Exec format"), strings.Contains(last, "cannot execute binary"):
		return fmt.Sprintf("the binary at %s is not for this machine, which is %s/%s", k.place.path, k.m.platform.os, k.m.platform.arch)
	case code == 126:
		return fmt.Sprintf("programs may not be run from there: is the disk of %s mounted noexec? Set agentPath to a place on another disk", k.place.path)
	case code == 127:
		return "check prefix and agentPath: a program named in the start command is not there"
	case strings.Contains(last, "another agent works in it"):
		return "it may be the one before, which has not noticed yet that it was left; or two nodes have the same remote root"
	}
	return ""
}

func (k *link) Read(p []byte) (int, error) {
	n, err := k.stdout.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-k.exited:
		if k.err != nil {
			return 0, k.err
		}
	case <-t.C:
	}
	return 0, err
}

// Close ends the agent: by the end of its stdin, else by signals, and logs out. S1-19: nothing is left running there but shims.
func (k *link) Close() error {
	k.closed.Do(func() {
		close(k.closing)
		late := time.AfterFunc(4*k.l.cfg.Grace, func() { k.m.way.giveUp(errors.New("the machine does not answer")) }) // each of what follows may block on a dead connection
		defer late.Stop()
		if !k.endStdin() || !k.gone(k.l.cfg.Grace) {
			k.kill()
		}
		_ = k.session.Close()
		k.m.way.Close()
		<-k.exited
		if pid := int(k.pid.Load()); pid != 0 && !k.seen {
			k.l.mu.Lock()
			k.l.left[k.m.s.node] = pid
			k.l.mu.Unlock()
		}
	})
	return nil
}

// endStdin tells the agent that nothing more comes. It cannot while a write waits for an agent that does not read.
func (k *link) endStdin() bool {
	t := time.NewTimer(min(lastWords, k.l.cfg.Grace))
	defer t.Stop()
	select {
	case k.writing <- struct{}{}: // and never given back
		_ = k.stdin.Close()
		return true
	case <-k.exited:
		return true
	case <-t.C:
		return false
	}
}

// gone waits for the agent's end.
func (k *link) gone(patience time.Duration) bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-k.exited:
		return true
	case <-t.C:
		return false
	}
}

// kill ends an agent that does not end. sshd passes signals on only where it runs as the user, so there is a kill command as well. What
// cannot be reached now is ended before the next start.
func (k *link) kill() {
	k.m.log.Printf("The agent does not end: killing it")
	ctx, cancel := context.WithTimeout(context.Background(), k.l.cfg.Grace)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { k.m.way.giveUp(errors.New("the machine does not answer")) })
	defer stop()
	_ = k.session.Signal(xssh.SIGKILL)
	if pid := int(k.pid.Load()); pid != 0 && k.m.platform.os != "windows" {
		_, _ = k.m.run(ctx, killing(pid, k.m.s.node), nil)
	}
	k.gone(k.l.cfg.Grace)
}

// killing is a command that kills the agent of a node, and nothing else that has its process id by now.
func killing(pid int, n fleet.NodeName) string {
	script := fmt.Sprintf(`case "$( (tr '\0' ' ' < /proc/%[1]d/cmdline || ps -o args= -p %[1]d) 2>/dev/null)" in *%[2]s*) kill -KILL %[1]d;; esac`,
		pid, quote("--stdio --name "+string(n)+" --root "))
	return "sh -c " + quote(script)
}

// endFormer ends the agent that an earlier link of this node could not end.
func (l *Launcher) endFormer(ctx context.Context, m *machine) error {
	l.mu.Lock()
	pid := l.left[m.s.node]
	delete(l.left, m.s.node)
	l.mu.Unlock()
	if pid == 0 || m.platform.os == "windows" {
		return nil
	}
	ctx, cancel := m.timed(ctx)
	defer cancel()
	_, err := m.run(ctx, killing(pid, m.s.node), nil)
	return err
}

var (
	_ wire.Link  = (*link)(nil)
	_ wire.Noisy = (*link)(nil)
	_ Agents     = (*dist.Dist)(nil)
)
