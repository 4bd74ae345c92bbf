package scm

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/pipeline/step/executor"
)

// history is what a copy of a working tree needs to be a repository too: HEAD, branches, tags and remote as they are there.
// The objects stay where they are and are only read.
type history struct {
	objects string // folder of the objects, absolute, on the machine of the working tree
	commit  string // of HEAD
	head    string // content of the file HEAD
	refs    string // content of packed-refs
	shallow string // content of the file shallow; "" when the history is whole
	config  string
}

// historyOf reads the history of a working tree; ok is false where there is none: no repository, no commit, a part of a tree.
func historyOf(ctx context.Context, dir string) (h history, ok bool) {
	ask := func(args ...string) string {
		out, err := localGit(ctx, dir, args...)
		ok = ok && err == nil
		return strings.TrimSuffix(out, "\n")
	}
	ok = true
	h.commit = ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	prefix := ask("rev-parse", "--show-prefix")
	h.objects = ask("rev-parse", "--git-path", "objects")
	h.refs = ask("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/remotes")
	shallow := ask("rev-parse", "--git-path", "shallow")
	if !ok || prefix != "" || len(h.commit) != 40 { // names of another length need a repository of another format
		return history{}, false
	}
	h.refs += "\n"
	if !filepath.IsAbs(h.objects) {
		h.objects = filepath.Join(dir, h.objects)
	}
	if !filepath.IsAbs(shallow) {
		shallow = filepath.Join(dir, shallow)
	}
	h.shallow = readSmall(shallow)
	h.head = h.commit + "\n"
	if branch, err := localGit(ctx, dir, "symbolic-ref", "--quiet", "HEAD"); err == nil {
		h.head = "ref: " + branch
	}
	h.config = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tlogallrefupdates = true\n"
	if url, err := localGit(ctx, dir, "config", "--get", "remote.origin.url"); err == nil {
		url = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(hideSecret(strings.TrimSuffix(url, "\n")))
		h.config += "[remote \"origin\"]\n\turl = \"" + url + "\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	}
	return h, true
}

// files are the content of the copy's .git.
func (h history) files() map[string]string {
	f := map[string]string{
		"HEAD": h.head, "config": h.config, "packed-refs": h.refs, "objects/info/alternates": filepath.ToSlash(h.objects) + "\n",
		"refs/outwork/HEAD": h.commit + "\n", // git knows a repository by its folder refs
	}
	if h.shallow != "" {
		f["shallow"] = h.shallow
	}
	return f
}

// remember makes the copy a repository, when the agent sees the working tree's own, which agents on the same machine do, and
// has git. Elsewhere the copy is files only. Whatever goes wrong with that, the files are there and the build goes on.
func (c treeCopy) remember(ctx context.Context, g *git) {
	h, ok := historyOf(ctx, c.src.Path)
	if !ok {
		return
	}
	lease, made := c.node.Grant.Lease(), false
	err := executor.Call(ctx, c.node, func(m agent.Machine) error {
		if d, err := m.Describe(ctx); err != nil || !d.Git {
			return err
		}
		if _, err := m.Stat(ctx, lease, filepath.Join(h.objects, "info")); err != nil {
			return err
		}
		for name, text := range h.files() {
			if err := m.WriteFile(ctx, lease, join(c.dir, ".git/"+name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		made = true
		return nil
	})
	if err != nil || !made {
		return
	}
	if _, code, err := g.git(ctx, "reset", "--quiet"); err == nil && code == 0 {
		return
	}
	_ = executor.Call(ctx, c.node, func(m agent.Machine) error { return m.Remove(ctx, lease, join(c.dir, ".git")) })
}
