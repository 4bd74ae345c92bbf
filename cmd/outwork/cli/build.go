package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func (e *env) buildCmd() *cobra.Command {
	c := &cobra.Command{}
	e.makeTaskBuilder(c)
	c.AddCommand(e.buildListCmd(), e.buildShowCmd(), e.buildLogsCmd(), e.buildAbortCmd(), e.buildRebuildCmd(), e.buildArtifactsCmd(), e.buildDeleteCmd())
	return c
}

// completeBuilds offers the newest builds.
func (e *env) completeBuilds(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	bs, err := cl.Builds(c.Context(), client.BuildFilter{Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, b := range bs {
		names = append(names, fmt.Sprintf("%s#%d", b.Job, b.Number))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// buildArg reads JOB#NUMBER.
func buildArg(s string) (build.ID, error) {
	id, err := build.ParseID(s)
	if err != nil {
		return id, errUsage{err}
	}
	return id, nil
}

// oneBuild is the cobra check of verbs about one build.
func oneBuild(c *cobra.Command, args []string) error {
	return exactly(1, "a build as JOB#NUMBER")(c, args)
}

// askingOf is the body of a verb that asks a controller about one build.
func (e *env) askingOf(do func(ctx context.Context, cl *client.Client, id build.ID) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		id, err := buildArg(args[0])
		if err != nil {
			return err
		}
		return e.asking(func(ctx context.Context, cl *client.Client, _ []string) error { return do(ctx, cl, id) })(c, args)
	}
}

func status(b api.Build) string {
	switch {
	case b.State != "finished":
		return b.State
	case b.CauseKind != "" && b.CauseKind != "USER":
		return b.Result + " (" + b.CauseKind + ")"
	}
	return b.Result
}

// ago says a time as people do.
func ago(t time.Time) string { return duration(time.Since(t)) + " ago" }

func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func buildTable(w io.Writer, bs []api.Build) {
	fmt.Fprintln(w, "BUILD\tRESULT\tSTARTED\tTOOK\tCAUSE")
	for _, b := range bs {
		fmt.Fprintf(w, "%s#%d\t%s\t%s\t%s\t%s\n", b.Job, b.Number, status(b), ago(b.Accepted), duration(time.Duration(b.DurationMS)*time.Millisecond), b.Cause.Text)
	}
}

func (e *env) buildListCmd() *cobra.Command {
	var f client.BuildFilter
	c := &cobra.Command{
		Use: "list", Short: "List builds, newest first", Example: "  outwork build list --job hello --limit 5\n  outwork build list --state running --json",
		Args: exactly(0, "no argument"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			bs, err := cl.Builds(ctx, f)
			if err != nil {
				return err
			}
			return e.show(bs, func(w *tabwriter.Writer) { buildTable(w, bs) })
		}),
	}
	c.Flags().StringVar(&f.Job, "job", "", "of this job only")
	c.Flags().StringVar(&f.State, "state", "", "queued, running or finished")
	c.Flags().IntVar(&f.Limit, "limit", 30, "at most so many")
	c.Flags().IntVar(&f.Before, "before", 0, "with --job: numbers below this one")
	return c
}

func (e *env) buildShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show JOB#NUMBER", Short: "Show a build and its stages", Example: "  outwork build show 'hello#3'", Args: oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			b, err := cl.Build(ctx, string(id.Job), id.Number)
			if err != nil {
				return err
			}
			stages, err := cl.Stages(ctx, string(id.Job), id.Number)
			if err != nil {
				return err
			}
			v := struct {
				api.Build
				Stages []api.Stage `json:"stages"`
			}{b, stages}
			return e.show(v, func(w *tabwriter.Writer) { showBuild(w, b, stages) })
		}),
	}
}

func showBuild(w io.Writer, b api.Build, stages []api.Stage) {
	fmt.Fprintf(w, "Build:\t%s#%d\n", b.Job, b.Number)
	fmt.Fprintf(w, "Result:\t%s\n", status(b))
	if b.Message != "" {
		fmt.Fprintf(w, "Message:\t%s\n", b.Message)
	}
	fmt.Fprintf(w, "Cause:\t%s\n", b.Cause.Text)
	fmt.Fprintf(w, "Accepted:\t%s (%s)\n", b.Accepted.Local().Format(time.DateTime), ago(b.Accepted))
	fmt.Fprintf(w, "Took:\t%s\n", duration(time.Duration(b.DurationMS)*time.Millisecond))
	fmt.Fprintf(w, "Page:\t%s\n", b.URL)
	if len(stages) == 0 {
		return
	}
	fmt.Fprintln(w, "\nSTAGE\tRESULT\tTOOK\tNODE")
	depth := map[string]int{}
	for _, s := range stages {
		d := 0
		if s.Parent != "" {
			d = depth[s.Parent] + 1
		}
		depth[s.ID] = d
		took := ""
		if s.Started != nil {
			end := time.Now()
			if s.Ended != nil {
				end = *s.Ended
			}
			took = duration(end.Sub(*s.Started))
		}
		fmt.Fprintf(w, "%*s%s\t%s\t%s\t%s\n", 2*d, "", s.Name, first(s.Result, s.State), took, s.Node)
	}
}

