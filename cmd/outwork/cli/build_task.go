package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/mem"
	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/graph"
	"github.com/outwork-build/outwork/task/local"
	"github.com/outwork-build/outwork/task/recipe"
	taskrun "github.com/outwork-build/outwork/task/run"
	"github.com/outwork-build/outwork/task/sandbox"
)

// taskFlags are what the verbs about tasks are told.
type taskFlags struct {
	workspace string
	cache     string
	salt      string

	jobs      int
	keepGoing bool
	noCache   bool
	strict    bool
	sandbox   string
	resources []string
	result    string
	explain   bool
	whyMiss   bool
	verbose   bool
}

// place adds the flags that say where workspace and cache are.
func (f *taskFlags) place(e *env, c *cobra.Command) {
	c.Flags().StringVarP(&f.workspace, "workspace", "C", "", "folder with the first "+recipe.File+" (default: the topmost one from here upwards, within the git checkout)")
	c.Flags().StringVar(&f.cache, "cache", "", "folder of the cache (default: $OUTWORK_CACHE, else outwork in the user's cache folder)")
}

const buildLong = "Build tasks of the workspace's " + recipe.File + " here, with the cache on this machine: see docs/tasks.md.\n\n" +
	"The names of commands come first: list, show, logs, abort, rebuild, artifacts and delete are about the builds of a controller.\n" +
	"Anything else is a task, as NAME or NAME:PARAM=VALUE,PARAM=VALUE; a task that has a command's name is built as ./NAME.\n" +
	"The exit code is 0 when every task that was asked for has an artifact, 1 when one has none, 130 when the build was interrupted."

// makeTaskBuilder makes a verb that has others below it build tasks, too.
func (e *env) makeTaskBuilder(c *cobra.Command) {
	var f taskFlags
	c.Use, c.Short, c.Long = "build TASK…", "Build tasks here; look at a controller's builds, follow and abort them", buildLong
	c.Example = "  outwork build app\n  outwork build app:arch=arm64,debug=true tests --keep-going --result out\n  outwork build --explain app"
	c.Args = cobra.ArbitraryArgs
	c.ValidArgsFunction = e.completeTasks
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return e.buildTasks(c.Context(), c, args, f)
	}
	f.place(e, c)
	fl := c.Flags()
	fl.IntVarP(&f.jobs, "jobs", "j", 0, "CPUs' worth of tasks at once (default: the machine's)")
	fl.BoolVarP(&f.keepGoing, "keep-going", "k", false, "go on with what does not need a task that failed")
	fl.BoolVar(&f.noCache, "no-cache", false, "take no result from the cache; what is built is kept there all the same")
	fl.StringVar(&f.salt, "salt", "", "make this text part of every key: builds with it know nothing of others")
	fl.BoolVar(&f.strict, "strict", false, "fail a task that reads a file of the workspace which is not among its sources")
	fl.StringVar(&f.sandbox, "sandbox", "", "bubblewrap, namespaces or folder (default: the first of them that works)")
	fl.StringArrayVar(&f.resources, "resource", nil, "NAME=N: there are N of a resource that tasks name; may be repeated (default: 1 of each; memory is the machine's)")
	fl.StringVar(&f.result, "result", "", "copy the artifact into this folder; of several tasks, each into a folder with its name")
	fl.BoolVar(&f.explain, "explain", false, "build nothing: show what goes into the tasks' keys")
	fl.BoolVar(&f.whyMiss, "why-miss", false, "say of each task that runs what changed since it was built last")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show tasks that were in the cache too")
}

// taskRefs reads names of tasks.
func taskRefs(args []string) ([]recipe.Ref, error) {
	var refs []recipe.Ref
	for _, a := range args {
		r, err := recipe.ParseRef(strings.TrimPrefix(a, "./"))
		if err != nil {
			return nil, errUsage{err}
		}
		refs = append(refs, r)
	}
	return refs, nil
}

// workspaceDir finds the folder whose recipe is the first.
func (f taskFlags) workspaceDir() (string, error) {
	dir := f.workspace
	if dir != "" {
		if _, err := os.Stat(filepath.Join(dir, recipe.File)); err != nil {
			return "", fault.New(fault.NotFound, "there is no %s in %s", recipe.File, dir)
		}
		return dir, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := here; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, recipe.File)); err == nil {
			dir = at
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil || at == filepath.Dir(at) {
			break
		}
	}
	if dir == "" {
		return "", fault.New(fault.NotFound, "there is no %s in %s or above: tasks are declared there, see docs/tasks.md", recipe.File, here)
	}
	return dir, nil
}

// cacheDir is where the cache is.
func (e *env) cacheDir(f taskFlags) (string, error) {
	dir := first(f.cache, e.getenv("OUTWORK_CACHE"))
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fault.New(fault.Invalid, "%w; say --cache DIR", err)
		}
		dir = filepath.Join(base, "outwork")
	}
	return filepath.Abs(dir)
}

// workshop is all that building needs, opened.
type workshop struct {
	env       *env
	flags     taskFlags
	dir       string // of the cache
	state     string // of the workspace, below it
	workspace *taskrun.Workspace
	set       *recipe.Set
	graph     *graph.Graph
	store     *disk.Store
	builder   *taskrun.Builder
}

