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
)

func (e *env) tokenCmd() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make, list and revoke API tokens and sessions"}
	c.AddCommand(e.tokenCreateCmd(), e.tokenListCmd(), e.tokenRevokeCmd())
	return c
}

func (e *env) tokenCreateCmd() *cobra.Command {
	var t api.TokenCreate
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a token; its secret is shown once", Example: "  outwork token create ci --scopes read,write --ttl 720h", Args: exactly(1, "the token's name"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			t.Name = args[0]
			made, err := cl.CreateToken(ctx, t)
			if err != nil {
				return err
			}
			return e.show(made, func(w *tabwriter.Writer) { fmt.Fprintln(w, made.Secret) })
		}),
	}
	c.Flags().StringSliceVar(&t.Scopes, "scopes", nil, "admin, write, read; cache-write, cache-read for the cache alone (default: read and write)")
	c.Flags().StringVar(&t.TTL, "ttl", "", "how long it holds (default 2160h)")
	return c
}

func (e *env) tokenListCmd() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "list", Short: "List your tokens and sessions, or another user's", Example: "  outwork token list\n  outwork token list --user alice", Args: exactly(0, "no argument"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) (err error) {
			var ts []api.Token
			if user != "" {
				ts, err = cl.UserTokens(ctx, user)
			} else {
				ts, err = cl.Tokens(ctx)
			}
			if err != nil {
				return err
			}
			return e.show(ts, func(w *tabwriter.Writer) { tokenTable(w, ts) })
		}),
	}
	c.Flags().StringVar(&user, "user", "", "another user's; needs the scope admin")
	return c
}

func tokenTable(w *tabwriter.Writer, ts []api.Token) {
	fmt.Fprintln(w, "ID\tNAME\tSCOPES\tMADE\tEXPIRES\tLAST USED")
	for _, t := range ts {
		expires, used := "never", "never"
		if t.Expires != nil {
			expires = "in " + duration(timeUntil(*t.Expires))
			if timeUntil(*t.Expires) <= 0 {
				expires = "expired"
			}
		}
		if t.LastUsed != nil {
			used = ago(*t.LastUsed)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, strings.Join(t.Scopes, ","), ago(t.Created), expires, used)
	}
}

func (e *env) tokenRevokeCmd() *cobra.Command {
	var user string
	var all bool
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a token or a session, or all of them",
		Long: "End a token or a session. With --all it ends all of yours but the one that this command uses; with --user and --all, all of\n" +
			"that user's. An administrator can end anybody's by its ID.",
		Example: "  outwork token revoke 01JD…\n  outwork token revoke --all\n  outwork token revoke --all --user alice",
		Args: func(c *cobra.Command, args []string) error {
			if !all {
				if user != "" {
					return errUsage{errors.New("--user goes with --all: a token's ID alone says whose it is")}
				}
				return exactly(1, "the token's ID, or --all")(c, args)
			}
			return exactly(0, "no argument besides --all")(c, args)
		},
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			switch {
			case !all:
				return e.done(cl.RevokeToken(ctx, args[0]), "Revoked token %s.", args[0])
			case user != "":
				return e.done(cl.RevokeUserTokens(ctx, user), "Revoked all tokens and sessions of %s.", user)
			}
			return e.done(cl.RevokeTokens(ctx), "Revoked all your tokens and sessions but this one.")
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "all tokens and sessions")
	c.Flags().StringVar(&user, "user", "", "with --all: another user's; needs the scope admin")
	return c
}
