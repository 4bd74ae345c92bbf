package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
)

// Exit codes of an agent.
const (
	ExitOK      = 0 // asked to end, or the connection ended in good order
	ExitFailed  = 1 // anything else: it may work the next time
	ExitRefused = 2 // bad usage, or the controller does not take this agent: only a person can change it
)

// ExitCode is the exit code for what Run returned.
func ExitCode(err error) int {
	var took Exit
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &took):
		return int(took)
	case final(err):
		return ExitRefused
	}
	return ExitFailed
}

const usage = `outwork-agent runs the steps that an Outwork controller gives to this machine.

Usage:
  outwork-agent --url ADDRESS [--token TOKEN] [flags]

Example, the first time on a machine (the controller prints the token; it can be used once):
  outwork-agent --url https://ci.example.org --token owj_… --name gpu-7 --labels 'linux gpu'

and from then on:
  outwork-agent --url https://ci.example.org

Each flag can be given as an environment variable too: OUTWORK_URL for --url, and so on. HTTPS_PROXY and NO_PROXY are respected.
The log goes to stderr. On SIGTERM the agent ends; the steps it has started run on and are found again by the next agent over the
same folder.

As a service of the machine (systemd, launchd, Windows), also several with a name each:
  outwork-agent install --name gpu-7 --url https://ci.example.org --token owj_…
  outwork-agent status|stop|start|restart|uninstall --name gpu-7

Exit codes: 0 asked to end, 1 failed, 2 bad usage or refused by the controller.

Flags:
`

// Main is the whole of the program outwork-agent: it ends with SIGINT or SIGTERM and returns the exit code. It may be called as the whole of
// Outwork is, outwork agent …: who starts a program that is there already need not know which of the two it is.
func Main(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "agent" {
		args = args[1:]
	}
	return MainUntil(context.Background(), "", args, getenv, stdout, stderr)
}

// MainUntil is Main that ends with ctx too. verb stands before the flags where the program is the whole of Outwork.
func MainUntil(ctx context.Context, verb string, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c := Config{Verb: verb, Argv: os.Args, Version: version.String(), Logger: slog.New(slog.NewTextHandler(stderr, nil))}
	fs := flag.NewFlagSet("outwork-agent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if err := c.Bind(fs, getenv); err != nil {
		return complain(stderr, err)
	}
	show := fs.Bool("version", false, "print the version and exit")
	args, ignored, err := Compat(args)
	if err == nil {
		err = fs.Parse(args)
	}
	c.Ignored = append(c.Ignored, ignored...)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return ExitOK
	case err != nil:
		return complain(stderr, fault.With(fault.Invalid, err))
	case *show:
		fmt.Fprintln(stdout, c.Version)
		return ExitOK
	}
	if err := c.Arguments(fs.Args()); err != nil {
		return complain(stderr, err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, c); err != nil {
		return complain(stderr, err)
	}
	return ExitOK
}

func complain(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "outwork-agent: %v\n", err)
	if fault.Is(err, fault.Invalid) {
		fmt.Fprintln(stderr, "See outwork-agent --help.")
	}
	return ExitCode(err)
}
