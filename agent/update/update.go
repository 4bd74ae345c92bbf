// Package update exchanges the running agent's program for the one its controller hands out, and takes it back when it is no good.
//
// The order of calls is Check, Fetch, then, when the agent has let go of its machine, Try and Become. Try puts the new program in the
// old one's place, which keeps the name FILE.old, and runs it on trial: it must reach the controller within a time and say so by
// Prove. Otherwise the old file is put back and the new digest is remembered as bad. The process that tries is the old program until
// the last moment, so a new one that crashes, hangs or cannot even start does no harm. Shims run on through all of it: they hold the
// file they were started from.
//
// An Updater is used by one goroutine.
package update

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Environment variables between the program that tries and the one on trial, and between the one that waits and the one it waits for.
const (
	proofEnv = "OUTWORK_UPDATE_PROOF" // the file in which the program on trial says that it has reached the controller
	childEnv = "OUTWORK_UPDATE_CHILD" // set for a program whose parent starts it again when it ends with Again
)

// Again is the exit code by which a program asks the parent that waits for it to start the file anew. Only systems without exec
// have such parents.
const Again = 87

// maxSize bounds what is downloaded, in bytes.
const maxSize = 512 << 20

// Config of an Updater. URL, State and Argv must be set.
type Config struct {
	URL    string // the controller's
	Client *http.Client
	State  string   // folder for what is remembered; the agent's own
	Argv   []string // that the agent was started with, the program's name first
	Verb   string   // which the program needs before an agent's flags; the controller's must need the same
	// Trial is how long the new program may take until it has reached the controller; 0 is one minute.
	Trial  time.Duration
	Logger *slog.Logger
}

// Updater updates the file that this process was started from.
type Updater struct {
	cfg   Config
	file  string // the program; kept from the start, as later a system may name it after a rename
	start os.FileInfo
	want  string // digest of what Fetch brought; "" before
}

// New returns the Updater of this process, or an error that says why the program cannot be exchanged: mostly that its user may not
// write there.
func New(c Config) (*Updater, error) {
	if c.Trial <= 0 {
		c.Trial = time.Minute
	}
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	file, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	u := &Updater{cfg: c, file: file}
	if u.start, err = os.Stat(file); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	probe, err := os.CreateTemp(filepath.Dir(file), ".outwork-probe-*")
	if err != nil {
		return nil, fault.New(fault.Denied, "this user may not write beside %s: %w", file, err)
	}
	return u, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (u *Updater) old() string   { return u.file + ".old" }
func (u *Updater) fresh() string { return u.file + ".new" }

// Check asks the controller for the digest of its agent for this machine; "" is nothing to do: it is the one that runs, it is of another
// sort, it was tried in vain before, or the controller has none.
func (u *Updater) Check(ctx context.Context) (string, error) {
	resp, err := u.get(ctx, ".sha256")
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	line, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", fault.New(fault.Unavailable, "ask for the agent's digest: %w", err)
	}
	want, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	if b, err := hex.DecodeString(want); err != nil || len(b) != sha256.Size {
		return "", fault.New(fault.Incompatible, "ask for the agent's digest: %q is none", line)
	}
	if resp.Header.Get("Outwork-Agent-Verb") != u.cfg.Verb {
		return "", nil
	}
	if have, err := u.running(); err != nil || have == want {
		return "", err
	}
	bad, err := u.bad()
	if err != nil {
		return "", err
	}
	if slices.Contains(bad, want) {
		u.cfg.Logger.Warn("the controller has another agent, but it did not work on this machine: this one stays", "sha256", want)
		return "", nil
	}
	return want, nil
}

// running is the digest of the program that runs, "" when another was put in its place meanwhile and nobody knows.
func (u *Updater) running() (string, error) {
	if runtime.GOOS == "linux" {
		if sum, err := digest("/proc/self/exe"); err == nil {
			return sum, nil
		}
	}
	st, err := os.Stat(u.file)
	if err != nil {
		return "", fmt.Errorf("this program: %w", err)
	}
	if !os.SameFile(st, u.start) || st.Size() != u.start.Size() || !st.ModTime().Equal(u.start.ModTime()) {
		return "", nil
	}
	return digest(u.file)
}

func (u *Updater) get(ctx context.Context, suffix string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.cfg.URL+"/agent/"+runtime.GOOS+"/"+runtime.GOARCH+suffix, nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "ask for an agent: %w", err)
	}
	resp, err := u.cfg.Client.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "ask for an agent: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	resp.Body.Close()
	kind := fault.Unavailable
	if resp.StatusCode == http.StatusNotFound {
		kind = fault.NotFound
	}
	return nil, fault.New(kind, "ask for an agent: %s", resp.Status)
}

