package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/task/graph"
	"github.com/outwork-build/outwork/task/recipe"
)

func (e *env) taskCmd() *cobra.Command {
	c := &cobra.Command{Use: "task", Short: "Look at the tasks of a workspace"}
	c.AddCommand(e.taskListCmd(), e.taskShowCmd(), e.taskGraphCmd())
	return c
}

// withRecipes is the body of a verb that reads the workspace's recipes.
func (e *env) withRecipes(f *taskFlags, do func(ctx context.Context, w *workshop, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		w, err := e.openRecipes(c.Context(), *f)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		return do(c.Context(), w, args)
	}
}

// taskInfo is a template as --json shows it.
type taskInfo struct {
	Name   string         `json:"task"`
	Help   string         `json:"help,omitempty"`
	At     string         `json:"at"`
	Alias  bool           `json:"alias,omitempty"`
	Params []recipe.Param `json:"params,omitempty"`
}

func (e *env) taskListCmd() *cobra.Command {
	var f taskFlags
	c := &cobra.Command{
		Use: "list", Short: "List the tasks, with their parameters", Example: "  outwork task list", Args: exactly(0, "no argument"),
		RunE: e.withRecipes(&f, func(_ context.Context, w *workshop, _ []string) error {
			infos := []taskInfo{}
			for _, name := range w.set.Names() {
				d, err := w.set.Lookup(name)
				if err != nil {
					return err
				}
				infos = append(infos, taskInfo{d.Name, d.Help, d.Pos.String(), d.Alias, d.Params})
			}
			return e.show(infos, func(t *tabwriter.Writer) {
				fmt.Fprintln(t, "TASK\tPARAMETERS\tWHAT IT IS")
				for _, i := range infos {
					var params []string
					for _, p := range i.Params {
						params = append(params, describeParam(p))
					}
					fmt.Fprintf(t, "%s\t%s\t%s\n", i.Name, strings.Join(params, " "), i.Help)
				}
			})
		}),
	}
	f.place(e, c)
	return c
}

// describeParam is a parameter with its default and its choices.
func describeParam(p recipe.Param) string {
	s := p.Name + "=" + p.Default
	if p.Required {
		s = p.Name + "=…"
	}
	if others := slices.DeleteFunc(slices.Clone(p.Choices), func(c string) bool { return c == p.Default }); len(others) > 0 {
		s += "|" + strings.Join(others, "|")
	}
	return s
}

