package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet/label"
)

func (e *env) nodeCmd() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Look at the machines and look after them"}
	c.AddCommand(e.nodeListCmd(), e.nodeShowCmd(), e.nodeAddCmd(), e.nodeCopyCmd(), e.nodeUpdateCmd(), e.nodeDeleteCmd(), e.nodeTokenCmd(),
		e.nodeLogCmd(), e.nodeHistoryCmd(), e.nodeDoctorCmd(), e.nodeApproveCmd(), e.nodePubkeyCmd(), e.nodeTestCmd(), e.nodeSyncCmd(), e.nodeCheckCmd(), e.nodeWaitCmd(true), e.nodeWaitCmd(false))
	c.AddCommand(e.nodeOrderCmds()...)
	return c
}

func (e *env) nodeListCmd() *cobra.Command {
	var where string
	c := &cobra.Command{
		Use: "list", Short: "List the nodes", Example: "  outwork node list --where 'linux && offline'", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			ns, err := cl.Nodes(c.Context(), where)
			if err != nil {
				return err
			}
			return e.show(ns, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "NAME\tSTATE\tBUSY\tSYSTEM\tLABELS\tREASON")
				for _, n := range ns {
					fmt.Fprintf(w, "%s\t%s\t%d/%d\t%s\t%s\t%s\n", n.Name, n.State, len(n.Busy), n.Executors, system(n), label.FormatLabels(n.Labels), brief(reason(n)))
				}
			})
		},
	}
	c.Flags().StringVar(&where, "where", "", "only nodes that this label `expression` matches; it also knows states: linux && offline")
	return c
}

func system(n api.Node) string {
	if n.OS == "" {
		return "-"
	}
	return n.OS + "/" + n.Arch
}

// reason is why a node is not online.
func reason(n api.Node) string {
	if n.Offline == nil {
		return ""
	}
	return n.Offline.Text
}

// longest is how much of a text a table shows; `node show` has the rest.
const longest = 100

// brief is so much of a text that a table stays one.
func brief(text string) string {
	line, _, cut := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > longest {
		line, cut = string(r[:longest]), true
	}
	if cut {
		line += " …"
	}
	return line
}

func (e *env) nodeShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a node and what it is doing", Example: "  outwork node show a", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			n, err := cl.Node(c.Context(), args[0])
			if err != nil {
				return err
			}
			return e.show(n, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "Name:\t%s\nState:\t%s since %s\n", n.Name, n.State, ago(n.Since))
				if n.Offline != nil {
					fmt.Fprintf(w, "Reason:\t%s\n", n.Offline.Text)
				}
				fmt.Fprintf(w, "Executors:\t%d, %d busy\nMode:\t%s\nLabels:\t%s\n", n.Executors, len(n.Busy), n.Mode, label.FormatLabels(n.Assigned))
				fmt.Fprintf(w, "Launcher:\t%s\nSystem:\t%s\nHost:\t%s, %d CPUs\nVersion:\t%s\n", n.Launcher, system(n), n.Hostname, n.CPUs, n.Version)
				if a := n.Agent; a != nil {
					fmt.Fprintf(w, "Agent:\tprocess %d, %s, folder %s\n", a.PID, memory(a.Memory), a.Root)
				}
				for _, h := range n.Health {
					fmt.Fprintf(w, "%s:\t%s\n", title(h.Monitor), finding(h))
				}
				if n.ToolSync != nil {
					fmt.Fprintf(w, "Tools:\t%s\n", strings.Join(toolLines(*n.ToolSync), "\n\t"))
				}
				if n.LastHeard != nil {
					fmt.Fprintf(w, "Last heard:\t%s, round trip %.1f ms\n", ago(*n.LastHeard), n.RoundTripMS)
				}
				for _, x := range n.Busy {
					fmt.Fprintf(w, "Executor %d:\t%s for %s\n", x.Number+1, x.Title, strings.TrimSuffix(ago(x.Since), " ago"))
				}
			})
		},
	}
}

// memory says how much an agent has resident.
func memory(n int64) string {
	if n == 0 {
		return "memory not known"
	}
	return fmt.Sprintf("%.1f MB of memory", float64(n)/1e6)
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// finding is a monitor's, for people.
func finding(h api.Health) string {
	s := h.Text
	if h.Level != "good" {
		s = strings.ToUpper(h.Level) + ": " + s
	}
	if h.Full != nil {
		s += ", at its limit in " + duration(timeUntil(*h.Full))
	}
	return s
}

func (e *env) nodeTokenCmd() *cobra.Command {
	var j api.JoinTokenCreate
	c := &cobra.Command{
		Use: "token", Short: "Make a one-use token with which one agent can join", Example: "  outwork node token --ttl 10m", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			t, err := cl.CreateJoinToken(c.Context(), j)
			if err != nil {
				return err
			}
			return e.show(t, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "On the new machine, within %s:\n\n  %s\n", duration(timeUntil(t.Expires)), t.Command)
				if t.Script != "" { // an older controller has none
					fmt.Fprintf(w, "\nor, where there is no Outwork yet:\n\n  %s\n", t.Script)
				}
			})
		},
	}
	c.Flags().StringVar(&j.TTL, "ttl", "", "how long it can be used (default 1h)")
	c.Flags().StringVar(&j.Node, "node", "", "only for an agent of this name")
	return c
}

func (e *env) nodeDeleteCmd() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a node and its agent's credential", Example: "  outwork node delete a --yes", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			if err := e.confirm(yes, "Delete node "+args[0]+"?"); err != nil {
				return err
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			return e.done(cl.DeleteNode(c.Context(), args[0]), "Deleted node %s and its agent's credential.", args[0])
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (e *env) completeNodes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ns, err := cl.Nodes(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, n := range ns {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
