package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) nodeSyncCmd() *cobra.Command {
	var where string
	var folders bool
	c := &cobra.Command{
		Use: "sync [NAME… | EXPRESSION]", Short: "Make the tools of nodes what they are on the controller, now",
		Long: `Make the tools of nodes what they are on the controller, now: of all nodes, of those that are named, or of those that a label expression
matches. What is mirrored is said by outwork server --tools, or under tools: in the farm's file. Nodes are synced by themselves too: when they connect, and
when something has changed. What was changed on a node meanwhile is put right. The exit code is 6 when a node could not be synced.`,
		Example: "  outwork node sync\n  outwork node sync 'linux && gcc'\n  outwork node sync --folders", ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if folders {
				return e.showFolders(ctx, cl)
			}
			order := api.NodeOrder{Where: where}
			if where == "" && len(args) > 0 {
				if err := chooseNodes(ctx, cl, &order, args); err != nil {
					return err
				}
			}
			rs, err := cl.SyncTools(ctx, api.ToolsSync{Where: order.Where, Names: order.Names})
			if err != nil {
				return err
			}
			return e.showSynced(rs)
		}),
	}
	c.Flags().StringVar(&where, "where", "", "all nodes that this label `expression` matches")
	c.Flags().BoolVar(&folders, "folders", false, "sync nothing, and show the folders of the controller that are mirrored")
	return c
}

func (e *env) showSynced(rs []api.NodeSynced) error {
	failed := 0
	err := e.show(rs, func(w *tabwriter.Writer) {
		fmt.Fprintln(w, "NODE\tTOOLS")
		for _, r := range rs {
			lines := []string{"none are mirrored to it"}
			if r.Tools != nil {
				lines = toolLines(*r.Tools)
			}
			fmt.Fprintf(w, "%s\t%s\n", r.Node, strings.Join(lines, "\n\t"))
		}
	})
	for _, r := range rs {
		if r.Tools != nil && r.Tools.State == "failed" {
			failed++
		}
	}
	if err == nil && failed > 0 {
		err = fault.New(fault.Unavailable, "%d of %d nodes could not be synced", failed, len(rs))
	}
	return err
}

// toolLines say what is known of a node's tools, for people.
func toolLines(t api.NodeTools) []string {
	line := t.State
	if t.State == "synced" {
		line += fmt.Sprintf(", %d files (%s) in %s", t.Files, size(t.Bytes), t.Path)
		switch {
		case t.Changed:
			line += fmt.Sprintf("; %d files (%s) fetched in %s", t.Fetched, size(t.Moved), duration(time.Duration(t.TookMS*float64(time.Millisecond))))
		case t.At != nil:
			line += "; nothing to do"
		}
	}
	if t.Error != "" {
		line += ": " + t.Error
	}
	lines := []string{line}
	for _, w := range t.Warnings {
		lines = append(lines, "warning: "+w)
	}
	return lines
}

func (e *env) showFolders(ctx context.Context, cl *client.Client) error {
	ts, err := cl.Tools(ctx)
	if err != nil {
		return err
	}
	return e.show(ts, func(w *tabwriter.Writer) {
		fmt.Fprintln(w, "NAME\tFROM\tTO\tNODES\tFILES\tBYTES\tFOUND")
		for _, t := range ts {
			found := "in order"
			switch {
			case t.Error != "":
				found = t.Error
			case t.Looked == nil:
				found = "not looked through yet"
			case len(t.Problems) > 0:
				found = strings.Join(t.Problems, "\n\t\t\t\t\t\t")
			}
			fmt.Fprintf(w, "%s\t%s\ttools/%s\t%s\t%d\t%s\t%s\n", t.Name, t.From, t.To, first(t.Select, "all"), t.Files, size(t.Bytes), found)
		}
	})
}

// size is a number of bytes, for people.
func size(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
