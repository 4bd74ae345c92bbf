package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) nodePubkeyCmd() *cobra.Command {
	var k api.Credential
	var from string
	c := &cobra.Command{
		Use: "pubkey [NAME]", Short: "Show what to put into authorized_keys, so that the controller is let in", Example: "  outwork node pubkey build1 --from 10.0.0.5\n  outwork node pubkey --key file:/etc/outwork/id_ed25519",
		Long: `Show what to put into ~/.ssh/authorized_keys on a node's machine, and on the hosts before it, so that the controller is let in: each key
may run commands and copy files, at a jump host it may lead further, and nothing else. With --key it is a key of the controller's, for a
node that is not there yet. Only the lines go to standard output.`,
		Args: atMostOne("the node's name"), ValidArgsFunction: e.completeNodes,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if (len(args) == 0) == (k.Key == "") {
				return errUsage{errors.New("expected a node's name, or --key")}
			}
			if strings.ContainsAny(from, "\"\r\n") {
				return errUsage{fmt.Errorf("--from %q: expected addresses, names or patterns, separated by commas", from)}
			}
			if k.Key == "" {
				return e.showLogins(ctx, cl, args[0], from)
			}
			if !strings.Contains(k.Key, ":") {
				k.Key = "file:" + k.Key
			}
			a, err := cl.AuthorizedKeys(ctx, k)
			if err != nil {
				return err
			}
			limitFrom(a.Lines, from)
			return e.show(a, func(w *tabwriter.Writer) { fmt.Fprintln(w, strings.Join(a.Lines, "\n")) })
		}),
	}
	c.Flags().StringVar(&k.Key, "key", "", "`file` of a private key on the controller, or a reference such as env:NAME")
	c.Flags().StringVar(&k.Passphrase, "passphrase", "", "`reference` of its passphrase: file:PATH or env:NAME")
	c.Flags().StringVar(&from, "from", "", "`addresses` that may use the key: the controller's")
	return c
}

// limitFrom lets lines be used from some addresses only.
func limitFrom(lines []string, from string) {
	for i := range lines {
		if from != "" {
			lines[i] = `from="` + from + `",` + lines[i]
		}
	}
}

func (e *env) showLogins(ctx context.Context, cl *client.Client, name, from string) error {
	logins, err := cl.NodeLogins(ctx, name)
	if err != nil {
		return err
	}
	n := 0
	for _, l := range logins {
		limitFrom(l.Lines, from)
		n += len(l.Lines)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "node %s: the controller has no key for it: it logs in by password", name)
	}
	if e.json {
		return e.show(logins, nil)
	}
	for _, l := range logins {
		if len(l.Lines) > 0 {
			e.say("For ~%s/.ssh/authorized_keys of %s:", l.User, strings.TrimSpace(l.Hop+" "+l.Address))
			fmt.Fprintln(e.out, strings.Join(l.Lines, "\n"))
		}
	}
	return nil
}
