package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
)

func timeUntil(t time.Time) time.Duration { return time.Until(t).Round(time.Second) }

func (e *env) queueCmd() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "See what waits for an executor, and why"}
	c.AddCommand(e.queueListCmd(), e.queueWhyCmd(), e.explainCmd())
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

// explainCmd is made twice: it stands below queue, and for short at the root.
func (e *env) explainCmd() *cobra.Command {
	var assume []string
	c := &cobra.Command{
		Use: "explain ITEM", Short: "Explain a placement node by node, with scores, and what would happen if",
		Long: "Explain what each node is to an item of the queue: what refuses it, or its score term by term. For an item that has its node,\n" +
			"or had it, the decision of that moment is shown (the controller remembers the newest 4096, until it is restarted).\n" +
			"ITEM is an item of `outwork queue list`, or a build as JOB#NUMBER.\n\n" +
			"--if says what would happen if a node were otherwise; nothing changes. It takes: node NAME online, node NAME offline,\n" +
			"node NAME label LABEL…, node NAME executors N, node NAME normal, node NAME exclusive.",
		Example: "  outwork queue explain 'hello#3'\n  outwork explain 'hello#3' --if 'node n3 online'\n  outwork explain 'hello#3' --if 'node n3 label gpu' --if 'node n3 executors 4'",
		Args:    exactly(1, "a queue item or a build"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			p, err := cl.Explain(c.Context(), args[0], assume...)
			if err != nil {
				return err
			}
			return e.show(p, func(w *tabwriter.Writer) { showPlacement(w, p) })
		},
	}
	c.Flags().StringArrayVar(&assume, "if", nil, "what to assume of a `node`, such as \"node n3 online\"; may be repeated")
	return c
}

func showPlacement(w *tabwriter.Writer, p api.Placement) {
	fmt.Fprintf(w, "%s: %s.\n", p.Item.ID, p.Summary)
	if p.Suggestion != "" {
		fmt.Fprintf(w, "Did you mean label ‘%s’?\n", p.Suggestion)
	}
	if p.Position > 0 {
		fmt.Fprintf(w, "Its place in the queue is %d; it has waited for %s.\n", p.Position, duration(time.Since(p.Item.Since)))
	}
	if p.Stuck {
		fmt.Fprintln(w, "It is stuck: it waits for longer than it should.")
	}
	if p.Expected != "" {
		fmt.Fprintf(w, "Such work is expected to take %s.\n", p.Expected)
	}
	nodes := slices.Clone(p.Nodes)
	if d := p.Decision; d != nil {
		fmt.Fprintf(w, "%d nodes may run such work, %d of them had a free executor.\n", d.Admitted, d.Free)
		if len(nodes) == 0 {
			nodes = slices.Clone(d.Candidates)
		}
	}
	if len(nodes) == 0 {
		return
	}
	slices.SortStableFunc(nodes, byScore)
	fmt.Fprintln(w, "\nNODE\tSCORE\tWHY")
	for _, n := range nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", n.Node, score(n), verdict(n))
	}
}

// byScore puts the best first, and those that have none last.
func byScore(a, b api.Candidate) int {
	switch {
	case a.Chosen != b.Chosen && a.Chosen, a.Score != nil && b.Score == nil:
		return -1
	case a.Chosen != b.Chosen, a.Score == nil && b.Score != nil:
		return 1
	case a.Score == nil || *a.Score == *b.Score:
		return 0
	case *a.Score > *b.Score:
		return -1
	}
	return 1
}

func score(n api.Candidate) string {
	if n.Score == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *n.Score)
}

// verdict is what a node is to an item, in a line.
func verdict(n api.Candidate) string {
	var parts []string
	if n.Chosen {
		parts = append(parts, "chosen")
	}
	if n.Reason != "" {
		parts = append(parts, n.Reason)
	}
	for _, t := range n.Terms {
		parts = append(parts, fmt.Sprintf("%s %+.1f (%s)", t.Name, t.Points, t.Text))
	}
	return strings.Join(parts, "; ")
}