// Fetch brings the program with the digest beside the running one, as FILE.new. When FILE itself has that digest, because another agent
// of the same file was quicker, there is nothing to bring.
func (u *Updater) Fetch(ctx context.Context, want string) (err error) {
	u.want = ""
	if have, err := digest(u.file); err == nil && have == want {
		_ = os.Remove(u.fresh())
		u.want = want
		return nil
	}
	resp, err := u.get(ctx, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.CreateTemp(filepath.Dir(u.file), filepath.Base(u.file)+".part-*")
	if err != nil {
		return fmt.Errorf("fetch the agent: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("fetch the agent: %w", err)
		}
	}()
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), io.LimitReader(resp.Body, maxSize))
	if err := errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fault.New(fault.Unavailable, "what came has the SHA-256 %s, expected %s", got, want)
	}
	if err := os.Rename(f.Name(), u.fresh()); err != nil {
		return err
	}
	u.want = want
	return nil
}

// Try puts what Fetch brought in place and lets it prove itself. After an error the old program is in place again, and Become must not
// be called. The agent must hold neither its folder nor its connection meanwhile.
func (u *Updater) Try(ctx context.Context) error {
	if u.want == "" {
		return errors.New("nothing was fetched")
	}
	swapped, err := u.swap()
	if err != nil {
		return fmt.Errorf("put the new agent in place: %w", err)
	}
	err = u.trial(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && u.reachable(ctx) {
		err = errors.Join(err, u.remember(u.want))
	}
	if swapped {
		err = errors.Join(err, u.restore())
	}
	return fmt.Errorf("the new agent is no good here, the old one goes on: %w", err)
}

// reachable reports whether the controller answers this program: when it does not, the new one could not reach it either.
func (u *Updater) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := u.get(ctx, ".sha256")
	if err == nil {
		resp.Body.Close()
	}
	return !fault.Is(err, fault.Unavailable)
}

// swap reports false when there was nothing to swap.
func (u *Updater) swap() (bool, error) {
	if _, err := os.Stat(u.fresh()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := away(u.old()); err != nil {
		return false, err
	}
	if err := os.Rename(u.file, u.old()); err != nil {
		return false, err
	}
	if err := os.Rename(u.fresh(), u.file); err != nil {
		return false, errors.Join(err, os.Rename(u.old(), u.file))
	}
	return true, nil
}

func (u *Updater) restore() error {
	if err := away(u.file); err != nil {
		return err
	}
	return os.Rename(u.old(), u.file)
}

// away frees a name. Where a program that runs cannot be removed, it is renamed.
func away(path string) error {
	if err := os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Rename(path, path+"-"+rand.Text()[:8])
}

// trial runs the program until it has proved itself.
func (u *Updater) trial(ctx context.Context) error {
	proof := filepath.Join(u.cfg.State, "update-proof-"+rand.Text()[:8])
	defer os.Remove(proof)
	ctx, cancel := context.WithTimeoutCause(ctx, u.cfg.Trial, fmt.Errorf("it has not reached the controller within %v", u.cfg.Trial))
	defer cancel()
	cmd := exec.CommandContext(ctx, u.file, u.cfg.Argv[1:]...)
	cmd.Args[0] = u.cfg.Argv[0]
	cmd.Env = append(environ(), proofEnv+"="+proof)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	u.cfg.Logger.Info("trying the controller's agent", "sha256", u.want)
	err := cmd.Run()
	if _, missing := os.Stat(proof); missing == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("it ended: %w", err)
	}
	return errors.New("it ended before it had reached the controller")
}

// Prove says, from a program on trial, that it has reached the controller. trial reports whether this process is one.
func Prove() (trial bool, err error) {
	proof := os.Getenv(proofEnv)
	if proof == "" {
		return false, nil
	}
	return true, os.WriteFile(proof, nil, 0o600)
}

// OnTrial reports whether this process is on trial.
func OnTrial() bool { return os.Getenv(proofEnv) != "" }

// Hosted reports whether this process was started by an older program in whose place it stands, on trial or for good.
func Hosted() bool { return OnTrial() || os.Getenv(childEnv) != "" }

// environ is the environment without what passes between programs here.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, proofEnv+"=") || strings.HasPrefix(v, childEnv+"=")
	})
}

// badFile has a digest a line, the newest last.
const badFile = "update-bad"

// keepBad is how many bad digests are remembered.
const keepBad = 20

func (u *Updater) bad() ([]string, error) {
	b, err := os.ReadFile(filepath.Join(u.cfg.State, badFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("agents that did not work: %w", err)
	}
	return strings.Fields(string(b)), nil
}

func (u *Updater) remember(sum string) error {
	bad, err := u.bad()
	if err != nil {
		return err
	}
	bad = append(bad, sum)
	return os.WriteFile(filepath.Join(u.cfg.State, badFile), []byte(strings.Join(bad[max(0, len(bad)-keepBad):], "\n")+"\n"), 0o600)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
