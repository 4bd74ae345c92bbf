package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// Marks stand around what we want to read: a login shell may print what it likes before and after.
const (
	begin = "OUTWORK-BEGIN"
	end   = "OUTWORK-END"
)

// maxReply is how much of a short command's output is kept, in bytes.
const maxReply = 256 << 10

// machine is the far end of a way, in words that its shell understands.
type machine struct {
	way      *way
	s        *settings
	log      *kit.Log
	platform platform
}

// platform is what a machine is.
type platform struct {
	os, arch string // in Go's words
	shell    shell
	home     string // in the shell's words
	user     string
	clock    time.Time // as it said
	asked    time.Time // halfway between question and answer, by our clock
}

// shell says how a command line is written.
type shell int

const (
	posix      shell = iota // a Unix machine, or Cygwin and MinGW on Windows
	commandCom              // cmd.exe
	powerShell
)

// reply is what a short command said.
type reply struct {
	out  []byte
	err  string // the last line of its stderr
	code int
}

// run runs a short command and logs it. Its error is one of the connection; a command that fails has a code.
func (m *machine) run(ctx context.Context, command string, stdin io.Reader) (reply, error) {
	m.log.Printf("$ %s", command)
	return m.quietly(ctx, command, stdin)
}

func (m *machine) quietly(ctx context.Context, command string, stdin io.Reader) (reply, error) {
	session, err := m.way.client().NewSession()
	if err != nil {
		return reply{}, kit.Trouble(fault.Unavailable, "look at sshd's log there (MaxSessions, ForceCommand)", "open a session on %s: %w", m.way.target, err)
	}
	defer session.Close()
	out, said := &limited{}, &limited{}
	session.Stdout, session.Stderr, session.Stdin = out, said, stdin
	r := reply{}
	ended := make(chan error, 1)
	m.way.running.Go(func() { ended <- session.Run(command) }) // a session that is closed here ends only when the command there does
	select {
	case err = <-ended:
	case <-ctx.Done():
		return r, kit.Trouble(fault.Unavailable, "does the login shell there wait for something?", "run %q on %s: %w", clip(command), m.way.target, context.Cause(ctx))
	}
	r.out, r.err = out.b.Bytes(), lastLine(said.b.String())
	if exit := (*xssh.ExitError)(nil); errors.As(err, &exit) {
		r.code = exit.ExitStatus()
		return r, nil
	}
	if err != nil {
		return r, fault.New(fault.Unavailable, "run %q on %s: %w", clip(command), m.way.target, err)
	}
	return r, nil
}

// timed is a context for one short command.
func (m *machine) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, m.s.timeout, fmt.Errorf("no answer within %v", m.s.timeout))
}

// script runs lines of sh and returns what they said as name=value.
func (m *machine) script(ctx context.Context, text string) (map[string]string, reply, error) {
	ctx, cancel := m.timed(ctx)
	defer cancel()
	r, err := m.run(ctx, "sh -c "+quote("echo "+begin+"; "+text+"; echo "+end), nil)
	return fields(r.out), r, err
}

// fields reads the lines between the marks; nil when there are no marks.
func fields(out []byte) map[string]string {
	_, rest, ok := strings.Cut(strings.ReplaceAll(string(out), "\r\n", "\n"), begin+"\n")
	body, _, complete := strings.Cut(rest, end)
	if !ok || !complete {
		return nil
	}
	m := map[string]string{}
	for line := range strings.Lines(body) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m
}

const (
	askUnix    = `echo system="$(uname -s)"; echo machine="$(uname -m)"; echo home="$HOME"; echo user="$(id -un)"; echo clock="$(date +%s)"`
	askWindows = `cmd.exe /d /c "echo ` + begin + `& echo system=windows& echo machine=%PROCESSOR_ARCHITECTURE%& echo home=%USERPROFILE%& echo user=%USERNAME%& echo ` + end + `"`
	// PowerShell puts a number there; cmd.exe does not know the name.
	askShell = `echo version=$PSVersionTable.PSVersion.Major`
)

// detect finds out what the machine is.
func (m *machine) detect(ctx context.Context) error {
	start := time.Now()
	said, r, err := m.script(ctx, askUnix)
	if err != nil {
		return err
	}
	if said == nil {
		return m.detectWindows(ctx, r)
	}
	m.platform = platform{home: said["home"], user: said["user"], asked: start.Add(time.Since(start) / 2)}
	if sec, err := strconv.ParseInt(said["clock"], 10, 64); err == nil {
		m.platform.clock = time.Unix(sec, 0)
	}
	return m.platform.name(said["system"], said["machine"])
}

