package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) nodeApproveCmd() *cobra.Command {
	var fingerprint string
	var yes bool
	c := &cobra.Command{
		Use: "approve NAME", Short: "Let a machine in by the host key that it shows", Example: "  outwork node approve build1\n  outwork node approve build1 --fingerprint SHA256:…",
		Long: `Let a machine in by the host key that it shows: one that was seen for the first time (hostKey=first-use, approve=true), or another than
was approved before, for which both fingerprints are shown. It asks, unless the fingerprint is given that must be the key's, or --yes.
Who approved is in the node's history, and the node is connected at once.`,
		Args: exactly(1, "the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			keys, err := cl.NodeHostKeys(ctx, args[0])
			if err != nil {
				return err
			}
			return e.approve(ctx, cl, args[0], keys, fingerprint, yes)
		}),
	}
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "of the key that is meant: `SHA256:…`")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// approve lets hosts in by the keys that await it: all of them, one by one, or the one that is named.
func (e *env) approve(ctx context.Context, cl *client.Client, name string, keys []api.NodeHostKey, fingerprint string, yes bool) error {
	known := keys
	keys = slices.DeleteFunc(slices.Clone(keys), func(k api.NodeHostKey) bool { return k.Approved })
	if len(keys) == 0 {
		return nothingAwaits(name, known)
	}
	if fingerprint != "" {
		keys = slices.DeleteFunc(keys, func(k api.NodeHostKey) bool { return k.Fingerprint != fingerprint })
		if len(keys) == 0 { // the controller says which do
			keys = []api.NodeHostKey{{Fingerprint: fingerprint}}
		}
	}
	var done []api.NodeHostKey
	for _, k := range keys {
		e.say("%s", strangers(k))
		if err := e.mayApprove(k, yes || fingerprint != ""); err != nil {
			return err
		}
		now, err := cl.ApproveNode(ctx, name, k.Fingerprint)
		if err != nil {
			return err
		}
		done = append(done, now)
	}
	return e.show(done, func(w *tabwriter.Writer) {
		for _, k := range done {
			fmt.Fprintf(w, "Approved %s of %s. Node %s is being connected.\n", k.Fingerprint, k.Address, name)
		}
	})
}

// nothingAwaits says why there is nothing to approve.
func nothingAwaits(name string, known []api.NodeHostKey) error {
	if len(known) == 0 {
		return fault.New(fault.Conflict, "node %s: no host key was seen yet: outwork node reconnect %s goes there now", name, name)
	}
	var all []string
	for _, k := range known {
		all = append(all, k.Address+" with "+k.Fingerprint)
	}
	return fault.New(fault.Conflict, "node %s: no host key awaits approval: let in is %s", name, strings.Join(all, ", "))
}

// strangers is what a person must know before a key is approved.
func strangers(k api.NodeHostKey) string {
	if k.Address == "" {
		return "Looking for " + k.Fingerprint
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(k.Algorithm, "ssh-"), "-")
	text := fmt.Sprintf("%s shows %s %s, since %s.", strings.TrimSpace(k.Hop+" "+k.Address), k.Algorithm, k.Fingerprint, k.Seen.Local().Format(time.DateTime))
	if k.Before != "" {
		text += fmt.Sprintf("\nIT HAS CHANGED: until then it showed     %s.\nIf nobody has installed that machine anew, somebody may be in between.", k.Before)
	}
	return text + fmt.Sprintf("\nCompare it with what this says on the machine itself: ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub", kind)
}

// mayApprove asks, where there is somebody to ask.
func (e *env) mayApprove(k api.NodeHostKey, told bool) error {
	if f, ok := e.in.(*os.File); !told && (!ok || !isTerminal(f)) {
		return errUsage{fmt.Errorf("host key of %s: compare the fingerprint, then say --fingerprint %s", k.Address, k.Fingerprint)}
	}
	return e.confirm(told, "Let "+k.Address+" in with this key?")
}
