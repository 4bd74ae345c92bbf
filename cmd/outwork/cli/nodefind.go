package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) nodeLogCmd() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "log NAME", Short: "Show a node's log: how it was launched and connected", Example: "  outwork node log a --follow", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if follow && !e.json {
				r, err := cl.FollowNodeLog(ctx, args[0])
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = io.Copy(e.out, r)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return err
			}
			text, err := cl.NodeLog(ctx, args[0])
			if err != nil {
				return err
			}
			if e.json {
				return e.show(map[string]string{"log": text}, nil)
			}
			fmt.Fprint(e.out, text)
			return nil
		}),
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on as it grows")
	return c
}

func (e *env) nodeHistoryCmd() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history NAME", Short: "Show when a node was offline, and why", Example: "  outwork node history a", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			rs, err := cl.NodeHistory(ctx, args[0], limit)
			if err != nil {
				return err
			}
			return e.show(rs, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "WHEN\tSTATE\tWHY")
				for _, r := range rs {
					why := ""
					if r.Offline != nil {
						why = brief(r.Offline.Text)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\n", r.At.Local().Format(time.DateTime), r.State, why)
				}
			})
		}),
	}
	c.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return c
}

func (e *env) nodeDoctorCmd() *cobra.Command {
	return &cobra.Command{
		Use: "doctor NAME", Short: "Look at the way to a node hop by hop, and name the first that fails", Example: "  outwork node doctor build1",
		Long: `Look at the way to a node hop by hop, and name the first that fails, with what to do about it. It changes nothing on the machine.
It ends with exit code 6 when a hop fails.`,
		Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			hops, err := e.examine(ctx, cl, args[0])
			if e.json && hops != nil {
				return errors.Join(e.show(hops, nil), err)
			}
			return err
		}),
	}
}

// examine shows hops as they come. Its error names the first that failed.
func (e *env) examine(ctx context.Context, cl *client.Client, name string) (hops []api.NodeHop, err error) {
	var failed *api.NodeHop
	err = cl.ExamineNode(ctx, name, func(h api.NodeHop) error {
		hops = append(hops, h)
		mark := "ok  "
		if !h.OK {
			mark, failed = "FAIL", &h
		}
		took := ""
		if h.TookMS >= 1 {
			took = " (" + duration(time.Duration(h.TookMS*float64(time.Millisecond))) + ")"
		}
		e.say("%s  %-14s %s%s", mark, h.Name, h.Text, took)
		if h.Hint != "" {
			e.say("      → %s", h.Hint)
		}
		return nil
	})
	if err == nil && failed != nil {
		err = fault.New(fault.Unavailable, "node %s: %s: %s", name, failed.Name, failed.Text)
	}
	return hops, err
}

func (e *env) nodeTestCmd() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Run a tiny step on a node, the way that a build's go", Example: "  outwork node test a", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			t, err := cl.TestNode(ctx, args[0])
			if err != nil {
				return err
			}
			err = e.show(t, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "Workspace:\t%s\nWaited:\t%.1f ms\nTook:\t%.1f ms\nSaid:\t%s\n", t.Workspace, t.WaitedMS, t.TookMS, strings.ReplaceAll(t.Text, "\n", "\n\t"))
				if len(t.Labels) > 0 {
					fmt.Fprintf(w, "Labels that would fit:\t%s\n", strings.Join(t.Labels, " "))
				}
			})
			if err == nil && !t.OK {
				err = errResult{"with a failed self-test"}
			}
			return err
		}),
	}
}

// report is what `node check` finds.
type report struct {
	Nodes   []checked `json:"nodes"`
	Offline int       `json:"offline"`
	Total   int       `json:"total"`
}

// checked is one node in a report, under the names that people's scripts have for it.
type checked struct {
	Name               string `json:"name"`
	Offline            bool   `json:"isOffline"`
	TemporarilyOffline bool   `json:"isTemporarilyOffline"`
	OfflineCause       string `json:"offlineCause,omitempty"`
	Path               string `json:"path,omitempty"`
	Answer             string `json:"answer"`
	Problem            bool   `json:"problem,omitempty"`
}