func (m *machine) detectWindows(ctx context.Context, unix reply) error {
	ctx, cancel := m.timed(ctx)
	defer cancel()
	r, err := m.run(ctx, askWindows, nil)
	if err != nil {
		return err
	}
	said := fields(r.out)
	if said == nil {
		return kit.Trouble(fault.Incompatible, "the user needs a shell there that runs commands, and no ForceCommand that does something else",
			"the shell of %s runs neither sh nor cmd.exe; it said %q", m.way.target, clip(string(unix.out)+" "+unix.err+" "+r.err))
	}
	m.platform = platform{home: said["home"], user: said["user"], shell: commandCom}
	if r, err = m.run(ctx, askShell, nil); err != nil {
		return err
	}
	if !bytes.Contains(r.out, []byte("$PSVersionTable")) {
		m.platform.shell = powerShell
	}
	return m.platform.name(said["system"], said["machine"])
}

var (
	systems  = map[string]string{"Linux": "linux", "Darwin": "darwin", "FreeBSD": "freebsd", "OpenBSD": "openbsd", "NetBSD": "netbsd", "SunOS": "solaris", "windows": "windows"}
	machines = map[string]string{
		"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i386": "386", "i486": "386", "i586": "386", "i686": "386", "x86": "386",
		"armv6l": "arm", "armv7l": "arm", "armv8l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "loongarch64": "loong64",
	}
)

// name translates what uname says. S1-22: Cygwin, MinGW and MSYS are Windows with a Unix shell.
func (p *platform) name(system, machine string) error {
	for _, prefix := range []string{"CYGWIN", "MINGW", "MSYS"} {
		if strings.HasPrefix(system, prefix) {
			system = "windows"
		}
	}
	p.os, p.arch = systems[system], machines[strings.ToLower(machine)]
	if p.os == "" || p.arch == "" {
		return fault.New(fault.Incompatible, "the machine says it is %q on %q: expected one of the systems that agents are built for", system, machine)
	}
	return nil
}

// root is the agent's folder, in the shell's words.
func (m *machine) root() string {
	if m.platform.shell != posix {
		return m.windowsRoot()
	}
	r := m.s.root
	if r == "" {
		r = ".outwork/nodes/" + string(m.s.node)
	}
	r = strings.TrimPrefix(r, "~/")
	if drive(r) || strings.HasPrefix(r, `\\`) { // Cygwin understands both ways of writing
		return strings.ReplaceAll(r, `\`, "/")
	}
	if !path.IsAbs(r) {
		r = path.Join(m.platform.home, r)
	}
	return path.Clean(r)
}

func (m *machine) windowsRoot() string {
	r := strings.ReplaceAll(m.s.root, "/", `\`)
	if r == "" {
		r = `.outwork\nodes\` + string(m.s.node)
	}
	if !drive(r) && !strings.HasPrefix(r, `\\`) {
		r = m.platform.home + `\` + strings.TrimPrefix(r, `~\`)
	}
	return strings.TrimRight(r, `\`)
}

// drive reports whether a path begins as C: does.
func drive(p string) bool {
	return len(p) >= 2 && p[1] == ':' && (p[0]|0x20) >= 'a' && (p[0]|0x20) <= 'z'
}

// agentPath is where the agent's binary is kept, in the shell's words.
func (m *machine) agentPath(name string) string {
	p := m.s.agentPath
	switch {
	case p == "" && m.platform.shell == posix:
		return m.root() + "/bin/" + name
	case p == "":
		return m.root() + `\bin\` + name
	case m.platform.shell == posix && !path.IsAbs(p) && !drive(p):
		return path.Join(m.platform.home, strings.TrimPrefix(p, "~/"))
	}
	return p
}

// quote makes one word of s for a shell of Unix. What needs no quotes gets none, so that people can read it.
func quote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:,+@%=", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// limited keeps the beginning of what is written.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.b.Write(p[:min(len(p), maxReply-l.b.Len())])
	return len(p), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func clip(s string) string {
	if s = strings.TrimSpace(s); len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
