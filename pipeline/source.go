package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// pinnedText is the name of the one text that is pinned for a run: a pinned as JSON, so that all of it is there or nothing.
const pinnedText = "run"

// pinned is what a run is made of; it stays as it was when the run began, whatever becomes of its source.
type pinned struct {
	Job    build.Job `json:"job"`
	Branch string    `json:"branch,omitempty"`
	Script string    `json:"script"`
}

// maxScript bounds a Jenkinsfile, in bytes.
const maxScript = 4 << 20

// unfetched says that the script could not be had, which ends the build; other errors are the ledger's, and the run is tried again.
type unfetched struct{ err error }

func (u *unfetched) Error() string { return u.err.Error() }
func (u *unfetched) Unwrap() error { return u.err }

// texts returns what the run is made of. The first time it gets the script from the job's source and pins it. An interruption
// ends only the getting: a run that has its texts is to see to what it has started.
func (u *run) texts(ctx context.Context) (pinned, error) {
	var kept map[string]string
	var err error
	if !u.fresh {
		kept, err = u.r.c.Store.Texts(context.WithoutCancel(ctx), u.id)
	}
	if err != nil {
		return pinned{}, fmt.Errorf("read the pinned texts: %w", err)
	}
	var p pinned
	if text, ok := kept[pinnedText]; ok {
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return p, fmt.Errorf("read the pinned texts: %w", err)
		}
		return p, nil
	}
	p.Job = u.job
	switch s := u.job.Source; {
	case s.Git != nil:
		p.Script, err = u.fromGit(ctx, *s.Git)
		p.Branch = branchOf(s.Git.Ref)
	case s.Dir != nil:
		p.Script, p.Branch, err = fromDir(*s.Dir)
	default:
		p.Script = s.Script
	}
	if err != nil {
		return p, &unfetched{err}
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = u.r.c.Store.PutText(context.WithoutCancel(ctx), u.id, pinnedText, string(text))
	}
	if err != nil {
		return p, fmt.Errorf("pin the text of the run: %w", err)
	}
	return p, nil
}

// fromDir reads the Jenkinsfile of a working tree on this machine, and the branch that is checked out there.
func fromDir(d build.DirSource) (script, branch string, err error) {
	path := d.Script
	if path == "" {
		path = "Jenkinsfile"
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return "", "", value.Abort(fmt.Sprintf("the working tree cannot be opened: %v", err))
	}
	defer root.Close()
	fi, err := root.Stat(filepath.FromSlash(path))
	if err != nil {
		return "", "", value.Abort(fmt.Sprintf("Unable to find %s in %s: %v", path, d.Path, err))
	}
	if fi.Size() > maxScript {
		return "", "", value.Abort(fmt.Sprintf("%s has %d bytes, more than the limit of %d", path, fi.Size(), maxScript))
	}
	data, err := root.ReadFile(filepath.FromSlash(path))
	if err != nil {
		return "", "", value.Abort(fmt.Sprintf("Unable to read %s in %s: %v", path, d.Path, err))
	}
	if head, err := root.ReadFile(filepath.Join(".git", "HEAD")); err == nil {
		if ref, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: "); ok {
			branch = branchOf(ref)
		}
	}
	return string(data), branch, nil
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// branchOf is the branch that a ref names; "" for a commit, a tag and the remote's HEAD.
func branchOf(ref string) string {
	if ref == "" || ref == "HEAD" || commit.MatchString(ref) || strings.HasPrefix(ref, "refs/tags/") {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "origin/")
}

// fetchAttempts is how often the fetch of a Jenkinsfile is tried on machines that get lost.
const fetchAttempts = 3

// fromGit fetches the Jenkinsfile on an agent: git never runs on the controller. The work is idempotent and leaves nothing
// behind, so a lost agent, or a controller that restarts in between, only means that it is done again.
func (u *run) fromGit(ctx context.Context, g build.GitSource) (string, error) {
	f := &fetching{u: u}
	u.r.attend(u, f)
	ctx = step.WithWaiter(ctx, f)
	first := u.fetchBegun()
	if first == 0 {
		first = 1
		if !u.fresh { // the fetch of an earlier life is of no use, and nobody else would end its lease
			for n := 1; n <= fetchAttempts; n++ {
				u.nodes.drop(context.WithoutCancel(ctx), u.nodes.item(u.nodes.itemID(fetchAddress(n)), step.Request{Policy: agent.Kill}))
			}
		}
	}
	var err error
	for n := first; n <= fetchAttempts; n++ {
		var script string
		script, err = u.fetchOnce(ctx, g, fetchAddress(n))
		if err == nil {
			u.say("obtained", "Obtained "+scriptPath(g)+" from git "+g.URL)
			return script, nil
		}
		if !errors.Is(err, queue.ErrLost) {
			break
		}
	}
	return "", err
}

