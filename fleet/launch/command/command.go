// Package command is the Launcher that runs a command on the controller: its standard input and output are the link.
//
// The command brings an agent up wherever it likes and joins it: ssh, docker exec, socat, telnet, a script. It is run by the
// system's shell in a process group of its own, which ends with the link; its standard error goes to the node's log. Who may set a
// node's command may run programs as the controller's user: the rooms above let administrators only.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/text"
)

// Config of a Launcher. The zero value works.
type Config struct {
	// URL is the address under which agents reach the controller, for the command's OUTWORK_URL and JENKINS_URL; "" sets neither.
	URL string
	// Download is where the agent's program can be had, for OUTWORK_AGENT_URL: "/OS/ARCH" is to be appended; "" does not set it.
	Download string
	// Env is added to the command's environment, "NAME=value". OUTWORK_ variables of this process are not handed down.
	Env []string
	// Grace is how long the command may take to end when its link is closed; 0 is 5 s.
	Grace time.Duration
}

// Launcher runs commands. All methods may be called concurrently.
type Launcher struct {
	cfg   Config
	turns turns
}

// New returns a Launcher.
func New(c Config) *Launcher { return &Launcher{cfg: c} }

// Check says what is wrong with the settings of n. fault.Invalid.
func (l *Launcher) Check(n fleet.Node) error {
	_, err := parse(n)
	return err
}

// Launch runs the command of n and returns when it has said something, with text framing when the agent has.
func (l *Launcher) Launch(ctx context.Context, n fleet.Node, log io.Writer) (wire.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	s, err := parse(n)
	if err != nil {
		return nil, err
	}
	done, _, err := l.turns.take(ctx, n.Name)
	if err != nil {
		return nil, err
	}
	defer done()
	link, err := l.launch(ctx, n, s, log)
	if err == nil {
		return &held{link, l.turns.runs(n.Name, link.Peer())}, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if fault.Of(err) == fault.Internal {
		err = fault.With(fault.Unavailable, err)
	}
	return nil, fmt.Errorf("launch %s: %w", n.Name, err)
}

func (l *Launcher) launch(ctx context.Context, n fleet.Node, s settings, log io.Writer) (wire.Link, error) {
	cmd := shell(s.command)
	cmd.Env = l.environ(n, s)
	cmd.Stderr = log
	apart(cmd)
	fmt.Fprintf(log, "Starting %s\n", line(cmd))
	process, err := stdio.Start(cmd, l.cfg.Grace)
	if err != nil {
		return nil, err
	}
	tree := &tree{Link: process, cmd: cmd, name: s.command}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fault.New(fault.Unavailable,
		"the agent said nothing within %v: see the node's log for what the command wrote; the node's setting timeout makes it wait longer", s.timeout))
	defer cancel()
	stop := context.AfterFunc(ctx, tree.kill)
	defer stop()
	if s.text {
		return text.Await(ctx, tree, tree.Peer(), log)
	}
	return awaitFirst(ctx, tree)
}

// awaitFirst waits for the first bytes: what goes wrong with a command does so before them.
func awaitFirst(ctx context.Context, t *tree) (wire.Link, error) {
	type read struct {
		data []byte
		err  error
	}
	first := make(chan read, 1)
	go func() {
		buf := make([]byte, 4<<10)
		n, err := t.Read(buf)
		first <- read{buf[:n], err}
	}()
	select {
	case r := <-first:
		if r.err == nil {
			t.rest = r.data
			return t, nil
		}
		t.Close()
		if errors.Is(r.err, io.EOF) {
			return nil, fault.New(fault.Unavailable, "the command ended without a word of an agent")
		}
		return nil, r.err
	case <-ctx.Done():
		t.Close()
		<-first
		return nil, context.Cause(ctx)
	}
}

// line is the command line for the node's log, as a person would repeat it.
func line(cmd *exec.Cmd) string {
	words := slices.Clone(cmd.Args)
	last := &words[len(words)-1]
	*last = "'" + strings.ReplaceAll(*last, "'", `'\''`) + "'"
	return strings.Join(words, " ")
}
