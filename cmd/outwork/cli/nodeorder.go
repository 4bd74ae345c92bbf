package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

// nodeOrder is something that can be done to one node or to many.
type nodeOrder struct {
	verb    string
	short   string
	done    string // about one node, %s
	example string
	jenkins string // what Jenkins' command line calls it; "" is nothing
	reason  bool   // it wants to know why
}

var nodeOrders = []nodeOrder{
	{"offline", "Give nodes no new work; what runs on them runs on", "Took node %s offline: it gets no new work.", "  outwork node offline a --reason 'new disk'\n  outwork node offline 'linux && old' --reason 'new kernel' --dry-run", "offline-node", true},
	{"drain", "Give nodes no new work, and show them as draining until what runs on them has ended", "Node %s drains: it gets no new work.", "  outwork node drain --where 'arch:arm64' --reason 'moves to the other rack'", "", true},
	{"online", "Give nodes work again", "Node %s gets work again.", "  outwork node online a\n  outwork node online --where 'linux && suspended'", "online-node", false},
	{"disconnect", "End nodes' connections until they are reconnected; what runs on them runs on", "Disconnected node %s.", "  outwork node disconnect a --reason 'moves to another rack'", "disconnect-node", true},
	{"reconnect", "Connect nodes now, whatever kept them from it", "Node %s is being connected.", "  outwork node reconnect a\n  outwork node reconnect --where 'linux && offline'", "connect-node", false},
}

const orderLong = `. Nodes are named, or chosen by a label expression, which also knows states: online, offline, suspended, draining,
connecting, connected, busy, idle. All of them are done at once, and those that it was done to are shown.`

func (e *env) nodeOrderCmds() (cs []*cobra.Command) {
	for _, o := range nodeOrders {
		cs = append(cs, e.nodeOrderCmd(o))
	}
	return cs
}

// jenkinsCmds are verbs for nodes under the names that they have in Jenkins' command line, for scripts that people have.
func (e *env) jenkinsCmds() (cs []*cobra.Command) {
	as := func(c *cobra.Command, name, verb string) {
		_, rest, _ := strings.Cut(c.Use, " ")
		c.Use, c.Hidden, c.Long = name+" "+rest, true, c.Short+". The same as outwork node "+verb+"."
		cs = append(cs, c)
	}
	for _, o := range nodeOrders {
		if o.jenkins != "" {
			as(e.nodeOrderCmd(o), o.jenkins, o.verb)
		}
	}
	as(e.nodeWaitCmd(true), "wait-node-online", "wait-online")
	as(e.nodeWaitCmd(false), "wait-node-offline", "wait-offline")
	as(e.nodeDeleteCmd(), "delete-node", "delete")
	as(e.nodeCopyCmd(), "copy-node", "copy")
	as(e.nodeShowCmd(), "get-node", "show")
	return cs
}

func (e *env) nodeOrderCmd(o nodeOrder) *cobra.Command {
	order := api.NodeOrder{Verb: o.verb}
	c := &cobra.Command{
		Use: o.verb + " [NAME… | EXPRESSION]", Short: o.short, Long: o.short + orderLong, Example: o.example, ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if (len(args) == 0) == (order.Where == "") {
				return errUsage{errors.New("expected names of nodes or an expression, or --where EXPRESSION")}
			}
			if err := chooseNodes(ctx, cl, &order, args); err != nil {
				return err
			}
			return e.orderNodes(ctx, cl, o, order)
		}),
	}
	c.Flags().StringVar(&order.Where, "where", "", "all nodes that this label `expression` matches")
	c.Flags().BoolVar(&order.DryRun, "dry-run", false, "only say which nodes that would be")
	if o.reason {
		c.Flags().StringVarP(&order.Reason, "reason", "m", "", "why, for others to read")
	}
	return c
}

// chooseNodes takes arguments for names, or, where one is no node's name and has an operator in it, for an expression.
func chooseNodes(ctx context.Context, cl *client.Client, o *api.NodeOrder, args []string) error {
	if len(args) != 1 || !strings.ContainsAny(args[0], `&|!<>()"`) {
		o.Names = args
		return nil
	}
	ns, err := cl.Nodes(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ns, func(n api.Node) bool { return n.Name == args[0] }) {
		o.Names = args
	} else {
		o.Where = args[0]
	}
	return nil
}

func (e *env) orderNodes(ctx context.Context, cl *client.Client, o nodeOrder, order api.NodeOrder) error {
	r, err := cl.OrderNodes(ctx, order)
	if err != nil {
		return err
	}
	if len(r.Matched) == 0 {
		return fault.New(fault.NotFound, "no node matches %s", order.Where)
	}
	if e.json {
		return e.show(r, nil)
	}
	if order.DryRun {
		e.say("These nodes match; %s was not done:", o.verb)
		return e.show(r, func(w *tabwriter.Writer) { fmt.Fprintln(w, strings.Join(r.Matched, "\n")) })
	}
	for _, n := range r.Matched {
		if slices.Contains(r.Done, n) {
			e.say(o.done, n)
		} else {
			e.say("Node %s is gone: somebody deleted it meanwhile.", n)
		}
	}
	return nil
}