func (e *env) buildLogsCmd() *cobra.Command {
	var follow bool
	var grep string
	c := &cobra.Command{
		Use: "logs JOB#NUMBER", Short: "Show a build's console log", Aliases: []string{"log"},
		Example: "  outwork build logs 'hello#3' --follow\n  outwork build logs 'hello#3' --grep 'error|warning'",
		Args:    oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			switch {
			case grep != "":
				lines, err := cl.SearchLog(ctx, string(id.Job), id.Number, grep, 10000)
				if err != nil {
					return err
				}
				return e.show(lines, func(w *tabwriter.Writer) {
					for _, l := range lines {
						fmt.Fprintf(e.out, "%d: %s\n", l.Number, l.Text)
					}
				})
			case follow:
				return e.follow(ctx, cl, string(id.Job), id.Number, 0)
			case e.json:
				page, err := cl.LogLines(ctx, string(id.Job), id.Number, 1, 10000)
				if err != nil {
					return err
				}
				return e.show(page, nil)
			}
			r, err := cl.Log(ctx, string(id.Job), id.Number, 0, false)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(e.out, r)
			return err
		}),
	}
	c.Flags().BoolVar(&follow, "follow", false, "go on until the build has ended; the exit code is its result")
	c.Flags().StringVar(&grep, "grep", "", "only lines that match this RE2 expression, with their numbers")
	return c
}

func (e *env) buildAbortCmd() *cobra.Command {
	return &cobra.Command{
		Use: "abort JOB#NUMBER", Short: "End a build; a second time ends it hard",
		Long:    "Ask a build to end. Its running steps get TERM and, after a grace, KILL; post and finally sections still run.\nA second abort ends those too.",
		Example: "  outwork build abort 'hello#3'", Args: oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			if err := cl.Abort(ctx, string(id.Job), id.Number); err != nil {
				return err
			}
			e.say("Asked %s to end.", id)
			return nil
		}),
	}
}

func (e *env) buildRebuildCmd() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "rebuild JOB#NUMBER", Short: "Start a build with an old one's parameters", Example: "  outwork build rebuild 'hello#3' --follow",
		Args: oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			b, err := cl.Rebuild(ctx, string(id.Job), id.Number)
			if err != nil {
				return err
			}
			if follow {
				return e.follow(ctx, cl, b.Job, b.Number, 0)
			}
			return e.show(b, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Started %s#%d: %s\n", b.Job, b.Number, b.URL) })
		}),
	}
	c.Flags().BoolVar(&follow, "follow", false, "show the console log until the build has ended")
	return c
}

func (e *env) buildArtifactsCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "artifacts JOB#NUMBER", Short: "List what a build archived, or fetch it",
		Example: "  outwork build artifacts 'hello#3'\n  outwork build artifacts 'hello#3' --download ./out", Args: oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			as, err := cl.Artifacts(ctx, string(id.Job), id.Number)
			if err != nil {
				return err
			}
			if dir != "" {
				for _, a := range as {
					if err := e.download(ctx, cl, id, a, dir); err != nil {
						return fmt.Errorf("fetch %s: %w", a.Path, err)
					}
				}
			}
			return e.show(as, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "PATH\tBYTES")
				for _, a := range as {
					fmt.Fprintf(w, "%s\t%d\n", a.Path, a.Size)
				}
			})
		}),
	}
	c.Flags().StringVar(&dir, "download", "", "fetch them all into this folder")
	return c
}

// download writes one artifact below dir. The path came from a build: it may not lead out.
func (e *env) download(ctx context.Context, cl *client.Client, id build.ID, a api.Artifact, dir string) error {
	if !filepath.IsLocal(filepath.FromSlash(a.Path)) {
		return fault.New(fault.Invalid, "path leads out of the folder")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r, err := cl.Artifact(ctx, string(id.Job), id.Number, a.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(a.Path)), 0o755); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(first(a.Mode, "0644"), 8, 32)
	if err != nil {
		return fault.New(fault.Invalid, "mode %q: expected an octal number", a.Mode)
	}
	f, err := createIn(root, filepath.FromSlash(a.Path), fs.FileMode(mode))
	if err != nil {
		return err
	}
	n, err := io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n != a.Size {
		return fault.New(fault.Unavailable, "got %d of %d bytes", n, a.Size)
	}
	return nil
}

func (e *env) buildDeleteCmd() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "delete JOB#NUMBER", Short: "Delete a finished build", Example: "  outwork build delete 'hello#3' --yes", Args: oneBuild, ValidArgsFunction: e.completeBuilds,
		RunE: e.askingOf(func(ctx context.Context, cl *client.Client, id build.ID) error {
			if err := e.confirm(yes, "Delete build "+id.String()+"?"); err != nil {
				return err
			}
			return e.done(cl.DeleteBuild(ctx, string(id.Job), id.Number), "Deleted build %s.", id)
		}),
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}
