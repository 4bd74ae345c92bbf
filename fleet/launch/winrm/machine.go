package winrm

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// machine is one that was logged in to.
type machine struct {
	s     *settings
	sh    *shell
	log   *kit.Log
	place place
}

// place is what a machine is, and where the agent lives on it.
type place struct {
	arch    string // in Go's words
	version string // as Windows says it
	top     string // folder that is locked when it is made: of all agents, or root
	root    string // the agent's folder
	exe     string // its program
	verb    string // that stands before an agent's flags: "agent" when the program is the whole of Outwork
}

// login opens a shell. That is the first time that the machine looks at the password.
func (l *Launcher) login(ctx context.Context, s *settings, k keys, log *kit.Log) (*machine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, s.mute(fmt.Errorf("waited %v", s.timeout)))
	defer cancel()
	log.Printf("Logging in as %s at %s://%s/wsman (%s)", s.user, s.scheme(), s.address(), s.auth)
	l.warn(s, log)
	sh, err := s.client(k).open(ctx)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	return &machine{s: s, sh: sh, log: log}, nil
}

// warn tells of what a person has switched off.
func (l *Launcher) warn(s *settings, log *kit.Log) {
	switch {
	case s.insecure:
		log.Printf("WARNING: insecure=true: whoever answers at this address is taken for the machine, and learns the password")
		l.cfg.Log.Warn("the certificate of a machine is not looked at", "node", s.node, "host", s.host)
	case s.auth == authBasic && !s.https:
		log.Printf("WARNING: allowUnencrypted=true: the password and the agent's credential go over the network in the clear")
		l.cfg.Log.Warn("the password of a machine goes over the network in the clear", "node", s.node, "host", s.host)
	}
}

func (m *machine) close() { m.sh.close() }

// run runs a command line as it is written into the log.
func (m *machine) run(ctx context.Context, line string) (result, error) {
	return m.within(ctx, m.s.timeout, line, nil)
}

func (m *machine) within(ctx context.Context, long time.Duration, line string, stdin io.Reader) (result, error) {
	m.log.Printf("> %s", line)
	ctx, cancel := context.WithTimeoutCause(ctx, long, fault.New(fault.Unavailable, "it has not ended within %v: %s", long, line))
	defer cancel()
	r, err := m.sh.run(ctx, line, stdin)
	switch {
	case err != nil || r.code == 0:
	case strings.Contains(r.said(), missing):
		m.log.Printf("There was no service")
	default:
		m.log.Printf("It ended with %d: %s", r.code, short(r.said()))
	}
	return r, err
}

