package remote

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// The limits of the protocol, in bytes unless said otherwise. api/proto states them; both sides check.
const (
	maxID       = 512
	maxPath     = 4 << 10
	maxPatterns = 64 << 10
	maxText     = 4 << 10
	maxScript   = 1 << 20
	maxArgv     = 1 << 20
	maxEnv      = 512 << 10
	maxOutput   = 64 << 10
	maxStdout   = 16 << 20
	maxFile     = 64 << 20 // what WriteFile and ReadFile move at most
	maxLeases   = 10_000
	maxFiles    = 1_000_000 // in one answer of Glob or Pack
	maxListed   = 512 << 20 // their paths together
	maxDuration = 366 * 24 * time.Hour
)

func tooLong(what string, n, limit int) error {
	return fault.New(fault.Invalid, "%s is %d bytes long: expected at most %d", what, n, limit)
}

func checkString(what, s string, limit int) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fault.New(fault.Invalid, "%s %q: contains a zero byte", what, s)
	}
	return checkName(what, s, limit)
}

// checkName is for what the machine makes a file name of itself, whatever is in it.
func checkName(what, s string, limit int) error {
	if len(s) > limit {
		return tooLong(what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "%s %q: expected UTF-8", what, s)
	}
	return nil
}

func checkText(what, s string) error { return checkString(what, s, maxText) }
func checkPath(what, s string) error { return checkString(what, s, maxPath) }

func checkLease(l agent.Lease) error {
	if l.Item == "" {
		return fault.New(fault.Invalid, "lease.item is empty")
	}
	if l.Epoch == 0 {
		return fault.New(fault.Invalid, "lease.epoch of %q is 0: epochs count from 1", l.Item)
	}
	return checkString("lease.item", l.Item, maxID)
}

func checkStep(l agent.Lease, s agent.StepID) error {
	if s == "" {
		return fault.New(fault.Invalid, "step is empty")
	}
	return first(checkLease(l), checkString("step", string(s), maxID))
}

func checkEnv(env map[string]string) error {
	total := 0
	for k, v := range env {
		total += len(k) + len(v) + 2
		if k == "" || strings.Contains(k, "=") {
			return fault.New(fault.Invalid, "env: name %q: expected a name without =", k)
		}
		if err := first(checkString("env name", k, maxEnv), checkString("env "+k, v, maxEnv)); err != nil {
			return err
		}
	}
	if total > maxEnv {
		return tooLong("env", total, maxEnv)
	}
	return nil
}

func checkDuration(what string, d time.Duration) error {
	if d > maxDuration || d < -maxDuration {
		return fault.New(fault.Invalid, "%s is %v: expected at most %v", what, d, maxDuration)
	}
	return nil
}

func checkOpen(r agent.OpenRequest) error {
	if r.Policy != "" && r.Policy != agent.Hold && r.Policy != agent.Kill {
		return fault.New(fault.Invalid, "policy %q: expected hold or kill", r.Policy)
	}
	if r.TTL < 0 {
		return fault.New(fault.Invalid, "ttl is %v: expected 0 or more", r.TTL)
	}
	return first(checkLease(r.Lease), checkName("job", r.Job, maxPath), checkPath("workspace", r.Workspace), checkText("build", r.Build),
		checkEnv(r.Env), checkDuration("ttl", r.TTL))
}

func checkLeases(ls []agent.Lease) error {
	if len(ls) > maxLeases {
		return fault.New(fault.Invalid, "%d leases: expected at most %d", len(ls), maxLeases)
	}
	for _, l := range ls {
		if err := checkLease(l); err != nil {
			return err
		}
	}
	return nil
}

