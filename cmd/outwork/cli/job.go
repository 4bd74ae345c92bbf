package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) jobCmd() *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Make, show and build jobs"}
	c.AddCommand(e.jobCreateCmd(), e.jobUpdateCmd(), e.jobListCmd(), e.jobShowCmd(), e.jobBuildCmd(), e.jobDeleteCmd(),
		e.jobSwitchCmd("disable", true), e.jobSwitchCmd("enable", false))
	return c
}

// sourceFlags are the flags that say where a Jenkinsfile comes from.
type sourceFlags struct{ file, git, ref, path string }

func (s *sourceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&s.file, "file", "f", "", "take this Jenkinsfile's text; - is standard input")
	f.StringVar(&s.git, "git", "", "read the Jenkinsfile from this repository at each build")
	f.StringVar(&s.ref, "ref", "", "with --git: branch, tag or commit (default: the remote's HEAD)")
	f.StringVar(&s.path, "path", "", "with --git: path of the Jenkinsfile (default: Jenkinsfile)")
	c.MarkFlagsMutuallyExclusive("file", "git")
}

// source returns nil when no flag was given.
func (s *sourceFlags) source(in io.Reader) (*api.Source, error) {
	switch {
	case s.git != "":
		return &api.Source{Git: &api.GitSource{URL: s.git, Ref: s.ref, Path: s.path}}, nil
	case s.ref != "" || s.path != "":
		return nil, errUsage{errors.New("--ref and --path go with --git")}
	case s.file == "":
		return nil, nil
	}
	var b []byte
	var err error
	if s.file == "-" {
		b, err = io.ReadAll(io.LimitReader(in, 1<<20+1))
	} else {
		b, err = os.ReadFile(s.file)
	}
	if err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	return &api.Source{Script: string(b)}, nil
}

func (e *env) jobCreateCmd() *cobra.Command {
	var s sourceFlags
	var j api.JobCreate
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a job from a Jenkinsfile",
		Example: "  outwork job create hello --file Jenkinsfile\n  outwork job create team/app --git https://git.example.org/app.git --path ci/Jenkinsfile",
		Args:    exactly(1, "the job's name"),
		RunE: func(c *cobra.Command, args []string) error {
			src, err := s.source(e.in)
			if err != nil {
				return err
			}
			if src == nil {
				return errUsage{errors.New("expected --file JENKINSFILE or --git URL")}
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			j.Name, j.Source = args[0], *src
			job, err := cl.CreateJob(c.Context(), j)
			if err != nil {
				return err
			}
			return e.show(job, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Made job %s.\n", job.Name) })
		},
	}
	s.add(c)
	c.Flags().StringVar(&j.Description, "description", "", "what it is for")
	c.Flags().IntVar(&j.Priority, "priority", 0, "its builds' place in the queue: higher goes first (-100 to 100)")
	return c
}

func (e *env) jobUpdateCmd() *cobra.Command {
	var s sourceFlags
	var description string
	var priority int
	c := &cobra.Command{
		Use: "update NAME", Short: "Change a job", Example: "  outwork job update hello --file Jenkinsfile",
		Args: exactly(1, "the job's name"), ValidArgsFunction: e.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			src, err := s.source(e.in)
			if err != nil {
				return err
			}
			u := api.JobUpdate{Source: src}
			if c.Flags().Changed("description") {
				u.Description = &description
			}
			if c.Flags().Changed("priority") {
				u.Priority = &priority
			}
			return e.updateJob(c.Context(), args[0], u)
		},
	}
	s.add(c)
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().IntVar(&priority, "priority", 0, "its builds' place in the queue")
	return c
}

func (e *env) updateJob(ctx context.Context, name string, u api.JobUpdate) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	job, err := cl.UpdateJob(ctx, name, u)
	if err != nil {
		return err
	}
	return e.show(job, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Changed job %s.\n", job.Name) })
}

func (e *env) jobSwitchCmd(verb string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: strings.ToUpper(verb[:1]) + verb[1:] + " a job", Example: "  outwork job " + verb + " hello",
		Args: exactly(1, "the job's name"), ValidArgsFunction: e.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			return e.updateJob(c.Context(), args[0], api.JobUpdate{Disabled: &disabled})
		},
	}
}

func (e *env) jobListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the jobs", Example: "  outwork job list --json", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			jobs, err := cl.Jobs(c.Context())
			if err != nil {
				return err
			}
			return e.show(jobs, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "NAME\tLAST BUILD\tRESULT\tWHEN\tSOURCE")
				for _, j := range jobs {
					last, result, when := "-", "-", "-"
					if b := j.LastBuild; b != nil {
						last, result, when = fmt.Sprintf("#%d", b.Number), status(*b), ago(b.Accepted)
					}
					if j.Disabled {
						result += " (disabled)"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", j.Name, last, result, when, sourceText(j.Source))
				}
			})
		},
	}
}

