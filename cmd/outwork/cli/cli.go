// Package cli is the command line of Outwork: one file a verb.
//
// Verbs that ask a controller use api/client and nothing else. What a verb shows goes to standard output, as a table for
// people or, with --json, as the API's JSON; what it says about itself goes to standard error.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
)

// Exit codes. They are promised: scripts may rely on them.
const (
	exitOK          = 0
	exitFailed      = 1 // a build ended with another result than SUCCESS, or a fault without a code of its own
	exitUsage       = 2 // wrong flags or arguments, or input that the controller refused
	exitAuth        = 3 // not logged in, or not allowed
	exitNotFound    = 4
	exitConflict    = 5 // the present state does not allow it
	exitUnavailable = 6 // the controller cannot be reached, or is over a limit
	exitVersion     = 7 // versions that do not fit together
	exitInterrupted = 130
)

// exitCodes is the text of `outwork help exit-codes`.
const exitCodes = `Exit codes of outwork:

  0    success
  1    the build ended FAILURE, UNSTABLE, ABORTED or NOT_BUILT; or a fault of Outwork itself
  2    wrong flags or arguments, or input that was refused
  3    not logged in, or not allowed
  4    no such job, build, node or queue item
  5    the present state does not allow it (exists already, is finished, is disabled)
  6    the controller cannot be reached, or is over a limit
  7    versions that do not fit together (data folder, agent, controller)
  130  interrupted

outwork agent ends with 3 when its credential was refused and with 7 when the controller's version does not fit.`

// errResult ends a command whose build did not succeed; everything was said already.
type errResult struct{ result string }

func (e errResult) Error() string { return "the build ended " + e.result }

// errUsage marks mistakes in flags and arguments.
type errUsage struct{ error }

func exitCode(err error) int {
	var result errResult
	var usage errUsage
	var agent serve.Exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &agent):
		return int(agent)
	case errors.As(err, &result):
		return exitFailed
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	switch fault.Of(err) {
	case fault.Invalid:
		return exitUsage
	case fault.Unauthenticated, fault.Denied:
		return exitAuth
	case fault.NotFound:
		return exitNotFound
	case fault.Conflict, fault.Stale:
		return exitConflict
	case fault.Unavailable, fault.Exhausted:
		return exitUnavailable
	case fault.Incompatible:
		return exitVersion
	case fault.Canceled:
		return exitInterrupted
	}
	return exitFailed
}

var errInterrupted = errors.New("interrupted")

// env is what every verb has: streams, the flags that all share, the environment.
type env struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	json     bool
	url      string
	token    string
	config   string
	again    <-chan struct{} // closed when a second interrupt came; nil never comes

	agentIgnored []string // what stood in the agent verb's arguments for Jenkins' agent, and means nothing
	agentErr     error    // why these could not be read
}

// Main runs the command line and returns the process's exit code.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	again, ended := make(chan struct{}), make(chan struct{})
	defer close(ended)
	next := func(then func()) bool {
		select {
		case <-signals:
			then()
			return true
		case <-ended:
			return false
		}
	}
	go func() { // the first asks for a graceful end, the second for a fast one, the third gets one
		_ = next(func() { cancel(errInterrupted) }) && next(func() { close(again) }) && next(func() { os.Exit(exitInterrupted) })
	}()
	return run(ctx, args, &env{in: in, out: out, err: errw, getenv: os.Getenv, again: again})
}

func run(ctx context.Context, args []string, e *env) int {
	out := &counted{Writer: e.out}
	e.out = out
	root := e.root()
	root.SetArgs(e.agentArgs(args))
	verb, err := root.ExecuteContextC(ctx)
	if err == nil && e.json && out.n == 0 { // a verb that has nothing to show
		_, err = fmt.Fprintln(e.out, "{}")
	}
	var result errResult
	if err != nil && !errors.As(err, &result) && !errors.Is(err, errInterrupted) {
		fmt.Fprintf(e.err, "outwork: %v\n", err)
		if k := fault.Of(err); k == fault.Unauthenticated && needsLogin(verb) && !strings.Contains(err.Error(), "outwork login") {
			fmt.Fprintln(e.err, "Log in with: outwork login --url ADDRESS")
		}
	}
	return exitCode(err)
}