// fetchBegun is the attempt that waited in the queue when the run was parked, and has done nothing yet; 0 is none.
func (u *run) fetchBegun() int {
	for n := 1; n <= fetchAttempts; n++ {
		if u.nodes.keeps(u.nodes.itemID(fetchAddress(n))) {
			return n
		}
	}
	return 0
}

func fetchAddress(attempt int) step.Address { return step.Address(fmt.Sprintf("scm.%d", attempt)) }

func (u *run) fetchOnce(ctx context.Context, g build.GitSource, a step.Address) (string, error) {
	n, err := u.nodes.Acquire(ctx, a, step.Request{Policy: agent.Kill}, func(why string) {
		if out := u.out.Load().Stream("scm.why", ""); out.Received() == 0 {
			u.say("scm.why", "Still waiting to schedule task\n"+why)
		}
	})
	if err != nil {
		return "", err
	}
	defer func() {
		if ctx.Err() == nil || isException(context.Cause(ctx)) {
			_ = u.nodes.Release(context.WithoutCancel(ctx), n)
		}
	}()
	f := fetch{u: u, node: n, dir: filepathTmp(n)}
	url, ref := g.URL, g.Ref
	if ref == "" {
		ref = "HEAD"
	}
	if _, err := f.git(ctx, "init", "init", "-q", "."); err != nil {
		return "", err
	}
	if _, err := f.git(ctx, "fetch", "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, ref); err != nil {
		return "", err
	}
	out, err := f.git(ctx, "show", "cat-file", "blob", "FETCH_HEAD:"+scriptPath(g))
	var refused *value.Exception
	if errors.As(err, &refused) && refused.Class == value.AbortException {
		return "", value.Abort(fmt.Sprintf("Unable to find %s from git %s at %s", scriptPath(g), url, ref))
	}
	if err != nil {
		return "", err
	}
	if len(out) > maxScript {
		return "", value.Abort(fmt.Sprintf("%s has %d bytes, more than the limit of %d", scriptPath(g), len(out), maxScript))
	}
	return string(out), nil
}

func isException(err error) bool {
	var e *value.Exception
	return errors.As(err, &e)
}

// filepathTmp is a folder for the fetch beside the workspace, so that the repository there is left alone. It is emptied with the lease.
func filepathTmp(n *step.Node) string { return n.Workspace.Tmp + "/jenkinsfile" }

// fetch runs git on a machine.
type fetch struct {
	u    *run
	node *step.Node
	dir  string
}

// git runs one command without a shell and returns its stdout. What it said on stderr is shown when it fails.
func (f fetch) git(ctx context.Context, id string, args ...string) ([]byte, error) {
	r := agent.StartRequest{
		Lease: f.node.Grant.Lease(), Step: agent.StepID(id), Dir: f.dir, Capture: true, MaxOutput: 1 << 20,
		Argv: append([]string{"git", "-c", "core.hooksPath=/dev/null", "-c", "credential.helper="}, args...),
		Env:  map[string]string{"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"},
	}
	for {
		m, err := f.node.Machine(ctx)
		if err != nil {
			return nil, err
		}
		var said strings.Builder
		exit, err := runProcess(ctx, m, r, &said)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case fault.Is(err, fault.Unavailable):
			pause(ctx, time.Second) // the link broke; Machine waits for the next
			continue
		case err != nil:
			return nil, fmt.Errorf("git %s on %s: %w", args[0], f.node.Name, err)
		case exit.Lost:
			return nil, lost(f.node.Name)
		case exit.Code != 0:
			return nil, value.Abort(fmt.Sprintf("git %s returned status code %d: %s", args[0], exit.Code, strings.TrimSpace(said.String())))
		}
		return exit.Stdout, nil
	}
}

func runProcess(ctx context.Context, m agent.Machine, r agent.StartRequest, said *strings.Builder) (agent.Exit, error) {
	if err := m.Start(ctx, r); err != nil {
		return agent.Exit{}, err
	}
	return m.Follow(ctx, r.Lease, r.Step, 0, func(o agent.Output) error {
		said.Write(o.Data)
		return nil
	})
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func scriptPath(g build.GitSource) string {
	if g.Path == "" {
		return "Jenkinsfile"
	}
	return g.Path
}
