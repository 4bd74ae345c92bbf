package service

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Verbs returns the words that Command.Main takes and what each does.
func Verbs() [][2]string {
	return [][2]string{
		{"install", "make this agent a service of the machine, and start it"},
		{"uninstall", "stop the service of a --name and remove it; its folder stays"},
		{"start", "start the service of a --name"},
		{"stop", "stop the service of a --name; its steps run on"},
		{"restart", "stop the service of a --name and start it again"},
		{"status", "say how the service of a --name is"},
	}
}

// hosted is the verb by which managers start an agent that cannot read its settings by themselves: run-service FILE [ID].
const hosted = "run-service"

// Command is the part of an agent's command line that is about services.
type Command struct {
	Verb string // see Spec
	// Settings reads an agent's flags, and those that add declares, into variables OUTWORK_*.
	Settings func(args []string, add func(*flag.FlagSet)) (map[string]string, error)
	// Run is the agent, with its settings in the environment and its log on stderr, until ctx ends.
	Run    func(ctx context.Context, stderr io.Writer) int
	Direct bool // run-service is not called by a manager although it looks so
	Stdout io.Writer
	Stderr io.Writer
}

// Main obeys args when they begin with a verb of services; mine is false otherwise. code is for the process's end when err is nil.
func (c Command) Main(ctx context.Context, args []string) (code int, mine bool, err error) {
	if len(args) == 0 {
		return 0, false, nil
	}
	if args[0] == hosted && len(args) >= 2 {
		code, err := c.host(ctx, args[1:])
		return code, true, err
	}
	if !slices.ContainsFunc(Verbs(), func(v [2]string) bool { return v[0] == args[0] }) {
		return 0, false, nil
	}
	return 0, true, c.obey(ctx, args[0], args[1:])
}

func (c Command) obey(ctx context.Context, verb string, args []string) error {
	s := Spec{Verb: c.Verb}
	var password string
	env, err := c.Settings(args, func(fs *flag.FlagSet) {
		fs.StringVar(&s.User, "user", "", "`user` that the agent runs as; default the one who installs it, on Windows LocalSystem")
		fs.StringVar(&password, "password-file", "", "`file` with that user's password; for Windows")
	})
	if errors.Is(err, flag.ErrHelp) {
		for _, v := range Verbs() {
			fmt.Fprintf(c.Stdout, "%-10s %s\n", v[0], v[1])
		}
		fmt.Fprintln(c.Stdout, "install takes --user, --password-file and every flag of the agent; the others take --name.")
		return nil
	}
	if err != nil {
		return err
	}
	s.Env, s.Name = env, env["OUTWORK_NAME"]
	if s.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fault.New(fault.Invalid, "--name is missing and the host has none: %w", err)
		}
		s.Name, _, _ = strings.Cut(host, ".")
	}
	switch verb {
	case "install":
		return c.install(ctx, s, password)
	case "uninstall":
		return c.say(s.Name, "removed", Uninstall(ctx, s.Name))
	case "start":
		return c.say(s.Name, "started", Start(ctx, s.Name))
	case "stop":
		return c.say(s.Name, "stopped", Stop(ctx, s.Name))
	case "restart":
		return c.say(s.Name, "started again", cmp.Or(Stop(ctx, s.Name), Start(ctx, s.Name)))
	}
	st, err := Status(ctx, s.Name)
	return c.say(s.Name, string(st), err)
}

func (c Command) say(name, what string, err error) error {
	if err == nil {
		fmt.Fprintf(c.Stdout, "%s: %s\n", ID(name), what)
	}
	return err
}

func (c Command) install(ctx context.Context, s Spec, password string) error {
	s.Root = s.Env["OUTWORK_ROOT"]
	if password != "" {
		b, err := os.ReadFile(password)
		if err != nil {
			return fault.New(fault.Invalid, "--password-file: %w", err)
		}
		s.Password = strings.TrimRight(string(b), "\r\n")
	}
	s, err := Install(ctx, s)
	return c.say(s.Name, "installed and started, in "+s.Root, err)
}

// host runs the agent for a manager: args are the secret file and the service's id. Where a manager keeps no output, the log is beside
// the secret file.
func (c Command) host(ctx context.Context, args []string) (int, error) {
	if err := LoadEnvironment(args[0]); err != nil {
		return 0, fault.New(fault.Invalid, "settings of the service: %w", err)
	}
	log, done := c.log(args[0])
	defer done()
	if len(args) < 2 || c.Direct {
		return c.Run(ctx, log), nil
	}
	return Host(ctx, args[1], func(ctx context.Context) int { return c.Run(ctx, log) }), nil
}

// log is where the agent's log goes, and what to call when it has ended.
func (c Command) log(secrets string) (io.Writer, func()) {
	if runtime.GOOS != "windows" {
		return c.Stderr, func() {}
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(secrets), "agent.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return c.Stderr, func() {}
	}
	return f, func() { _ = f.Close() }
}