// needsLogin reports whether a login is what a verb shows the controller: agents have tokens of their own, and login is one.
func needsLogin(verb *cobra.Command) bool {
	if verb.Name() == "login" {
		return false
	}
	for verb.HasParent() && verb.GroupID == "" {
		verb = verb.Parent()
	}
	return verb.GroupID == "ask"
}

// counted counts what is written.
type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "outwork",
		Short:         "Farm builds out: a build controller, its agents and a command line in one binary",
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  outwork run Jenkinsfile                       run a Jenkinsfile here, on agents of this machine
  outwork server --data /var/lib/outwork        start a controller
  outwork agent --url https://ci:8080 --token … join it from another machine
  outwork job build app --follow                start a build and watch it
  outwork build app:arch=arm64                  build a task of outwork.star here, with the cache`,
	}
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return errUsage{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
	})
	f := root.PersistentFlags()
	f.BoolVar(&e.json, "json", false, "show the API's JSON instead of a table; {} when there is nothing to show")
	f.StringVar(&e.url, "url", "", "controller's address (default: $OUTWORK_URL, else the last login's)")
	f.StringVar(&e.token, "token", "", "API token, or @FILE (default: $OUTWORK_TOKEN, else the last login's)")
	f.StringVar(&e.config, "config-file", "", "file that keeps logins (default: $OUTWORK_CONFIG, else the user's configuration folder)")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "ask", Title: "Work with a controller:"})
	add := func(group string, cs ...*cobra.Command) {
		for _, c := range cs {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", e.runCmd(), e.serverCmd(), e.agentCmd(), e.taskCmd(), e.cleanCmd(), e.cacheCmd())
	add("ask", e.loginCmd(), e.logoutCmd(), e.whoamiCmd(), e.jobCmd(), e.buildCmd(), e.nodeCmd(), e.queueCmd(), e.explainCmd(),
		e.tokenCmd(), e.userCmd(), e.pipelineCmd(), e.adminCmd(), e.configCmd())
	root.AddCommand(e.jenkinsCmds()...)
	root.AddCommand(e.versionCmd(), &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodes})
	strict(root)
	return root
}

// strict makes a mistyped verb an error that names the near ones, at every level.
func strict(c *cobra.Command) {
	for _, s := range c.Commands() {
		strict(s)
	}
	if !c.HasSubCommands() || c.Runnable() {
		return
	}
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
		}
		return errUsage{fmt.Errorf("unknown command %q of %s%s\nSee: %s --help", args[0], c.CommandPath(), hint, c.CommandPath())}
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// atMostOne is exactly, for one argument that may be left out.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return errUsage{fmt.Errorf("expected at most %s, found %d arguments\nUsage: %s", what, len(args), c.UseLine())}
		}
		return nil
	}
}

// exactly returns a cobra check of the number of arguments that says what was expected.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return errUsage{fmt.Errorf("expected %s, found %d argument(s)\nUsage: %s", what, len(args), c.UseLine())}
		}
		return nil
	}
}

// client returns a client of the controller that flags, environment or the last login name.
func (e *env) client() (*client.Client, error) {
	address, token, err := e.target()
	if err != nil {
		return nil, err
	}
	return client.New(address, token, nil)
}

// asking is the body of a verb that asks a controller.
func (e *env) asking(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		cl, err := e.client()
		if err != nil {
			return err
		}
		return do(c.Context(), cl, args)
	}
}

// show prints v as JSON when that was asked for, else calls table.
func (e *env) show(v any, table func(w *tabwriter.Writer)) error {
	if e.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// done says what was done, unless it was not.
func (e *env) done(err error, format string, args ...any) error {
	if err == nil {
		e.say(format, args...)
	}
	return err
}

// say tells people something on standard error; programs that asked for JSON do not see it.
func (e *env) say(format string, args ...any) {
	if !e.json {
		fmt.Fprintf(e.err, format+"\n", args...)
	}
}