// must is run for a command that has to succeed.
func (m *machine) must(ctx context.Context, what, line string) error {
	r, err := m.run(ctx, line)
	if err == nil && r.code != 0 {
		err = m.explain(r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// explain makes an error of what a command said.
func (m *machine) explain(r result) error {
	said := short(r.said())
	switch {
	case strings.Contains(said, "not enough space on the disk"), strings.Contains(said, "disk is full"):
		return m.full("%s", said)
	case strings.Contains(strings.ToLower(said), "access is denied"):
		return kit.Trouble(fault.Denied, "let the user "+m.s.user+" be an administrator of the machine; a local one needs LocalAccountTokenFilterPolicy too", "%s", said)
	}
	if said == "" {
		said = fmt.Sprintf("exit code %d", r.code)
	}
	return fault.New(fault.Unavailable, "%s", said)
}

func (m *machine) full(format string, args ...any) error {
	return kit.Trouble(fault.Exhausted, "make room there, or set the node's remote root to a folder on another drive", format, args...)
}

// short cuts what is meant for one line.
func short(s string) string {
	if len(s) > 600 {
		return s[:300] + " … " + s[len(s)-290:]
	}
	return s
}

// quote makes one argument of text that settings.check let pass.
func quote(s string) string { return `"` + s + `"` }

const looking = `echo arch=%PROCESSOR_ARCHITECTURE%&echo wow=%PROCESSOR_ARCHITEW6432%&echo data=%ProgramData%&ver`

// look finds out what the machine is.
func (m *machine) look(ctx context.Context) error {
	r, err := m.run(ctx, looking)
	if err != nil {
		return fmt.Errorf("look at the machine: %w", err)
	}
	said := map[string]string{}
	for line := range strings.Lines(r.out) {
		line = strings.TrimSpace(line)
		if k, v, ok := strings.Cut(line, "="); ok && v != "" && v[0] != '%' {
			said[k] = strings.TrimSpace(v)
		} else if strings.Contains(line, "[") || strings.Contains(line, "Windows") {
			m.place.version = line
		}
	}
	arch := said["arch"]
	if said["wow"] != "" { // a shell of 32 bits
		arch = said["wow"]
	}
	known := map[string]string{"amd64": "amd64", "arm64": "arm64", "x86": "386"}
	if m.place.arch = known[strings.ToLower(arch)]; m.place.arch == "" {
		return fault.New(fault.Unavailable, "look at the machine: its shell is not cmd.exe of a Windows that is known: it says %q", short(r.said()))
	}
	return m.where(said["data"])
}

// where says where the agent lives.
func (m *machine) where(data string) error {
	p := &m.place
	p.root = strings.ReplaceAll(m.s.root, "/", `\`)
	p.top = p.root
	if p.root == "" {
		if !isFolder(data) {
			return fault.New(fault.Unavailable, "look at the machine: %%ProgramData%% is %q: set the node's remote root", data)
		}
		p.top = data + `\Outwork`
		p.root = p.top + `\agents\` + m.s.service
	}
	p.exe = p.root + `\bin\outwork-agent.exe`
	m.log.Printf("It is windows/%s (%s), the agent's folder is %s", p.arch, p.version, p.root)
	return nil
}

var digest = regexp.MustCompile(`(?m)^((?:[0-9A-Fa-f]{2} ?){32})\s*$`)

// hash is the SHA-256 of a file in lower-case hexadecimal, "" when there is none.
func (m *machine) hash(ctx context.Context, path string) (string, error) {
	r, err := m.run(ctx, "if exist "+quote(path)+" certutil -hashfile "+quote(path)+" SHA256")
	if err != nil {
		return "", err
	}
	if d := digest.FindStringSubmatch(r.out); d != nil {
		return strings.ToLower(strings.ReplaceAll(d[1], " ", "")), nil
	}
	if r.code == 0 && strings.TrimSpace(r.out) == "" {
		return "", nil
	}
	r, err = m.run(ctx, power("(Get-FileHash -Algorithm SHA256 -LiteralPath "+single(path)+").Hash"))
	if d := digest.FindStringSubmatch(r.out); d != nil || err != nil {
		return strings.ToLower(strings.Join(d[min(1, len(d)):], "")), err
	}
	return "", kit.Trouble(fault.Unavailable, "let the user run certutil or PowerShell on the machine", "the SHA-256 of %s cannot be had: %s", path, short(r.said()))
}

// power runs a command of PowerShell. It must have no double quotes.
func power(command string) string {
	return `powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "$ErrorActionPreference='Stop'; ` + command + `"`
}

// single is a string in PowerShell.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

var number = regexp.MustCompile(`\d+`)

// free is how much room the drive of the agent's folder has, in bytes; -1 when that is not known.
func (m *machine) free(ctx context.Context) (int64, error) {
	r, err := m.run(ctx, `dir /-c `+quote(m.place.root[:2]+`\`))
	if err != nil {
		return -1, err
	}
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	all := number.FindAllString(lines[len(lines)-1], -1)
	if r.code != 0 || len(all) == 0 {
		return -1, nil
	}
	n, err := strconv.ParseInt(all[len(all)-1], 10, 64)
	if err != nil {
		return -1, nil
	}
	return n, nil
}

// size is for people.
func size(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
