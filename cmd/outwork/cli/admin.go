package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) tokenCmd() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make and revoke API tokens"}
	var t api.TokenCreate
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a token; its secret is shown once", Example: "  outwork token create ci --scopes read,write --ttl 720h", Args: exactly(1, "the token's name"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			t.Name = args[0]
			made, err := cl.CreateToken(c.Context(), t)
			if err != nil {
				return err
			}
			return e.show(made, func(w *tabwriter.Writer) { fmt.Fprintln(w, made.Secret) })
		},
	}
	create.Flags().StringSliceVar(&t.Scopes, "scopes", nil, "admin, write, read (default: read and write)")
	create.Flags().StringVar(&t.TTL, "ttl", "", "how long it holds (default 2160h)")
	list := &cobra.Command{
		Use: "list", Short: "List your tokens", Example: "  outwork token list", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			ts, err := cl.Tokens(c.Context())
			if err != nil {
				return err
			}
			return e.show(ts, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tSCOPES\tMADE\tEXPIRES")
				for _, t := range ts {
					expires := "never"
					if t.Expires != nil {
						expires = "in " + duration(timeUntil(*t.Expires))
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, strings.Join(t.Scopes, ","), ago(t.Created), expires)
				}
			})
		},
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "End a token", Example: "  outwork token revoke 01JD…", Args: exactly(1, "the token's ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			return cl.RevokeToken(c.Context(), args[0])
		},
	}
	c.AddCommand(create, list, revoke)
	return c
}

func (e *env) userCmd() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Make and list users"}
	var u api.UserCreate
	var stdin bool
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a user", Example: "  echo \"$PASSWORD\" | outwork user create alice --password-stdin", Args: exactly(1, "the user's name"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			u.Name = args[0]
			if u.Password, err = e.password(stdin, "Password for "+u.Name+": "); err != nil {
				return err
			}
			made, err := cl.CreateUser(c.Context(), u)
			if err != nil {
				return err
			}
			return e.show(made, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Made user %s (%s).\n", made.Name, made.Role) })
		},
	}
	create.Flags().StringVar(&u.Role, "role", "", "admin, user or viewer (default user)")
	create.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	list := &cobra.Command{
		Use: "list", Short: "List the users", Example: "  outwork user list", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			us, err := cl.Users(c.Context())
			if err != nil {
				return err
			}
			return e.show(us, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "NAME\tROLE\tMADE")
				for _, u := range us {
					fmt.Fprintf(w, "%s\t%s\t%s\n", u.Name, u.Role, ago(u.Created))
				}
			})
		},
	}
	var newStdin bool
	password := &cobra.Command{
		Use: "password", Short: "Change your own password",
		Long:    "Change your own password. With --password-stdin the old and the new one are read from standard input, a line each.",
		Example: "  outwork user password", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			var p api.PasswordChange
			if newStdin {
				b, err := io.ReadAll(io.LimitReader(e.in, 4096))
				lines := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
				if err != nil || len(lines) != 2 {
					return errUsage{errors.New("expected two lines on standard input: the old password and the new one")}
				}
				p.Old, p.New = strings.TrimRight(lines[0], "\r"), strings.TrimRight(lines[1], "\r")
			} else {
				if p.Old, err = e.password(false, "Old password: "); err != nil {
					return err
				}
				if p.New, err = e.password(false, "New password: "); err != nil {
					return err
				}
			}
			if err := cl.SetPassword(c.Context(), p); err != nil {
				return err
			}
			e.say("Changed your password.")
			return nil
		},
	}
	password.Flags().BoolVar(&newStdin, "password-stdin", false, "read both passwords from standard input")
	c.AddCommand(create, list, password)
	return c
}

func (e *env) pipelineCmd() *cobra.Command {
	c := &cobra.Command{Use: "pipeline", Short: "Check Jenkinsfiles"}
	var strict bool
	check := &cobra.Command{
		Use: "check FILE", Short: "Validate a Jenkinsfile without running it", Example: "  outwork pipeline check Jenkinsfile", Args: exactly(1, "a Jenkinsfile"),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return fault.With(fault.Invalid, err)
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			k, err := cl.Check(c.Context(), api.Check{Script: string(b), Strict: strict})
			if err != nil {
				return err
			}
			err = e.show(k, func(w *tabwriter.Writer) {
				for _, p := range k.Problems {
					fmt.Fprintf(w, "%s:%d:%d: %s: %s\n", args[0], p.Line, p.Column, p.Severity, p.Message)
				}
				if k.OK {
					fmt.Fprintf(w, "%s: a valid %s pipeline\n", args[0], k.Kind)
				}
			})
			if err == nil && !k.OK {
				return errResult{"INVALID"}
			}
			return err
		},
	}
	check.Flags().BoolVar(&strict, "strict", false, "refuse options and triggers that Outwork does not know")
	c.AddCommand(check)
	return c
}

func (e *env) adminCmd() *cobra.Command {
	c := &cobra.Command{Use: "admin", Short: "Look after a controller"}
	var force bool
	backup := &cobra.Command{
		Use: "backup FILE", Short: "Fetch a consistent copy of the ledger while the controller runs",
		Long: "Fetch a consistent copy of the ledger: jobs, builds, nodes, users. Logs and artifacts are plain files in the data folder\n" +
			"and are copied with any tool. To restore, put the file in place of ledger.db in a stopped controller's data folder.",
		Example: "  outwork admin backup outwork-$(date +%F).db", Args: exactly(1, "the file to write"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
			if force {
				mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := os.OpenFile(args[0], mode, 0o600)
			if err != nil {
				return fault.With(fault.Conflict, err)
			}
			r, err := cl.Backup(c.Context())
			if err != nil {
				f.Close()
				os.Remove(args[0])
				return err
			}
			defer r.Close()
			n, err := io.Copy(f, r)
			if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
				os.Remove(args[0])
				return err
			}
			return e.show(map[string]any{"file": args[0], "bytes": n}, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "Wrote %s (%d bytes).\n", args[0], n)
			})
		},
	}
	backup.Flags().BoolVar(&force, "force", false, "write over an existing file")
	c.AddCommand(backup)
	return c
}
