package scm

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// checkout fetches and checks out on the scope's node. It is two effects: whether there is a repository already, which only
// decides what is said, and the work.
func (w wish) checkout(t step.Thread) (value.Value, error) {
	if err := checkURL(w.url); err != nil {
		return nil, err
	}
	if w.ref != "" && w.ref != "HEAD" {
		name, err := cleanRef(w.ref)
		if err != nil {
			return nil, err
		}
		w.ref = name
	} else {
		w.ref = ""
	}
	if w.branch != "" && badRef.MatchString(w.branch) {
		return nil, value.Abort(fmt.Sprintf("git local branch %q: expected the name of a branch", w.branch))
	}
	scope := t.Scope()
	abs, local := executor.Locate(scope, w.dir)
	g := git{wish: w, run: t.Run(), node: scope.Node, stage: scope.StageID, stamps: scope.Timestamps, dir: abs, env: gitEnv(executor.Env(t.Run(), scope))}
	raw, err := t.Do(step.Effect{Name: "checkout.look", Key: "look", Run: func(ctx context.Context, _ step.Address) (any, error) {
		known := false
		err := executor.Call(ctx, g.node, func(m agent.Machine) error {
			_, err := m.Stat(ctx, g.node.Grant.Lease(), join(local, ".git/HEAD"))
			known = err == nil
			if fault.Is(err, fault.NotFound) {
				return nil
			}
			return err
		})
		return known, executor.Refused(err)
	}})
	if err != nil {
		return nil, err
	}
	known := string(raw) == "true"
	return answer(t.Do(step.Effect{
		Name: "checkout", Args: []any{w.url, w.ref},
		Run: func(ctx context.Context, a step.Address) (any, error) {
			g := g // this run's own: commands are numbered from 1 each time
			g.address, g.say = a, newConsole(g.run, a, g.stage, g.stamps)
			defer g.say.close()
			return g.do(ctx, known)
		},
		Forget: func(ctx context.Context, a step.Address) {
			for n := 1; n <= maxCommands; n++ {
				executor.Forget(ctx, g.node, command(a, n))
			}
		},
	}))
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// gitEnv keeps git from asking anybody and from speaking protocols that run commands.
func gitEnv(env map[string]string) map[string]string {
	env["GIT_TERMINAL_PROMPT"] = "0"
	env["GIT_ALLOW_PROTOCOL"] = protocols
	if env["GIT_SSH_COMMAND"] == "" {
		env["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
	}
	return env
}

// maxCommands is the most git commands of one checkout.
const maxCommands = 12

func command(a step.Address, n int) step.Address { return a + step.Address(":git"+strconv.Itoa(n)) }

// git is one checkout under way. Its commands are processes of the agent with numbered addresses: run again after a restart,
// those that have ended answer from the agent's disk.
type git struct {
	wish
	run     step.Run
	node    *step.Node
	stage   string
	stamps  bool
	dir     string // absolute
	env     map[string]string
	address step.Address
	say     *console
	n       int
}

// git runs one command and returns its stdout and exit code.
func (g *git) git(ctx context.Context, args ...string) (string, int, error) {
	g.n++
	p := executor.Process{Run: g.run, Node: g.node, Stage: g.stage, Stamps: g.stamps, Address: command(g.address, g.n), Request: agent.StartRequest{
		Argv: append([]string{"git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never", "-c", "submodule.recurse=false", "-c", "advice.detachedHead=false"}, args...),
		Dir:  g.dir, Env: g.env, Capture: true,
	}}
	exit, err := p.Do(ctx)
	if err != nil {
		return "", 0, executor.Refused(err)
	}
	return string(exit.Stdout), exit.Code, nil
}

// must is git for commands that have to succeed.
func (g *git) must(ctx context.Context, failure string, args ...string) (string, error) {
	out, code, err := g.git(ctx, args...)
	if err == nil && code != 0 {
		err = value.Abort(fmt.Sprintf("%s: git %s returned status code %d", failure, args[0], code))
	}
	return out, err
}

func (g *git) do(ctx context.Context, known bool) (variables, error) {
	v := variables{URL: hideSecret(g.url)}
	if known {
		g.say.print("Fetching changes from the remote Git repository")
	} else {
		g.say.print("Cloning the remote Git repository\nCloning repository %s", v.URL)
	}
	if _, err := g.must(ctx, "The folder cannot become a repository", "init", "--quiet"); err != nil {
		return v, err
	}
	if g.ref == "" {
		if err := g.findHead(ctx); err != nil {
			return v, err
		}
	}
	if err := g.fetch(ctx, "+refs/heads/*:refs/remotes/origin/*"); err != nil {
		return v, err
	}
	if err := g.resolve(ctx, &v); err != nil {
		return v, err
	}
	if g.clean {
		if _, err := g.must(ctx, "Cleaning failed", "clean", "-ffdxq"); err != nil {
			return v, err
		}
	}
	return v, g.switchTo(ctx, &v)
}

// findHead asks the remote what its HEAD is.
func (g *git) findHead(ctx context.Context) error {
	out, err := g.must(ctx, "Error fetching remote repo 'origin'", "ls-remote", "--symref", "--", g.url, "HEAD")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		name, of, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if of != "HEAD" {
			continue
		}
		if branch, ok := strings.CutPrefix(name, "ref: refs/heads/"); ok {
			name = branch
		}
		if g.ref, err = cleanRef(name); err != nil {
			return err
		}
		return nil
	}
	return value.Abort("The remote repository is empty: it has no HEAD")
}

func (g *git) fetch(ctx context.Context, refspec string) error {
	args := []string{"fetch", "--quiet", "--force", "--prune", "--tags"}
	if g.noTags {
		args[4] = "--no-tags"
	}
	if g.depth > 0 {
		args = append(args, "--depth="+strconv.FormatInt(g.depth, 10))
	}
	g.say.print(" > git %s -- %s %s", strings.Join(args, " "), hideSecret(g.url), refspec)
	_, err := g.must(ctx, "Error fetching remote repo 'origin'", append(args, "--", g.url, refspec)...)
	return err
}

// resolve finds the commit of the ref: a branch, else a tag, else a commit.
func (g *git) resolve(ctx context.Context, v *variables) error {
	full := strings.HasPrefix(g.ref, "refs/")
	name := strings.TrimPrefix(g.ref, "refs/heads/")
	candidates := []string{"refs/remotes/origin/" + name, "refs/tags/" + name}
	switch {
	case strings.HasPrefix(g.ref, "refs/tags/"):
		candidates = []string{g.ref}
	case hexName.MatchString(g.ref):
		candidates = []string{g.ref}
	case full && name == g.ref: // a change, a pull request: refs that a plain fetch leaves out
		if err := g.fetch(ctx, "+"+g.ref+":refs/outwork/wanted"); err != nil {
			return err
		}
		candidates = []string{"refs/outwork/wanted"}
	}
	for try := range 2 {
		for _, c := range candidates {
			out, code, err := g.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", c+"^{commit}")
			if err != nil {
				return err
			}
			if commit := strings.TrimSpace(out); code == 0 && hexName.MatchString(commit) {
				v.Commit = commit
				v.Branch = g.ref
				if branch, ok := strings.CutPrefix(c, "refs/remotes/"); ok {
					v.Branch = branch
				}
				if hexName.MatchString(g.ref) {
					v.Branch = "detached"
				}
				return nil
			}
		}
		if try > 0 || !hexName.MatchString(g.ref) {
			break
		}
		if err := g.fetch(ctx, g.ref); err != nil { // no branch leads to it
			return err
		}
	}
	return value.Abort("Couldn't find any revision to build. Verify the repository and branch configuration for this job.\nThere is no branch, tag or commit " + strconv.Quote(g.ref) + " in " + v.URL)
}

func (g *git) switchTo(ctx context.Context, v *variables) error {
	if _, err := g.must(ctx, "The repository cannot be configured", "config", "--local", "remote.origin.url", g.url); err != nil {
		return err
	}
	g.say.print("Checking out Revision %s (%s)", v.Commit, v.Branch)
	args := []string{"checkout", "--quiet", "--force", "--detach", v.Commit, "--"}
	if branch, ok := strings.CutPrefix(v.Branch, "origin/"); g.local && (ok || g.branch != "") {
		if g.branch != "" {
			branch = g.branch
		}
		v.Local = branch
		args = []string{"checkout", "--quiet", "--force", "-B", branch, v.Commit, "--"}
	}
	if _, err := g.must(ctx, "Could not checkout "+v.Commit, args...); err != nil {
		return err
	}
	subject, err := g.must(ctx, "The commit cannot be read", "log", "-1", "--format=%s", v.Commit, "--")
	if err != nil {
		return err
	}
	subject, _, _ = strings.Cut(strings.ToValidUTF8(subject, "\uFFFD"), "\n")
	g.say.print("Commit message: %q", subject)
	return nil
}
