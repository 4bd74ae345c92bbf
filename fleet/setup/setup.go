// Package setup brings a machine into the state that its node wants before it is used for the first time: files of the controller are
// copied to it, and a script is run there.
//
// All goes to the folder "setup" of the agent's folder, which holds the files and nothing else. What was done is noted beside them on the
// machine itself: a machine that was installed anew is set up anew, and so is one whose node wants something else now. What only an
// administrator may set runs as the controller's user here and as the agent's there.
package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/hook"
)

const (
	folder   = "setup"
	done     = ".outwork-setup" // holds the digest of what was done
	patience = 30 * time.Minute // for all of it, where the node does not say
	maxFile  = 64 << 20         // bytes of one file
	maxAll   = 512 << 20        // bytes of all files
)

// Check says what is wrong with a setup. fault.Invalid.
func Check(s *fleet.Setup) error {
	switch {
	case s == nil:
		return nil
	case s.Files == "" && s.Command == "":
		return fault.New(fault.Invalid, "setup: expected files or command")
	case s.Files != "" && !filepath.IsAbs(s.Files):
		return fault.New(fault.Invalid, "setup.files: %q: expected the whole path of a folder of the controller", s.Files)
	case s.Timeout < 0:
		return fault.New(fault.Invalid, "setup.timeout: %v: expected more than nothing", s.Timeout)
	}
	for name, text := range map[string]string{"prepare": s.Prepare, "command": s.Command} {
		if strings.ContainsRune(text, 0) {
			return fault.New(fault.Invalid, "setup.%s: expected no NUL byte", name)
		}
	}
	return nil
}

// Prepare sets a machine up, unless that was done. Its error says which part failed.
func Prepare(ctx context.Context, p fleet.Preparation) error {
	s := *p.Node.Setup
	if s.Timeout == 0 {
		s.Timeout = patience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fault.New(fault.Unavailable, "it took longer than %v", s.Timeout))
	defer cancel()
	v := &visit{Preparation: p, want: s}
	ws, err := p.Machine.Open(ctx, agent.OpenRequest{Lease: p.Lease, Job: folder, Build: folder, Workspace: folder, Policy: agent.Hold}) // no heartbeat names it
	if err != nil {
		return fmt.Errorf("open its folder: %w", err)
	}
	v.path = ws.Path
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := p.Machine.Close(after, p.Lease); err != nil {
			v.say("the lease is left open: %v", err)
		}
	}()
	if err = v.bring(ctx); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// visit is one preparation under way.
type visit struct {
	fleet.Preparation
	want fleet.Setup
	path string // of the folder, on the machine
}

func (v *visit) say(format string, args ...any) {
	fmt.Fprintf(v.Log, "Setup: "+format+"\n", args...) // a log that cannot be written is not worth failing for
}

func (v *visit) env() map[string]string {
	return map[string]string{"NODE_TO_SETUP_NAME": string(v.Node.Name), "NODE_TO_SETUP_LABELS": strings.Join(v.Labels, " ")}
}

func (v *visit) bring(ctx context.Context) error {
	files, err := read(v.want.Files)
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	had, err := v.Machine.ReadFile(ctx, v.Lease, done, 1<<10)
	switch {
	case err == nil && string(had) == v.digest(files):
		v.say("it was done, and nothing has changed")
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return fmt.Errorf("see what was done: %w", err)
	}
	if v.want.Prepare != "" {
		if err := v.prepare(ctx); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
		if files, err = read(v.want.Files); err != nil {
			return fmt.Errorf("files: %w", err)
		}
	}
	if err := v.copy(ctx, files); err != nil {
		return err
	}
	if v.want.Command != "" {
		if err := v.run(ctx); err != nil {
			return err
		}
	}
	if err := v.Machine.WriteFile(ctx, v.Lease, done, []byte(v.digest(files)), 0o644); err != nil {
		return fmt.Errorf("note that it is done: %w", err)
	}
	v.say("done")
	return nil
}

// prepare runs the command on the controller.
func (v *visit) prepare(ctx context.Context) error {
	h := hook.Hook{Command: v.want.Prepare, Dir: v.want.Files, Output: v.Log}
	for name, value := range v.env() {
		h.Env = append(h.Env, name+"="+value)
	}
	v.say("on the controller: %s", v.want.Prepare)
	return h.Run(ctx)
}

// copy makes the folder on the machine hold the files and nothing else.
func (v *visit) copy(ctx context.Context, files []file) error {
	if err := v.Machine.Remove(ctx, v.Lease, "."); err != nil {
		return fmt.Errorf("empty its folder: %w", err)
	}
	for _, f := range files {
		if err := v.Machine.WriteFile(ctx, v.Lease, f.path, f.data, f.mode); err != nil {
			return fmt.Errorf("copy %s: %w", f.path, err)
		}
	}
	if len(files) > 0 {
		v.say("copied %d files to %s", len(files), v.path)
	}
	return nil
}

// run runs the script on the machine.
func (v *visit) run(ctx context.Context) error {
	r := agent.StartRequest{Lease: v.Lease, Step: folder, Interpreter: "sh", Script: []byte(v.want.Command), Env: v.env()}
	if v.System.OS == "windows" {
		r.Interpreter = "bat"
	}
	v.say("on the machine, in %s: %s", v.path, v.want.Command)
	if err := v.Machine.Start(ctx, r); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	exit, err := v.Machine.Follow(ctx, v.Lease, folder, 0, func(o agent.Output) error {
		_, err := v.Log.Write(o.Data)
		return err
	})
	switch {
	case err != nil:
		return err
	case exit.Lost:
		return fault.New(fault.Unavailable, "the machine cannot say how the command ended: %s", exit.Reason)
	case exit.Code != 0:
		return fault.New(fault.Unavailable, "exit %d", exit.Code)
	}
	return nil
}

// digest names what is wanted. What it was made of before counts too: Prepare's own changes do not.
func (v *visit) digest(files []file) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", v.want.Prepare, v.want.Command)
	for _, f := range files {
		fmt.Fprintf(h, "%q %o %x\n", f.path, f.mode, sha256.Sum256(f.data))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// file is one of the controller's.
type file struct {
	path string // with slashes
	mode fs.FileMode
	data []byte
}

// read reads a folder of the controller, by path. No link leads out of it.
func read(dir string) (files []file, err error) {
	if dir == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var all int64
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := root.Stat(filepath.FromSlash(path))
		switch {
		case err != nil:
			return err
		case st.IsDir() || path == done:
			return fault.New(fault.Invalid, "%s: expected files and folders, no links to folders and no %s", path, done)
		case !st.Mode().IsRegular():
			return fault.New(fault.Invalid, "%s: it is neither a file nor a folder", path)
		}
		if all += st.Size(); st.Size() > maxFile || all > maxAll {
			return fault.New(fault.Exhausted, "%s: expected files of at most %d MiB, and %d MiB in all: let the command fetch what is larger", path, maxFile>>20, maxAll>>20)
		}
		data, err := root.ReadFile(filepath.FromSlash(path))
		if err != nil {
			return err
		}
		files = append(files, file{path, st.Mode().Perm(), data})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.With(fault.NotFound, err)
	}
	return files, err
}
