// Package service makes an agent a service of its machine: it starts with the machine, is started again when it ends, and is stopped in
// good order. systemd, launchd and the Windows service manager are known; for other systems it says what to run.
//
// Each agent of a machine has a name, and by it a service and a folder of its own, with the program in it: so agents of several controllers
// live beside each other, and each may be updated by its controller. What is secret stands in a file that only the agent's user can read,
// never on a command line. All functions may be called concurrently, for different names.
package service

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Spec is a service to install. Name must be set; Env must have OUTWORK_URL.
type Spec struct {
	Name string // of the agent; the service is called outwork-agent-NAME
	Root string // the agent's folder; "" is Folder of the name
	User string // that it runs as; "" is the one who installs it, on Windows LocalSystem
	// Password of User; for Windows only.
	Password string
	Program  string            // copied into Root; "" is the running one
	Verb     string            // that stands before the agent's flags: "agent" when Program is the whole of Outwork
	Env      map[string]string // OUTWORK_* of the agent; they go into the secret file
}

// State is how a service is.
type State string

// The states.
const (
	Missing State = "not installed"
	Stopped State = "stopped"
	Running State = "running"
	Failed  State = "failed"
)

// manager is an operating system's keeper of services.
type manager interface {
	install(ctx context.Context, s Spec) error
	uninstall(ctx context.Context, id string) error
	start(ctx context.Context, id string) error
	stop(ctx context.Context, id string) error
	status(ctx context.Context, id string) (State, error)
}

// ID is the service's name in its manager.
func ID(name string) string { return "outwork-agent-" + name }

// Folder is where the agent of a name lives unless it is told.
func Folder(name string) string {
	switch {
	case runtime.GOOS == "windows":
		return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "Outwork", "agents", name)
	case os.Geteuid() == 0:
		return "/var/lib/outwork-agent/" + name
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".outwork", "agents", name)
}

// check fills in the defaults. A name is a word that every manager takes.
func (s *Spec) check() error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.Env["OUTWORK_URL"] == "" {
		return fault.New(fault.Invalid, "--url is missing: give the controller's address")
	}
	s.Root = cmp.Or(s.Root, Folder(s.Name))
	root, err := filepath.Abs(s.Root)
	if err != nil {
		return err
	}
	s.Root = root
	for k, v := range s.Env {
		if strings.ContainsAny(v, "\n\r\x00") {
			return fault.New(fault.Invalid, "%s: expected one line", k)
		}
	}
	if strings.ContainsAny(s.Root+s.User, "\n\r\"%\\") && runtime.GOOS != "windows" {
		return fault.New(fault.Invalid, "folder %q, user %q: expected none of \" %% \\ in them", s.Root, s.User)
	}
	if s.Program == "" {
		if s.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
	}
	return nil
}

func checkName(name string) error {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, odd) || name[0] == '.' || name[0] == '-' {
		return fault.New(fault.Invalid, "--name %q: expected letters, digits, - _ and .: it names the service and its folder", name)
	}
	return nil
}

// program is where the agent's own copy stands.
func (s *Spec) program() string {
	name := "outwork-agent"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(s.Root, "bin", name)
}

// secrets is the file with the agent's environment.
func (s *Spec) secrets() string { return filepath.Join(s.Root, "agent.env") }

// args are the program's arguments.
func (s *Spec) args(own ...string) []string {
	if s.Verb != "" {
		own = append([]string{s.Verb}, own...)
	}
	return own
}

// environment is the text of the secret file, one NAME="VALUE" a line, as systemd reads it.
func (s *Spec) environment() string {
	env := map[string]string{"OUTWORK_NAME": s.Name, "OUTWORK_ROOT": s.Root}
	for k, v := range s.Env {
		env[k] = v
	}
	var lines []string
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`)
	for k, v := range env {
		lines = append(lines, k+`="`+quote.Replace(v)+"\"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// LoadEnvironment reads a secret file that Install wrote into this process's environment.
func LoadEnvironment(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	unquote := strings.NewReplacer(`\\`, `\`, `\"`, `"`, "\\`", "`", `\$`, "$")
	for line := range strings.Lines(string(b)) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || len(v) < 2 {
			return fault.New(fault.Invalid, "%s: %q: expected NAME=\"VALUE\"", path, line)
		}
		if err := os.Setenv(k, unquote.Replace(v[1:len(v)-1])); err != nil {
			return err
		}
	}
	return nil
}

// Install writes the folder, the secret file and the service, and starts it. fault.Conflict: there is a service of this name already.
func Install(ctx context.Context, s Spec) (Spec, error) {
	if err := s.check(); err != nil {
		return s, err
	}
	m, err := system()
	if err != nil {
		return s, err
	}
	if st, err := m.status(ctx, ID(s.Name)); err != nil || st != Missing {
		return s, cmp.Or(err, fault.New(fault.Conflict, "service %s is there already (%s): uninstall it first, or choose another --name", ID(s.Name), st))
	}
	if err := s.place(); err != nil {
		return s, err
	}
	if err := m.install(ctx, s); err != nil {
		return s, fmt.Errorf("install %s: %w", ID(s.Name), err)
	}
	return s, Start(ctx, s.Name)
}

// Uninstall stops and removes the service. The folder stays.
func Uninstall(ctx context.Context, name string) error {
	return with(ctx, "uninstall", name, manager.uninstall)
}

// Start and Stop say it to the service's manager, and return when that has taken it.
func Start(ctx context.Context, name string) error { return with(ctx, "start", name, manager.start) }

// Stop lets the agent end in good order.
func Stop(ctx context.Context, name string) error { return with(ctx, "stop", name, manager.stop) }

func with(ctx context.Context, verb, name string, do func(manager, context.Context, string) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	m, err := system()
	if err != nil {
		return err
	}
	st, err := m.status(ctx, ID(name))
	if err == nil && st == Missing {
		err = fault.New(fault.NotFound, "there is no service %s on this machine", ID(name))
	}
	if err == nil {
		err = do(m, ctx, ID(name))
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, ID(name), err)
	}
	return nil
}

// Status asks the service's manager.
func Status(ctx context.Context, name string) (State, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	m, err := system()
	if err != nil {
		return "", err
	}
	return m.status(ctx, ID(name))
}

// place makes the folder, with the program and the secret file, and gives it to the agent's user.
func (s *Spec) place() error {
	if err := s.makeFolders(); err != nil {
		return err
	}
	if err := copyProgram(s.Program, s.program()); err != nil {
		return fmt.Errorf("copy the agent: %w", err)
	}
	if err := write(s.secrets(), s.environment(), 0o600); err != nil {
		return err
	}
	if s.User == "" && runtime.GOOS != "windows" {
		return nil
	}
	return give(s.User, s.Root, filepath.Join(s.Root, "bin"), s.program(), s.secrets())
}

// copyProgram replaces the file at to; a program that runs there keeps what it has.
func copyProgram(from, to string) (err error) {
	if same(from, to) {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), "outwork-agent.part-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), to)
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// write is for files that must never have been readable by others.
func write(path, text string, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}

// tell runs a manager's own program. What it says when it fails is the error.
func tell(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, text)
	}
	return text, nil
}
