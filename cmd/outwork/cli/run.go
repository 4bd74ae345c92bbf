package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
)

// runFlags are what outwork run is told.
type runFlags struct {
	agents    string
	executors int
	params    []string
	job       string
	artifacts string
	quiet     bool
	verbose   bool
}

func (e *env) runCmd() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run [JENKINSFILE]", Short: "Run a Jenkinsfile here, on agents of this machine",
		Long: "Run a Jenkinsfile with a controller in this process and agents as processes of their own, all of it gone afterwards.\n" +
			"In a git checkout, checkout scm means the working tree as it is, uncommitted changes included, ignored files left out.\n" +
			"Ctrl-C aborts the build; post sections still run. A second Ctrl-C ends them too, a third the program itself. The exit\n" +
			"code is then 130.",
		Example: "  outwork run\n  outwork run examples/hello/Jenkinsfile\n  outwork run ci/Jenkinsfile --agents 'linux docker,linux gpu,windows' -p BRANCH=main",
		Args:    atMostOne("a Jenkinsfile"),
		RunE: func(c *cobra.Command, args []string) error {
			file := "Jenkinsfile"
			if len(args) > 0 {
				file = args[0]
			}
			return e.runHere(c.Context(), file, f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.agents, "agents", "linux docker,linux gpu", "the agents, separated by commas: the labels of each, separated by spaces")
	fl.IntVar(&f.executors, "executors", 2, "executors of each agent")
	fl.StringArrayVarP(&f.params, "param", "p", nil, "parameter NAME=VALUE; may be repeated")
	fl.StringVar(&f.job, "job", "", "name of the job (default: the folder's)")
	fl.StringVar(&f.artifacts, "artifacts", "", "copy what the build archives into this folder")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "show the console log only, no progress of stages")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show what controller and agents say of themselves")
	return c
}

// localAgents reads --agents.
func (f runFlags) localAgents() ([]server.Local, error) {
	var out []server.Local
	for i, part := range strings.Split(f.agents, ",") {
		labels, err := label.ParseLabels(part)
		if err != nil {
			return nil, errUsage{fmt.Errorf("--agents: agent %d: %w", i+1, err)}
		}
		if len(labels) == 0 {
			return nil, errUsage{fmt.Errorf("--agents %q: agent %d: expected labels separated by spaces, found none", f.agents, i+1)}
		}
		out = append(out, server.Local{Name: fleet.NodeName(fmt.Sprintf("agent-%d", i+1)), Labels: labels, Executors: f.executors})
	}
	return out, nil
}

// localJob makes a job of a Jenkinsfile: of the git working tree that it stands in, or of its text alone.
func (f runFlags) localJob(ctx context.Context, file string) (build.Job, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return build.Job{}, err
	}
	text, err := os.ReadFile(abs)
	if err != nil {
		return build.Job{}, fault.With(fault.Invalid, err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return build.Job{}, err
	}
	j := build.Job{Name: build.JobName(f.job), Created: time.Now().UTC(), Source: build.Source{Script: string(text)}}
	if j.Name == "" {
		j.Name = build.JobName(strings.Trim(strings.Map(nameRune, filepath.Base(filepath.Dir(abs))), ".-"))
	}
	if j.Name == "" {
		j.Name = "run"
	}
	out, err := exec.CommandContext(ctx, "git", "-C", filepath.Dir(abs), "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return j, nil // no checkout, or no git: the text is all there is
	}
	top := strings.TrimRight(string(out), "\r\n")
	rel, err := filepath.Rel(top, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return j, nil
	}
	j.Source = build.Source{Dir: &build.DirSource{Path: top, Script: filepath.ToSlash(rel)}}
	return j, nil
}

// nameRune keeps a folder's name fit to be a job's.
func nameRune(r rune) rune {
	if strings.ContainsRune(`?*\%!@#$^&|<>[]:;"'/ `, r) || r < ' ' {
		return '-'
	}
	return r
}

func (f runFlags) parameters() (map[string]string, error) {
	given := map[string]string{}
	for _, p := range f.params {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, errUsage{fmt.Errorf("--param %q: expected NAME=VALUE", p)}
		}
		given[k] = v
	}
	return given, nil
}

func (e *env) runHere(ctx context.Context, file string, f runFlags) (err error) {
	agents, err := f.localAgents()
	if err != nil {
		return err
	}
	params, err := f.parameters()
	if err != nil {
		return err
	}
	job, err := f.localJob(ctx, file)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "outwork-run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := server.New(ctx, server.Config{Data: dir, Listen: "127.0.0.1:0", Nodes: agents, Private: true, Log: log})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(serving) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	return e.buildHere(ctx, s, job, params, f)
}

// buildHere runs one build of job on s and shows it.
func (e *env) buildHere(ctx context.Context, s *server.Server, job build.Job, params map[string]string, f runFlags) error {
	work := context.WithoutCancel(ctx)
	if err := s.Ledger().Builds.PutJob(work, job, true); err != nil {
		return err
	}
	user := first(e.getenv("USER"), e.getenv("USERNAME"), "you")
	id, err := s.Runner().Trigger(work, job.Name, params, build.Cause{Kind: "user", User: user, Text: "Started by user " + user})
	if err != nil {
		return err
	}
	abort, done := context.WithCancel(work)
	defer done()
	go func() {
		for _, asked := range []<-chan struct{}{ctx.Done(), e.again} {
			select {
			case <-asked:
				if err := s.Runner().Abort(abort, id, user); err != nil && !fault.Is(err, fault.Conflict) && abort.Err() == nil {
					fmt.Fprintf(e.err, "outwork: abort: %v\n", err)
				}
			case <-abort.Done():
				return
			}
		}
	}()
	var progress stageProgress
	if !f.quiet && !e.json {
		progress.start(work, s, id, e.err)
	}
	l, err := s.Logs().Build(id)
	if err != nil {
		return err
	}
	defer l.Release()
	out := e.out
	if e.json {
		out = e.err
	}
	if err := l.Follow(work, 0, func(_ int64, p []byte) error { _, err := out.Write(p); return err }); err != nil {
		return err
	}
	b, err := s.Runner().Wait(work, id)
	if err != nil {
		return err
	}
	progress.stop()
	if f.artifacts != "" {
		if err := copyArtifacts(work, s, id, f.artifacts); err != nil {
			return err
		}
	}
	if e.json {
		if err := e.show(b, nil); err != nil {
			return err
		}
	}
	switch {
	case b.Result == build.Success:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	}
	return errResult{string(b.Result)}
}

// removeAll removes the temporary folder, also what a build has made read-only.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
