package scm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// snapshotName is under what name a build keeps the tree of its sources, so that all its checkouts give the same. No stash can
// have it: it holds a slash.
const snapshotName = "/scm"

// copyTree brings a working tree of this machine to the current folder: the files that git tracks or would offer to add, as
// they stand. Files that an earlier checkout brought and that are gone are removed; what the builds made stays.
func (s Checkout) copyTree(t step.Thread, src build.DirSource) (value.Value, error) {
	if s.Blobs == nil {
		return nil, fault.New(fault.Internal, "checkout: a working tree cannot be copied without a blob store")
	}
	scope := t.Scope()
	abs, local := executor.Locate(scope, "")
	c := treeCopy{src: src, blobs: s.Blobs, run: t.Run(), node: scope.Node, dir: local, list: listName(scope.Node, abs)}
	env := gitEnv(executor.Env(t.Run(), scope))
	return answer(t.Do(step.Effect{Name: "checkout", Args: src.Path, Run: func(ctx context.Context, a step.Address) (any, error) {
		say := newConsole(c.run, a, scope.StageID, scope.Timestamps)
		defer say.close()
		digest, err := c.snapshot(ctx, say)
		if err == nil {
			err = c.bring(ctx, digest)
		}
		if fault.Is(err, fault.NotFound) { // the snapshot is not in the store any more
			if digest, err = c.pack(ctx, say); err == nil {
				err = c.bring(ctx, digest)
			}
		}
		if err != nil {
			return nil, executor.Refused(err)
		}
		c.remember(ctx, &git{run: c.run, node: c.node, stage: scope.StageID, stamps: scope.Timestamps, dir: abs, env: env, address: a, say: say})
		return describe(ctx, src.Path), nil
	}, Forget: func(ctx context.Context, a step.Address) { executor.Forget(ctx, c.node, command(a, 1)) }}))
}

type treeCopy struct {
	src   build.DirSource
	blobs cas.Store
	run   step.Run
	node  *step.Node
	dir   string // on the agent, as agent.Trees takes it
	list  string // file on the agent that lists what the last checkout brought
}

// listName is beside the workspace, where no build's own files are.
func listName(n *step.Node, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return n.Workspace.Path + "@scm/" + hex.EncodeToString(sum[:8]) + ".files"
}

func (c treeCopy) snapshot(ctx context.Context, say *console) (cas.Digest, error) {
	text, err := c.run.Details().Stash(ctx, c.run.Build().ID, snapshotName)
	if fault.Is(err, fault.NotFound) {
		return c.pack(ctx, say)
	}
	if err != nil {
		return cas.Digest{}, err
	}
	say.print("Copying the working tree %s", c.src.Path)
	return cas.ParseDigest(text)
}

// pack takes the snapshot.
func (c treeCopy) pack(ctx context.Context, say *console) (cas.Digest, error) {
	say.print("Copying the working tree %s", c.src.Path)
	root, err := os.OpenRoot(c.src.Path)
	if err != nil {
		return cas.Digest{}, value.Abort("the working tree cannot be opened: " + err.Error())
	}
	defer root.Close()
	files, err := sources(ctx, root, c.src.Path)
	if err != nil {
		return cas.Digest{}, fmt.Errorf("list the working tree: %w", err)
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		why := unfit(root, f)
		if why != "" && why != gone {
			say.print("Left out: %s: %s", f, why)
		}
		return why != ""
	})
	packed, err := tree.Pack(ctx, c.blobs, root, "", files)
	if err != nil {
		return cas.Digest{}, err
	}
	return packed.Root, c.run.Details().PutStash(ctx, c.run.Build().ID, snapshotName, packed.Root.String())
}

const gone = "it is gone"

// unfit says why a file cannot go along; "" for one that can.
func unfit(root *os.Root, file string) string {
	name := filepath.FromSlash(file)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gone // deleted and not yet committed
	case err != nil:
		return err.Error()
	case info.Mode().IsRegular() || info.IsDir():
		return ""
	case info.Mode()&fs.ModeSymlink == 0:
		return "it is no file, folder or link"
	}
	target, err := root.Readlink(name)
	if err != nil {
		return err.Error()
	}
	dir := path.Dir(file)
	if dir == "." {
		dir = ""
	}
	if tree.CheckLink(dir, filepath.ToSlash(target)) == nil {
		return ""
	}
	if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
		return "" // goes along as a copy
	}
	return "the link to " + target + " leads out of the tree"
}

// sources lists the files of a working tree: by git, where it is one, else all but .git.
func sources(ctx context.Context, root *os.Root, dir string) ([]string, error) {
	if out, err := localGit(ctx, dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard"); err == nil {
		files := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
		slices.Sort(files)
		return slices.DeleteFunc(slices.Compact(files), func(f string) bool { return f == "" }), nil
	} else if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var files []string
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		files = append(files, p)
		return nil
	})
	return files, err
}

// localGit asks git about the user's own working tree, on this machine. Nothing of the tree is run.
func localGit(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	out, err := cmd.Output()
	return string(out), err
}

// readSmall reads a file that may be missing.
func readSmall(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

// describe returns what git says of the working tree; nothing where it says nothing.
func describe(ctx context.Context, dir string) variables {
	ask := func(args ...string) string {
		out, err := localGit(ctx, dir, args...)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(out)
	}
	return variables{
		Commit: ask("rev-parse", "--verify", "--quiet", "HEAD"),
		Branch: ask("symbolic-ref", "--quiet", "--short", "HEAD"),
		URL:    hideSecret(ask("config", "--get", "remote.origin.url")),
	}
}

// bring makes the folder on the agent like the snapshot. It may be done twice.
func (c treeCopy) bring(ctx context.Context, digest cas.Digest) error {
	entries, err := tree.List(ctx, c.blobs, digest, tree.Limits{})
	if err != nil {
		return err
	}
	now := make(map[string]bool, len(entries))
	var names []string
	for _, e := range entries {
		now[e.Path] = true
		if !e.Mode.IsDir() {
			names = append(names, e.Path)
		}
	}
	lease := c.node.Grant.Lease()
	return executor.Call(ctx, c.node, func(m agent.Machine) error {
		before, err := m.ReadFile(ctx, lease, c.list, 0)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		// Until all is done the list has both, so that what a broken copy brought is found by the next.
		stale := strings.Split(string(before), "\x00")
		if err := c.keep(ctx, m, slices.Concat(stale, names)); err != nil {
			return err
		}
		for _, name := range stale {
			if now[name] || name == "." || !fs.ValidPath(name) { // the list was in reach of builds
				continue
			}
			// A folder that a build replaced by a link out of the workspace is the build's business.
			if err := m.Remove(ctx, lease, join(c.dir, name)); err != nil && !fault.Is(err, fault.Invalid) {
				return fmt.Errorf("remove %s, which is not in the tree any more: %w", name, err)
			}
		}
		if err := m.Unpack(ctx, lease, digest, c.dir); err != nil {
			return err
		}
		return c.keep(ctx, m, names)
	})
}

func (c treeCopy) keep(ctx context.Context, m agent.Machine, names []string) error {
	slices.Sort(names)
	return m.WriteFile(ctx, c.node.Grant.Lease(), c.list, []byte(strings.Join(slices.Compact(names), "\x00")), 0o644)
}