func sourceText(s api.Source) string {
	switch {
	case s.Git != nil:
		return first(s.Git.URL, "") + " " + first(s.Git.Path, "Jenkinsfile")
	case s.Dir != "":
		return s.Dir
	}
	return fmt.Sprintf("text, %d lines", strings.Count(s.Script, "\n"))
}

func (e *env) jobShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a job and its last builds", Example: "  outwork job show hello",
		Args: exactly(1, "the job's name"), ValidArgsFunction: e.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			j, err := cl.Job(c.Context(), args[0])
			if err != nil {
				return err
			}
			if e.json {
				return e.show(j, nil)
			}
			builds, err := cl.Builds(c.Context(), client.BuildFilter{Job: j.Name, Limit: 10})
			if err != nil {
				return err
			}
			return e.show(j, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "Name:\t%s\n", j.Name)
				if j.Description != "" {
					fmt.Fprintf(w, "Description:\t%s\n", j.Description)
				}
				fmt.Fprintf(w, "Source:\t%s\n", sourceText(j.Source))
				if j.Disabled {
					fmt.Fprintln(w, "Disabled:\tyes")
				}
				for _, p := range j.Parameters {
					fmt.Fprintf(w, "Parameter:\t%s (%s), default %q %s\n", p.Name, p.Kind, p.Default, p.Description)
				}
				fmt.Fprintln(w)
				buildTable(w, builds)
			})
		},
	}
}

func (e *env) jobDeleteCmd() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a job with all its builds", Example: "  outwork job delete hello --yes",
		Args: exactly(1, "the job's name"), ValidArgsFunction: e.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := e.confirm(yes, "Delete job "+args[0]+" with all its builds?"); err != nil {
				return err
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			if err := cl.DeleteJob(c.Context(), args[0]); err != nil {
				return err
			}
			e.say("Deleted job %s.", args[0])
			return nil
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// confirm asks on the terminal, unless yes says that there is no need.
func (e *env) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	f, ok := e.in.(*os.File)
	if !ok || !isTerminal(f) {
		return errUsage{errors.New("this cannot be undone: say --yes")}
	}
	fmt.Fprintf(e.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(e.in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(line)); err != nil || (a != "y" && a != "yes") {
		return errInterrupted
	}
	return nil
}

func (e *env) jobBuildCmd() *cobra.Command {
	var params []string
	var follow bool
	c := &cobra.Command{
		Use: "build NAME", Short: "Start a build of a job",
		Long: "Start a build. When the command succeeds the build is on the controller's disk. With --follow the console log is\n" +
			"shown until the build has ended; the exit code is then 0 for SUCCESS and 1 for every other result.",
		Example: "  outwork job build hello --follow\n  outwork job build app -p BRANCH=main -p DEPLOY=true",
		Args:    exactly(1, "the job's name"), ValidArgsFunction: e.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			given := map[string]string{}
			for _, p := range params {
				k, v, ok := strings.Cut(p, "=")
				if !ok || k == "" {
					return errUsage{fmt.Errorf("--param %q: expected NAME=VALUE", p)}
				}
				given[k] = v
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			b, err := cl.StartBuild(c.Context(), args[0], api.BuildCreate{Parameters: given})
			if err != nil {
				return err
			}
			if !follow {
				return e.show(b, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Started %s#%d: %s\n", b.Job, b.Number, b.URL) })
			}
			e.say("Started %s#%d: %s", b.Job, b.Number, b.URL)
			return e.follow(c.Context(), cl, b.Job, b.Number, 0)
		},
	}
	c.Flags().StringArrayVarP(&params, "param", "p", nil, "parameter NAME=VALUE; may be repeated")
	c.Flags().BoolVar(&follow, "follow", false, "show the console log until the build has ended")
	return c
}

// follow shows a build's log from the byte at offset until it has ended, through broken connections and restarts of the
// controller, and turns its result into the command's.
func (e *env) follow(ctx context.Context, cl *client.Client, job string, number int, offset int64) error {
	out := e.out
	if e.json { // the log is not JSON; the build at the end is
		out = e.err
	}
	wait := 100 * time.Millisecond
	for {
		n, err := e.copyLog(ctx, cl, out, job, number, offset)
		if offset += n; n > 0 {
			wait = 100 * time.Millisecond
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			b, berr := cl.Build(ctx, job, number)
			if berr == nil && b.State == "finished" {
				return e.ended(b)
			}
			err = berr
		}
		if err != nil && !fault.Is(err, fault.Unavailable) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func (e *env) copyLog(ctx context.Context, cl *client.Client, out io.Writer, job string, number int, offset int64) (int64, error) {
	r, err := cl.Log(ctx, job, number, offset, true)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.Copy(out, r)
	if err != nil {
		err = fault.With(fault.Unavailable, err)
	}
	return n, err
}

func (e *env) ended(b api.Build) error {
	if e.json {
		if err := e.show(b, nil); err != nil {
			return err
		}
	}
	if b.Result != "SUCCESS" {
		return errResult{b.Result}
	}
	return nil
}

func (e *env) completeJobs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	jobs, err := cl.Jobs(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
