// Package sandbox runs the commands of a task where they see what they declared and little else.
//
// A sandbox has a scratch folder of its own: a fresh /tmp, a fresh home in it, and the folder that the commands run in, which stands at
// the same path in every run. The rest of the machine can be read, folders that are hidden cannot be seen, nothing else can be written.
// Bubblewrap does that where it is installed and allowed, Linux's own namespaces where they are; otherwise the commands run in a clean
// folder that hides nothing, and Kind says so. Whatever ends a run ends all processes that it started, as far as the kind allows.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Kind says how well a sandbox keeps things apart.
type Kind string

// The kinds, best first.
const (
	Bubblewrap Kind = "bubblewrap" // namespaces, set up by bwrap
	Namespaces Kind = "namespaces" // namespaces, set up by unshare
	Folder     Kind = "folder"     // a clean folder: nothing is hidden, paths differ from run to run
)

// kinds are all of them, best first.
var kinds = []Kind{Bubblewrap, Namespaces, Folder}

// Config says what to keep from the commands. The zero value hides nothing.
type Config struct {
	Kind Kind     // "" is the best that works here
	Hide []string // folders that the commands do not see, absolute
}

// Sandbox runs commands. Its methods may be called concurrently.
type Sandbox struct {
	cfg  Config
	find sync.Once
	kind Kind
	err  error
}

// New returns a sandbox. What works is found out when it is first asked for.
func New(cfg Config) (*Sandbox, error) {
	if cfg.Kind != "" && !slices.Contains(kinds, cfg.Kind) {
		return nil, fault.New(fault.Invalid, "sandbox %q: expected bubblewrap, namespaces or folder", cfg.Kind)
	}
	for _, dir := range cfg.Hide {
		if !filepath.IsAbs(dir) {
			return nil, fault.New(fault.Invalid, "hide %q: expected an absolute path", dir)
		}
	}
	return &Sandbox{cfg: cfg}, nil
}

// Kind tells which kind the sandbox is: the one asked for, or the best that works. fault.Unavailable: the one asked for does not work here.
func (s *Sandbox) Kind(ctx context.Context) (Kind, error) {
	s.find.Do(func() { s.kind, s.err = s.probe(ctx) })
	return s.kind, s.err
}

// probe runs nothing in the kinds that may be meant, until one can do that.
func (s *Sandbox) probe(ctx context.Context) (Kind, error) {
	for _, k := range kinds {
		if s.cfg.Kind != "" && s.cfg.Kind != k {
			continue
		}
		if k == Folder {
			return k, nil
		}
		why := s.try(ctx, k)
		if why == nil {
			return k, nil
		}
		if s.cfg.Kind == k {
			return k, fault.New(fault.Unavailable, "sandbox %s does not work on this machine: %w", k, why)
		}
	}
	return Folder, nil
}

func (s *Sandbox) try(ctx context.Context, k Kind) error {
	dir, err := os.MkdirTemp("", "outwork-sandbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scratch, err := NewScratch(dir)
	if err != nil {
		return err
	}
	var said strings.Builder
	code, err := s.run(ctx, k, Spec{Scratch: scratch, Argv: []string{"/bin/sh", "-c", "test \"$PWD\" = " + workDir}, Output: &said})
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(said.String()))
	}
	return err
}

// tmp, home and work as the commands see them, in a kind that gives them paths of their own.
const (
	tmpDir  = "/tmp"
	homeDir = "/tmp/outwork/home"
	workDir = "/tmp/outwork/root"
)

// Scratch is a folder of one run.
type Scratch string

// NewScratch makes the folders of a run below dir, which is absolute.
func NewScratch(dir string) (Scratch, error) {
	s := Scratch(dir)
	for _, d := range []string{s.Work(), s.home()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Work is where the commands run: what they find there is to be put in before, what they made is to be taken out after.
func (s Scratch) Work() string { return filepath.Join(string(s), "tmp", "outwork", "root") }
func (s Scratch) home() string { return filepath.Join(string(s), "tmp", "outwork", "home") }
func (s Scratch) tmp() string  { return filepath.Join(string(s), "tmp") }

// Spec is a run.
type Spec struct {
	Scratch Scratch
	Argv    []string
	Env     []string // all there is, besides HOME and TMPDIR, which are the sandbox's unless they are named here
	Output  io.Writer
}

// patience is how long what still holds the output may keep a run from its end.
const patience = 5 * time.Second

// Run runs commands to their end and returns the exit code, 128+N when signal N ended them. When ctx ends first they are killed, and
// its cause is the error.
func (s *Sandbox) Run(ctx context.Context, spec Spec) (int, error) {
	kind, err := s.Kind(ctx)
	if err != nil {
		return 0, err
	}
	return s.run(ctx, kind, spec)
}

func (s *Sandbox) run(ctx context.Context, kind Kind, spec Spec) (int, error) {
	home, tmp, argv := homeDir, tmpDir, spec.Argv
	switch kind {
	case Bubblewrap:
		argv = s.bubblewrap(spec)
	case Namespaces:
		argv = s.namespaces(spec)
	default:
		home, tmp = spec.Scratch.home(), spec.Scratch.tmp()
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = spec.Scratch.Work()
	cmd.Env = append([]string{"HOME=" + home, "TMPDIR=" + tmp}, spec.Env...)
	cmd.Stdout, cmd.Stderr = spec.Output, spec.Output
	cmd.WaitDelay = patience
	ownTree(cmd)
	err := cmd.Run()
	endTree(cmd)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return cmd.ProcessState.ExitCode(), nil
	case errors.As(err, &exit):
		return exitCode(exit), nil
	}
	return 0, fmt.Errorf("run %s: %w", argv[0], err)
}

// hidden are the folders to hide that a fresh /tmp does not hide anyway.
func (s *Sandbox) hidden() (dirs []string) {
	for _, dir := range s.cfg.Hide {
		if dir != tmpDir && !strings.HasPrefix(dir, tmpDir+"/") && dir != "/" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (s *Sandbox) bubblewrap(spec Spec) []string {
	argv := []string{"bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "outwork", "--new-session",
		"--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"}
	for _, dir := range s.hidden() {
		argv = append(argv, "--tmpfs", dir)
	}
	argv = append(argv, "--bind", spec.Scratch.tmp(), tmpDir, "--chdir", workDir, "--")
	return append(argv, spec.Argv...)
}

// setUp is what a shell does in new namespaces before it runs the commands, as a child: the first process of a namespace does not
// hear the signals that it does not ask for. $1 is the fresh /tmp, $2 where the commands begin, then
// come the folders to hide, --, and the commands.
const setUp = `mount --bind "$1" /tmp
work=$2
shift 2
while [ "$1" != -- ]; do mount -t tmpfs -o mode=755 hidden "$1"; shift; done
shift
mount -t proc proc /proc
mount -o remount,bind,ro /
cd "$work"
"$@" || exit $?`

func (s *Sandbox) namespaces(spec Spec) []string {
	argv := []string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--",
		"/bin/sh", "-ec", setUp, "sh", spec.Scratch.tmp(), workDir}
	argv = append(argv, s.hidden()...)
	argv = append(argv, "--")
	return append(argv, spec.Argv...)
}
