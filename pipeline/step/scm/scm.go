// Package scm has the steps that bring sources into a workspace: checkout and git.
//
// A git repository is fetched by the agent: git never runs on the controller for it. Repositories are hostile input: protocols
// are allow-listed, hooks are off, names are checked and stand behind options. A working tree (outwork run) is copied as it
// stands, through the cas. Credentials are not supported yet and refused.
package scm

import (
	"encoding/json"
	"fmt"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns the steps of this package. blobs is the store that agents unpack from; nil refuses working trees.
func Steps(blobs cas.Store) []step.Step { return []step.Step{Checkout{blobs}, Git{}} }

// Checkout is `checkout scm`, or `checkout([$class: 'GitSCM', …])`, or `checkout scmGit(…)`.
type Checkout struct{ Blobs cas.Store }

// Spec implements step.Step.
func (Checkout) Spec() step.Spec {
	return step.Spec{Name: "checkout", Sole: "scm", NeedsNode: true, Doc: "bring sources into the current folder; returns GIT_COMMIT and its kin",
		Params: []step.Param{{Name: "scm", Type: step.Any, Required: true}, {Name: "poll", Type: step.Boolean}, {Name: "changelog", Type: step.Boolean}}}
}

// Run implements step.Step.
func (s Checkout) Run(t step.Thread, c *step.Call) (value.Value, error) {
	m, ok := c.Args["scm"].(*value.Map)
	if !ok {
		return nil, value.Abort(fmt.Sprintf("checkout: expected scm or a description of a repository, found %s", value.String(c.Args["scm"])))
	}
	class := value.String(m.GetString("$class"))
	switch class {
	case "GitSCM", "scmGit", "git", "hudson.plugins.git.GitSCM":
		w, err := wishOf(m)
		if err != nil {
			return nil, err
		}
		return w.checkout(t)
	case "scm":
	default:
		return nil, value.Abort(fmt.Sprintf("checkout: repositories of kind %q are not supported: expected scm or GitSCM", class))
	}
	src := t.Run().SCM()
	switch {
	case src == nil || src.Git == nil && src.Dir == nil:
		return nil, value.Abort("‘checkout scm’ is only available when using “Multibranch Pipeline” or “Pipeline script from SCM”: this job's script has no repository")
	case src.Git != nil:
		return wish{url: src.Git.URL, ref: src.Git.Ref}.checkout(t)
	}
	return s.copyTree(t, *src.Dir)
}

// Git is `git 'https://…'` or `git url: …, branch: …`.
type Git struct{}

// Spec implements step.Step.
func (Git) Spec() step.Spec {
	return step.Spec{Name: "git", Sole: "url", NeedsNode: true, Doc: "fetch a git repository and check a branch out",
		Params: []step.Param{
			{Name: "url", Type: step.Str, Required: true},
			{Name: "branch", Type: step.Str, Doc: "the remote's own default when empty"},
			{Name: "credentialsId", Type: step.Str},
			{Name: "poll", Type: step.Boolean}, {Name: "changelog", Type: step.Boolean},
		}}
}

// Run implements step.Step.
func (Git) Run(t step.Thread, c *step.Call) (value.Value, error) {
	if id := c.String("credentialsId"); id != "" {
		return nil, noCredentials(id)
	}
	return wish{url: c.String("url"), ref: c.String("branch"), local: true}.checkout(t)
}

func noCredentials(id string) error {
	return value.Abort(fmt.Sprintf("git: credentialsId %q: credentials are not supported yet: give the agent's user access to the repository, by an ssh key or a credential helper", id))
}

// variables is what checkout returns, in a fixed order.
type variables struct {
	Commit string `json:"commit,omitempty"`
	Branch string `json:"branch,omitempty"`
	Local  string `json:"local,omitempty"`
	URL    string `json:"url,omitempty"`
}

func (v variables) toValue() *value.Map {
	m := value.NewMap()
	for _, p := range [][2]string{{"GIT_BRANCH", v.Branch}, {"GIT_COMMIT", v.Commit}, {"GIT_LOCAL_BRANCH", v.Local}, {"GIT_URL", v.URL}} {
		if p[1] != "" {
			m.Put(p[0], p[1])
		}
	}
	return m
}

func answer(raw json.RawMessage, err error) (value.Value, error) {
	if err != nil {
		return nil, err
	}
	var v variables
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return v.toValue(), nil
}

// console prints an effect's own lines, in a stream of their own. The same lines come in the same order when the effect is run
// again, so that each is printed once.
type console struct {
	out step.Stream
	off int64
}

func newConsole(run step.Run, a step.Address, stage string, stamps bool) *console {
	return &console{out: step.Stamped(run.Output(a+":say", stage), stamps)}
}

func (c *console) print(format string, args ...any) {
	line := fmt.Sprintf(format+"\n", args...)
	_, _ = c.out.WriteAt([]byte(line), c.off)
	c.off += int64(len(line))
}

func (c *console) close() { _ = c.out.Close() }
