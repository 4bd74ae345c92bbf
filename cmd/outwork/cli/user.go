package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
)

func (e *env) userCmd() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Look after users"}
	c.AddCommand(e.userCreateCmd(), e.userListCmd(), e.userRoleCmd(), e.userEnableCmd("disable", true), e.userEnableCmd("enable", false),
		e.userPasswordCmd(), e.userDeleteCmd())
	return c
}

func (e *env) userCreateCmd() *cobra.Command {
	var u api.UserCreate
	var stdin bool
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a user", Example: "  echo \"$PASSWORD\" | outwork user create alice --password-stdin", Args: exactly(1, "the user's name"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) (err error) {
			u.Name = args[0]
			if u.Password, err = e.password(stdin, "Password for "+u.Name+": "); err != nil {
				return err
			}
			made, err := cl.CreateUser(ctx, u)
			if err != nil {
				return err
			}
			return e.show(made, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Made user %s (%s).\n", made.Name, made.Role) })
		}),
	}
	c.Flags().StringVar(&u.Role, "role", "", "admin, user or viewer (default user)")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return c
}

func (e *env) userListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the users", Example: "  outwork user list", Args: exactly(0, "no argument"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			us, err := cl.Users(ctx)
			if err != nil {
				return err
			}
			return e.show(us, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "NAME\tROLE\tSTATE\tMADE")
				for _, u := range us {
					state := "enabled"
					if u.Disabled {
						state = "disabled"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Role, state, ago(u.Created))
				}
			})
		}),
	}
}

func (e *env) userRoleCmd() *cobra.Command {
	return &cobra.Command{
		Use: "role NAME ROLE", Short: "Give a user another role", Example: "  outwork user role alice admin",
		Args: exactly(2, "the user's name and admin, user or viewer"), ValidArgsFunction: e.completeUsers,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			u, err := cl.UpdateUser(ctx, args[0], api.UserUpdate{Role: &args[1]})
			if err != nil {
				return err
			}
			return e.show(u, func(w *tabwriter.Writer) { fmt.Fprintf(w, "User %s is %s now.\n", u.Name, u.Role) })
		}),
	}
}

func (e *env) userEnableCmd(verb string, disabled bool) *cobra.Command {
	c := &cobra.Command{
		Use: verb + " NAME", Short: "Let a disabled user in again", Example: "  outwork user " + verb + " alice", Args: exactly(1, "the user's name"), ValidArgsFunction: e.completeUsers,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			u, err := cl.UpdateUser(ctx, args[0], api.UserUpdate{Disabled: &disabled})
			if err != nil {
				return err
			}
			return e.show(u, func(w *tabwriter.Writer) { fmt.Fprintf(w, "User %s is %sd.\n", u.Name, verb) })
		}),
	}
	if disabled {
		c.Short = "Keep a user, and the user's tokens, out"
		c.Long = "Keep a user out, at once: logins, sessions and tokens are refused until outwork user enable. Builds that run, run on. The last\n" +
			"administrator who can log in cannot be disabled."
	}
	return c
}

func (e *env) userPasswordCmd() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "password [NAME]", Short: "Change your own password, or as an administrator another's",
		Long: "Change your own password, or with NAME, as an administrator, another's. The user's other sessions end; API tokens hold, see\n" +
			"outwork token revoke. With --password-stdin the old and the new password are read from standard input, a line each; with NAME\n" +
			"only the new one.",
		Example: "  outwork user password\n  echo \"$PASSWORD\" | outwork user password alice --password-stdin", Args: atMostOne("a user's name"), ValidArgsFunction: e.completeUsers,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if len(args) == 1 {
				p, err := e.password(stdin, "New password for "+args[0]+": ")
				if err != nil {
					return err
				}
				if err := cl.ResetPassword(ctx, args[0], p); err != nil {
					return err
				}
				e.say("Changed the password of %s.", args[0])
				return nil
			}
			p, err := e.passwordChange(stdin)
			if err != nil {
				return err
			}
			if err := cl.SetPassword(ctx, p); err != nil {
				return err
			}
			e.say("Changed your password.")
			return nil
		}),
	}
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read from standard input")
	return c
}

// passwordChange asks for the old and the new password.
func (e *env) passwordChange(stdin bool) (p api.PasswordChange, err error) {
	if !stdin {
		if p.Old, err = e.password(false, "Old password: "); err != nil {
			return p, err
		}
		p.New, err = e.password(false, "New password: ")
		return p, err
	}
	b, err := io.ReadAll(io.LimitReader(e.in, 4096))
	lines := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	if err != nil || len(lines) != 2 {
		return p, errUsage{errors.New("expected two lines on standard input: the old password and the new one")}
	}
	return api.PasswordChange{Old: strings.TrimRight(lines[0], "\r"), New: strings.TrimRight(lines[1], "\r")}, nil
}

func (e *env) userDeleteCmd() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a user and the user's tokens", Long: "Delete a user and the user's tokens. Builds keep the name of who started them. The last administrator who can log in stays.",
		Example: "  outwork user delete alice --yes", Args: exactly(1, "the user's name"), ValidArgsFunction: e.completeUsers,
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			if err := e.confirm(yes, "Delete user "+args[0]+" and all of that user's tokens?"); err != nil {
				return err
			}
			return e.done(cl.DeleteUser(ctx, args[0]), "Deleted user %s.", args[0])
		}),
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (e *env) completeUsers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	us, err := cl.Users(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, u := range us {
		names = append(names, u.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
