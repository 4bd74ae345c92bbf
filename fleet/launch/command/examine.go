package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/version"
	"github.com/outwork-build/outwork/wire"
)

var _ fleet.Examiner = (*Launcher)(nil)

// Examine looks at the settings, the shell, the program that the command names, and what the command says: an agent is started and
// greeted, unless the node's is there, and ends again.
func (l *Launcher) Examine(ctx context.Context, n fleet.Node, tell func(fleet.Hop)) {
	s, err := parse(n)
	see := func(name string, look func() (text, hint string, err error)) bool {
		start := time.Now()
		text, hint, err := look()
		if err != nil {
			text = err.Error()
		}
		tell(fleet.Hop{Name: name, OK: err == nil, Text: text, Hint: hint, Took: time.Since(start)})
		return err == nil
	}
	_ = see("settings", func() (string, string, error) {
		return s.command, "outwork node update '" + string(n.Name) + "' --launcher-config command=… changes them", err
	}) && see("shell", func() (string, string, error) { return findShell(s) }) &&
		see("program", func() (string, string, error) { return l.findProgram(ctx, n, s) }) &&
		see("agent", func() (string, string, error) { return l.hearAgent(ctx, n, s) })
}

func findShell(s settings) (text, hint string, err error) {
	cmd := shell(s.command)
	if cmd.Err != nil {
		return "", "", cmd.Err
	}
	if _, err := os.Stat(cmd.Path); err != nil {
		return "", "a command is run by the system's shell: in a container image without one, use another image", err
	}
	return cmd.Path, "", nil
}

// firstWord is the program that a command line begins with, if that can be seen.
var firstWord = regexp.MustCompile(`^\s*(?:[A-Za-z_][A-Za-z0-9_]*=[^\s'"$` + "`" + `]*\s+)*(?:exec\s+)?(?:'([^']+)'|"([^"$` + "`" + `\\]+)"|([A-Za-z0-9_./:\\+@%-]+))(?:\s|;|$)`)

// findProgram looks for the program where the command would find it.
func (l *Launcher) findProgram(ctx context.Context, n fleet.Node, s settings) (text, hint string, err error) {
	m := firstWord.FindStringSubmatch(s.command)
	if m == nil {
		return "not looked for: the command begins with more than a program's name", "", nil
	}
	name := m[1] + m[2] + m[3]
	path, err := lookUp(ctx, name, l.environ(n, s))
	if err == nil {
		return path, "", nil
	}
	hint = "install it on the controller, or name it by its whole path: the command runs as the controller's user, with the controller's PATH"
	if errors.Is(err, os.ErrPermission) {
		hint = "let the controller's user run it: chmod +x"
	}
	return "", hint, err
}

// hearAgent starts the command as Launch does, and greets what it leads to.
func (l *Launcher) hearAgent(ctx context.Context, n fleet.Node, s settings) (text, hint string, err error) {
	done, running, err := l.turns.take(ctx, n.Name)
	if err != nil {
		return "", "", err
	}
	defer done()
	if running != "" {
		return "it runs: " + running, "", nil
	}
	said := &tail{}
	link, err := l.launch(ctx, n, s, said)
	if err == nil {
		defer link.Close()
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		var g wire.Greeting
		if g, err = wire.Handshake(ctx, link, wire.Hello{Name: "controller", Version: version.String()}); err == nil {
			return "it speaks: Outwork " + g.Peer.Version, "", nil
		}
	}
	last := said.last()
	if last != "" && !strings.Contains(err.Error(), last) {
		err = fmt.Errorf("%w; it wrote: %s", err, last)
	}
	return "", advise(err.Error()), err
}

// advise says what to do about a command that does not lead to an agent, by what it ended with or wrote.
func advise(text string) string {
	for _, a := range []struct{ sign, hint string }{
		{"another agent works in it", "two nodes have the same folder, or an agent that was left goes on: give each node a --root of its own"},
		{"No such container", "start the container, or correct its name"},
		{"Cannot connect to the Docker daemon", "start Docker, and let the controller's user reach it"},
		{"Host key verification failed", "the ssh in the command does not know the machine: add it to known_hosts of the controller's user, or use launcher ssh"},
		{"Permission denied", "let the controller's user do that: the command runs as the user that the controller runs as"},
		{"Connection refused", "nothing listens there: start it, or correct the port"},
		{"exit status 127", "a program of the command is not there, on this machine or where it leads: outwork-agent must be installed at the far end"},
		{"exit status 126", "a program of the command may not be run: chmod +x, or a disk that is mounted noexec"},
		{"not speak", "the command must lead to: outwork-agent --stdio; nothing else may write to its standard output"},
		{"said nothing", "the command must lead to: outwork-agent --stdio; look whether it asks for a password"},
		{"without a word", "the command must lead to: outwork-agent --stdio, and stay until that ends"},
	} {
		if strings.Contains(text, a.sign) {
			return a.hint
		}
	}
	return "run the command by hand, as the controller's user: it must lead to outwork-agent --stdio"
}

// tail keeps the end of what is written to it. It may be used concurrently.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailKept = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-tailKept):]
	return len(p), nil
}

// last are the last lines that the command wrote, as one.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(t.kept) {
		if text := strings.TrimSpace(string(line)); text != "" && !strings.HasPrefix(text, "Starting ") {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