func (e *env) nodeCheckCmd() *cobra.Command {
	var all, run bool
	var where string
	c := &cobra.Command{
		Use: "check [NAME…]", Short: "Report which nodes answer, which are offline, and why", Example: "  outwork node check --all\n  outwork node check --where linux --run --json",
		Long: `Report which nodes answer, which are offline, and why. With --run a tiny step is run on each that takes work, and the exit code is 1
when one of them fails.`,
		ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if n := len(args); n == 0 && where == "" && !all || n > 0 && (where != "" || all) || where != "" && all {
				return errUsage{errors.New("expected names of nodes, --where EXPRESSION or --all")}
			}
			ns, err := cl.Nodes(ctx, where)
			if err != nil {
				return err
			}
			r, err := e.check(ctx, cl, ns, args, run)
			if err != nil {
				return err
			}
			err = e.show(r, r.table)
			for _, n := range r.Nodes {
				if err == nil && n.Problem {
					err = errResult{"with nodes that do not answer"}
				}
			}
			return err
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "every node")
	c.Flags().StringVar(&where, "where", "", "all nodes that this label `expression` matches")
	c.Flags().BoolVar(&run, "run", false, "run a tiny step on each that takes work")
	return c
}

func (e *env) check(ctx context.Context, cl *client.Client, ns []api.Node, names []string, run bool) (r report, err error) {
	byName := map[string]api.Node{}
	for _, n := range ns {
		byName[n.Name] = n
	}
	if len(names) == 0 {
		for _, n := range ns {
			names = append(names, n.Name)
		}
	}
	r.Nodes = []checked{}
	for _, name := range names {
		n, ok := byName[name]
		if !ok {
			return r, fault.New(fault.NotFound, "there is no node %q", name)
		}
		c := check(n)
		if run && n.State == "online" && n.Executors > 0 {
			if t, err := cl.TestNode(ctx, name); err != nil {
				c.Answer, c.Problem = err.Error(), true
			} else if !t.OK {
				c.Answer, c.Problem = t.Text, true
			}
		}
		if r.Total++; c.Offline {
			r.Offline++
		}
		r.Nodes = append(r.Nodes, c)
	}
	return r, nil
}

func check(n api.Node) checked {
	c := checked{Name: n.Name, Offline: n.State != "online", TemporarilyOffline: n.TakenOff, OfflineCause: reason(n), Answer: "no answer"}
	if n.State != "offline" && n.State != "connecting" {
		c.Answer = "the agent answers, without its PATH"
		if n.Agent != nil && n.Agent.Path != "" {
			c.Path, c.Answer = n.Agent.Path, "OK, got PATH back from agent "+n.Name+"."
		}
	}
	return c
}

func (r report) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "NAME\tOFFLINE\tTEMPORARILY\tANSWER\tCAUSE")
	for _, n := range r.Nodes {
		fmt.Fprintf(w, "%s\t%t\t%t\t%s\t%s\n", n.Name, n.Offline, n.TemporarilyOffline, n.Answer, n.OfflineCause)
	}
	fmt.Fprintf(w, "\nNumber of Offline Nodes: %d\nNumber of Nodes: %d\n", r.Offline, r.Total)
}

func (e *env) nodeWaitCmd(online bool) *cobra.Command {
	var timeout time.Duration
	word := map[bool]string{true: "online", false: "offline"}[online]
	c := &cobra.Command{
		Use: "wait-" + word + " NAME…", Short: "Wait until nodes are " + word, Example: "  outwork node wait-" + word + " a --timeout 5m", ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if len(args) == 0 {
				return errUsage{errors.New("expected the name of a node")}
			}
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, fault.New(fault.Unavailable, "%s: not %s within %v", strings.Join(args, ", "), word, timeout))
				defer cancel()
			}
			err := e.awaitNodes(ctx, cl, args, func(n api.Node) (bool, error) { return (n.State == "online") == online, nil })
			return e.done(err, "%s: %s.", strings.Join(args, ", "), word)
		}),
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "how long at most; 0 is for ever")
	return c
}