// openRecipes opens the workspace and reads its recipes.
func (e *env) openRecipes(ctx context.Context, f taskFlags) (*workshop, error) {
	w := &workshop{env: e, flags: f}
	dir, err := f.workspaceDir()
	if err != nil {
		return nil, err
	}
	if w.dir, err = e.cacheDir(f); err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	w.state = filepath.Join(w.dir, "workspaces", cas.Of([]byte(dir)).Hash[:16])
	if err := os.MkdirAll(w.state, 0o755); err != nil {
		return nil, err
	}
	if w.workspace, err = taskrun.OpenWorkspace(dir, filepath.Join(w.state, "hashes")); err != nil {
		return nil, err
	}
	w.set, err = recipe.Load(ctx, recipe.Config{Files: w.workspace.Files(), Print: func(at recipe.Pos, msg string) { e.say("%s: %s", at, msg) }}, recipe.File)
	if err != nil {
		return nil, errors.Join(err, w.workspace.Close())
	}
	return w, nil
}

// resolve makes the graph of what is asked for.
func (w *workshop) resolve(ctx context.Context, args []string) error {
	refs, err := taskRefs(args)
	if err == nil {
		w.graph, err = graph.Resolve(ctx, w.set, refs)
	}
	return err
}

// openCache opens the cache and makes a builder.
func (w *workshop) openCache(ctx context.Context, events func(taskrun.Event)) (err error) {
	if w.store, err = w.env.openStore(ctx, filepath.Join(w.dir, "blobs")); err != nil {
		return err
	}
	box, err := sandbox.New(sandbox.Config{Kind: sandbox.Kind(w.flags.sandbox), Hide: []string{w.workspace.Dir(), w.dir}})
	if err != nil {
		return errUsage{err}
	}
	named, memory, err := w.flags.named()
	if err != nil {
		return err
	}
	scratch := filepath.Join(w.dir, "scratch")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return err
	}
	w.builder, err = taskrun.New(taskrun.Config{
		Store: w.store, Actions: w.store, Executor: local.New(local.Config{Store: w.store, Sandbox: box, Dir: scratch}), Workspace: w.workspace, Dir: w.state,
		Jobs: w.flags.jobs, Memory: memory, Named: named,
		KeepGoing: w.flags.keepGoing, NoCache: w.flags.noCache, Strict: w.flags.strict, Salt: w.flags.salt, Events: events,
	})
	return err
}

func (w *workshop) close() error {
	err := w.workspace.Close()
	if w.store != nil {
		err = errors.Join(err, w.store.Close())
	}
	return err
}

// named are the resources that there are, and the memory.
func (f taskFlags) named() (map[string]int, int64, error) {
	named, memory := map[string]int{}, int64(0)
	if m, err := mem.VirtualMemory(); err == nil {
		memory = int64(m.Total)
	}
	for _, r := range f.resources {
		k, v, ok := strings.Cut(r, "=")
		if k == "memory" {
			n, err := recipe.ParseBytes(v)
			if err != nil {
				return nil, 0, errUsage{fmt.Errorf("--resource memory: %w", err)}
			}
			memory = n
			continue
		}
		n, err := strconv.Atoi(v)
		if !ok || k == "" || err != nil || n < 0 {
			return nil, 0, errUsage{fmt.Errorf("--resource %q: expected NAME=NUMBER", r)}
		}
		named[k] = n
	}
	return named, memory, nil
}

// again is how often it is looked whether another process is done with the cache.
const again = 50 * time.Millisecond

// openStore opens the cache when no other process has it open any more.
func (e *env) openStore(ctx context.Context, dir string) (*disk.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for said := false; ; {
		s, err := disk.Open(disk.Config{Dir: dir})
		if !fault.Is(err, fault.Conflict) {
			return s, err
		}
		if !said {
			e.say("Waiting for another build that uses the cache %s …", dir)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(again):
		}
	}
}

func (e *env) buildTasks(ctx context.Context, c *cobra.Command, args []string, f taskFlags) (err error) {
	w, err := e.openRecipes(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.resolve(ctx, args); err != nil {
		return orCommand(c, args, err)
	}
	view := e.newView(f, w.graph)
	if err := w.openCache(ctx, view.event); err != nil {
		return err
	}
	if f.explain {
		return e.explainTasks(ctx, w)
	}
	view.start()
	report, err := w.builder.Build(ctx, w.graph)
	view.stop()
	if err != nil {
		return err
	}
	return e.concludeTasks(ctx, w, view, report)
}

// orCommand adds to an error about a task that a command may have been meant.
func orCommand(c *cobra.Command, args []string, err error) error {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); fault.Is(err, fault.NotFound) && len(near) > 0 {
		return fmt.Errorf("%w (or was the command %s meant?)", err, strings.Join(near, " or "))
	}
	return err
}

// completeTasks offers the names of tasks.
func (e *env) completeTasks(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	w, err := e.openRecipes(c.Context(), taskFlags{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer w.close()
	return w.set.Names(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
