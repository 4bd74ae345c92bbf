package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
)

func (e *env) nodeCmd() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Look at the machines and look after them"}
	c.AddCommand(e.nodeListCmd(), e.nodeShowCmd(), e.nodeUpdateCmd(), e.nodeOfflineCmd(), e.nodeOnlineCmd(), e.nodeLogCmd(), e.nodeTokenCmd(), e.nodeDeleteCmd())
	return c
}

func (e *env) nodeListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the nodes", Example: "  outwork node list --json", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			ns, err := cl.Nodes(c.Context())
			if err != nil {
				return err
			}
			return e.show(ns, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "NAME\tSTATE\tBUSY\tSYSTEM\tLABELS\tREASON")
				for _, n := range ns {
					fmt.Fprintf(w, "%s\t%s\t%d/%d\t%s\t%s\t%s\n", n.Name, n.State, len(n.Busy), n.Executors, system(n), strings.Join(n.Labels, " "), reason(n))
				}
			})
		},
	}
}

func system(n api.Node) string {
	if n.OS == "" {
		return "-"
	}
	return n.OS + "/" + n.Arch
}

func reason(n api.Node) string {
	if n.Offline == nil {
		return ""
	}
	return n.Offline.Text
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
				fmt.Fprintf(w, "Executors:\t%d, %d busy\nMode:\t%s\nLabels:\t%s\n", n.Executors, len(n.Busy), n.Mode, strings.Join(n.Assigned, " "))
				fmt.Fprintf(w, "Launcher:\t%s\nSystem:\t%s\nHost:\t%s, %d CPUs\nVersion:\t%s\n", n.Launcher, system(n), n.Hostname, n.CPUs, n.Version)
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

func (e *env) nodeUpdateCmd() *cobra.Command {
	var description, mode string
	var labels []string
	var executors int
	c := &cobra.Command{
		Use: "update NAME", Short: "Change a node", Example: "  outwork node update a --labels linux,docker --executors 4", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			var u api.NodeUpdate
			if c.Flags().Changed("description") {
				u.Description = &description
			}
			if c.Flags().Changed("mode") {
				u.Mode = &mode
			}
			if c.Flags().Changed("labels") {
				u.Labels = &labels
			}
			if c.Flags().Changed("executors") {
				u.Executors = &executors
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			n, err := cl.UpdateNode(c.Context(), args[0], u)
			if err != nil {
				return err
			}
			return e.show(n, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Changed node %s.\n", n.Name) })
		},
	}
	c.Flags().StringVar(&description, "description", "", "what it is")
	c.Flags().StringVar(&mode, "mode", "", "normal, or exclusive: only work whose label expression it matches")
	c.Flags().StringSliceVar(&labels, "labels", nil, "its labels, comma separated")
	c.Flags().IntVar(&executors, "executors", 0, "how much it does at once")
	return c
}

func (e *env) nodeOfflineCmd() *cobra.Command {
	var o api.NodeOffline
	c := &cobra.Command{
		Use: "offline NAME", Short: "Give a node no new work; what runs on it runs on", Example: "  outwork node offline a --reason 'new disk'",
		Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			return e.done(cl.NodeOffline(c.Context(), args[0], o), "Took node %s offline: it gets no new work.", args[0])
		},
	}
	c.Flags().StringVar(&o.Reason, "reason", "", "why, for others to read")
	return c
}

func (e *env) nodeOnlineCmd() *cobra.Command {
	return &cobra.Command{
		Use: "online NAME", Short: "Give a node work again", Example: "  outwork node online a", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			return e.done(cl.NodeOnline(c.Context(), args[0]), "Node %s gets work again.", args[0])
		},
	}
}

func (e *env) nodeLogCmd() *cobra.Command {
	return &cobra.Command{
		Use: "log NAME", Short: "Show a node's connection log", Example: "  outwork node log a", Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			text, err := cl.NodeLog(c.Context(), args[0])
			if err != nil {
				return err
			}
			if e.json {
				return e.show(map[string]string{"log": text}, nil)
			}
			fmt.Fprint(e.out, text)
			return nil
		},
	}
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