func checkStart(r agent.StartRequest) error {
	if len(r.Script) > maxScript {
		return tooLong("script", len(r.Script), maxScript)
	}
	if r.MaxOutput < 0 {
		return fault.New(fault.Invalid, "maxOutput is %d: expected 0 or more", r.MaxOutput)
	}
	total := 0
	for _, a := range r.Argv {
		total += len(a) + 1
		if err := checkString("argv", a, maxArgv); err != nil {
			return err
		}
	}
	if total > maxArgv {
		return tooLong("argv", total, maxArgv)
	}
	return first(checkStep(r.Lease, r.Step), checkString("interpreter", r.Interpreter, maxID), checkPath("dir", r.Dir), checkEnv(r.Env))
}

func checkStop(r agent.StopRequest) error {
	return first(checkStep(r.Lease, r.Step), checkDuration("grace", r.Grace), checkText("reason", r.Reason))
}

func checkFollow(l agent.Lease, s agent.StepID, offset int64) error {
	if offset < 0 {
		return fault.New(fault.Invalid, "offset is %d: expected 0 or more", offset)
	}
	return checkStep(l, s)
}

func checkFile(l agent.Lease, path string) error {
	return first(checkLease(l), checkPath("path", path))
}

func checkLimit(limit int64) error {
	if limit < 0 || limit > maxFile {
		return fault.New(fault.Invalid, "limit is %d: expected 0 to %d", limit, maxFile)
	}
	return nil
}

func checkWrite(l agent.Lease, path string, size int) error {
	if size > maxFile {
		return fault.New(fault.Exhausted, "%s: %d bytes are more than the %d that can be written at once", path, size, maxFile)
	}
	return checkFile(l, path)
}

func checkGlob(r agent.GlobRequest) error {
	return first(checkLease(r.Lease), checkPath("dir", r.Dir), checkString("includes", r.Includes, maxPatterns), checkString("excludes", r.Excludes, maxPatterns))
}

func checkUnpack(l agent.Lease, root cas.Digest, dir string) error {
	return first(checkFile(l, dir), fault.With(fault.Invalid, root.Validate()))
}

// checkDescription keeps an agent from filling the roster: it is stored and shown.
func checkDescription(d agent.Description) error {
	if len(d.Shells) > 64 {
		return fault.New(fault.Invalid, "%d shells: expected at most 64", len(d.Shells))
	}
	for _, s := range d.Shells {
		if err := checkText("shell", s); err != nil {
			return err
		}
	}
	if d.CPUs < 0 || d.PID < 0 {
		return fault.New(fault.Invalid, "cpus %d, pid %d: expected 0 or more", d.CPUs, d.PID)
	}
	return first(checkText("version", d.Version), checkText("os", d.OS), checkText("arch", d.Arch), checkText("hostname", d.Hostname),
		checkPath("root", d.Root), checkText("boot", d.Boot), checkEnv(d.Env))
}

func checkExit(e agent.Exit) error {
	if e.Output < 0 || e.Dropped < 0 {
		return fault.New(fault.Invalid, "exit: output %d, dropped %d: expected 0 or more", e.Output, e.Dropped)
	}
	return first(checkText("signal", e.Signal), checkText("reason", e.Reason))
}

// listing counts what a streamed answer has brought so far.
type listing struct{ files, bytes int }

func (l *listing) add(path string) error {
	l.files++
	l.bytes += len(path)
	if l.files > maxFiles || l.bytes > maxListed {
		return fault.New(fault.Exhausted, "more than %d files or %d bytes of paths in one answer: choose fewer files", maxFiles, maxListed)
	}
	if path == "" || strings.HasPrefix(path, "/") || path == ".." || strings.HasPrefix(path, "../") || strings.Contains(path, "/../") || strings.HasSuffix(path, "/..") {
		return fault.New(fault.Invalid, "path %q: expected one that is relative and stays below its folder", path)
	}
	return checkPath("path", path)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkWorkspace(w agent.Workspace) error {
	return first(checkPath("workspace", w.Path), checkPath("tmp", w.Tmp), checkPath("home", w.Home), checkPath("tools", w.Tools))
}