// shownTask is a task as --json shows it.
type shownTask struct {
	Task     string            `json:"task"`
	Help     string            `json:"help,omitempty"`
	At       string            `json:"at"`
	Requires []string          `json:"requires,omitempty"`
	Sources  []string          `json:"sources,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Labels   []string          `json:"labels,omitempty"`
	Run      []string          `json:"run,omitempty"`
	Publish  []string          `json:"publish,omitempty"`
	Timeout  string            `json:"timeout,omitempty"`
}

func (e *env) taskShowCmd() *cobra.Command {
	var f taskFlags
	c := &cobra.Command{
		Use: "show TASK", Short: "Show a task as its parameters make it", Example: "  outwork task show app:arch=arm64", Args: exactly(1, "a task"), ValidArgsFunction: e.completeTasks,
		RunE: e.withRecipes(&f, func(ctx context.Context, w *workshop, args []string) error {
			if err := w.resolve(ctx, args); err != nil {
				return err
			}
			var shown []shownTask
			for _, n := range w.graph.Goals {
				s, err := describeTask(w, n)
				if err != nil {
					return err
				}
				shown = append(shown, s)
			}
			return e.show(shown, func(t *tabwriter.Writer) {
				for _, s := range shown {
					showTask(t, s)
				}
			})
		}),
	}
	f.place(e, c)
	return c
}

func describeTask(w *workshop, n *graph.Node) (shownTask, error) {
	t := n.Task
	s := shownTask{Task: t.ID, Help: t.Help, At: t.Pos.String(), Env: t.Env, Labels: t.Labels, Run: t.Run}
	for _, d := range n.Deps {
		req := d.Node.Task.ID
		if d.As != d.Node.Task.Name {
			req = d.As + "=" + req
		}
		s.Requires = append(s.Requires, req)
	}
	sources, err := w.workspace.Sources(t)
	if err != nil {
		return s, err
	}
	for _, e := range sources {
		s.Sources = append(s.Sources, e.Path)
	}
	for _, r := range t.Publish {
		for _, from := range r.From {
			s.Publish = append(s.Publish, from+" → "+first(r.To, "./"))
		}
	}
	if t.Timeout > 0 {
		s.Timeout = t.Timeout.String()
	}
	return s, nil
}

func showTask(t *tabwriter.Writer, s shownTask) {
	row := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				fmt.Fprintf(t, "%s\t%s\n", name, v)
				name = ""
			}
		}
	}
	row("Task:", s.Task)
	row("What it is:", s.Help)
	row("Declared at:", s.At)
	row("Requires:", s.Requires...)
	row("Sources:", s.Sources...)
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		row("Environment:", k+"="+s.Env[k])
	}
	row("Labels:", s.Labels...)
	row("Timeout:", s.Timeout)
	row("Runs:", s.Run...)
	row("Publishes:", s.Publish...)
}

// graphNode is a node as --json shows it.
type graphNode struct {
	Task     string   `json:"task"`
	Requires []string `json:"requires,omitempty"`
}

func (e *env) taskGraphCmd() *cobra.Command {
	var f taskFlags
	var dot bool
	c := &cobra.Command{
		Use: "graph TASK…", Short: "Show what tasks require, all the way down", Example: "  outwork task graph app\n  outwork task graph --dot app | dot -Tsvg > app.svg",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: e.completeTasks,
		RunE: e.withRecipes(&f, func(ctx context.Context, w *workshop, args []string) error {
			if err := w.resolve(ctx, args); err != nil {
				return err
			}
			var nodes []graphNode
			for _, n := range w.graph.Nodes {
				g := graphNode{Task: n.Task.ID}
				for _, d := range n.Deps {
					g.Requires = append(g.Requires, d.Node.Task.ID)
				}
				nodes = append(nodes, g)
			}
			return e.show(nodes, func(t *tabwriter.Writer) {
				if dot {
					drawDot(t, nodes)
					return
				}
				seen := map[*graph.Node]bool{}
				for _, n := range w.graph.Goals {
					drawTree(t, n, "", "", seen)
				}
			})
		}),
	}
	f.place(e, c)
	c.Flags().BoolVar(&dot, "dot", false, "in the language of Graphviz")
	return c
}

func drawDot(t *tabwriter.Writer, nodes []graphNode) {
	fmt.Fprintln(t, "digraph tasks {")
	for _, n := range nodes {
		fmt.Fprintf(t, "  %q;\n", n.Task)
		for _, r := range n.Requires {
			fmt.Fprintf(t, "  %q -> %q;\n", n.Task, r)
		}
	}
	fmt.Fprintln(t, "}")
}

// drawTree draws a node and what it requires. What was drawn already is not drawn again below.
func drawTree(t *tabwriter.Writer, n *graph.Node, lead, below string, seen map[*graph.Node]bool) {
	again := ""
	if seen[n] && len(n.Deps) > 0 {
		again = " …"
	}
	fmt.Fprintf(t, "%s%s%s\n", lead, n.Task.ID, again)
	if seen[n] {
		return
	}
	seen[n] = true
	for i, d := range n.Deps {
		if i == len(n.Deps)-1 {
			drawTree(t, d.Node, below+"└─ ", below+"   ", seen)
		} else {
			drawTree(t, d.Node, below+"├─ ", below+"│  ", seen)
		}
	}
}

func (e *env) cleanCmd() *cobra.Command {
	var f taskFlags
	var all bool
	c := &cobra.Command{
		Use: "clean [TASK…]", Short: "Forget what was built, so that it is built again",
		Long: "Forget the results of tasks of this workspace: of those named, with all their parameters unless some are given, else of all.\n" +
			"With --all the whole cache of this machine goes, of all workspaces.",
		Example: "  outwork clean app\n  outwork clean app:arch=arm64\n  outwork clean --all",
		RunE: func(c *cobra.Command, args []string) (err error) {
			if all {
				return e.removeCache(c.Context(), f)
			}
			refs, err := taskRefs(args)
			if err != nil {
				return err
			}
			w, err := e.openRecipes(c.Context(), f)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, w.close()) }()
			for _, r := range refs {
				if _, err := w.set.Lookup(r.Name); err != nil {
					return err
				}
			}
			if err := w.openCache(c.Context(), nil); err != nil {
				return err
			}
			n, err := w.builder.Forget(c.Context(), func(id string) bool { return !matches(id, refs) })
			return e.done(err, "Forgot %d results.", n)
		},
	}
	f.place(e, c)
	c.Flags().BoolVar(&all, "all", false, "remove the whole cache")
	return c
}

// matches reports whether a task is one of those named; with none named all are.
func matches(id string, refs []recipe.Ref) bool {
	task, err := recipe.ParseRef(id)
	return err == nil && (len(refs) == 0 || slices.ContainsFunc(refs, func(r recipe.Ref) bool {
		return r.Name == task.Name && !slices.ContainsFunc(r.Params, func(p recipe.Value) bool { return !slices.Contains(task.Params, p) })
	}))
}

// removeCache removes the cache when nobody uses it.
func (e *env) removeCache(ctx context.Context, f taskFlags) error {
	dir, err := e.cacheDir(f)
	if err != nil {
		return err
	}
	for _, sub := range []string{"blobs", "scratch", "workspaces"} {
		if sub == "blobs" {
			s, err := e.openStore(ctx, filepath.Join(dir, sub))
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(dir + "/" + sub); err != nil {
			return err
		}
	}
	e.say("Removed the cache %s.", dir)
	return nil
}
