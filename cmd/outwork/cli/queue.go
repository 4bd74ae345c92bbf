package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func timeUntil(t time.Time) time.Duration { return time.Until(t).Round(time.Second) }

func (e *env) queueCmd() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "See what waits for an executor, and why"}
	c.AddCommand(e.queueListCmd(), e.queueWhyCmd())
	return c
}

func (e *env) queueListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List what waits, in order", Example: "  outwork queue list --json", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			q, err := cl.Queue(c.Context())
			if err != nil {
				return err
			}
			return e.show(q, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "ITEM\tLABEL\tWAITS\tWHY")
				for _, it := range q {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", it.ID, first(it.Label, "(any)"), duration(time.Since(it.Since)), it.Why)
				}
			})
		},
	}
}

func (e *env) queueWhyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "why ITEM", Short: "Explain why an item waits, node by node",
		Long:    "Explain why an item waits. ITEM is an item of `outwork queue list`, or a build as JOB#NUMBER for the first thing it waits for.",
		Example: "  outwork queue why 'hello#3'", Args: exactly(1, "a queue item"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			x, err := cl.Why(c.Context(), args[0])
			if err != nil {
				return err
			}
			return e.show(x, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "%s waits for %s.\n%s\n", x.Item.Title, duration(time.Since(x.Item.Since)), x.Summary)
				if x.Suggestion != "" {
					fmt.Fprintln(w, x.Suggestion)
				}
				if len(x.Nodes) > 0 {
					fmt.Fprintln(w, "\nNODE\tREASON")
				}
				for _, n := range x.Nodes {
					fmt.Fprintf(w, "%s\t%s\n", n.Node, n.Reason)
				}
			})
		},
	}
}
