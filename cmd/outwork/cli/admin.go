package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
)

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
		Use: "backup FILE", Short: "Fetch a copy of what a controller cannot be without, while it runs",
		Long: "Fetch a copy of what a controller cannot be without, while it runs: jobs, builds, nodes, users, the keys of hosts and of the port\n" +
			"for agents, what the farm file made. Logs and artifacts are plain files in the data folder and are copied with any tool.\n" +
			"The file holds keys and hashes of passwords: keep it as you keep those. `outwork admin restore` makes a data folder of it.",
		Example: "  outwork admin backup outwork-$(date +%F).tar.gz", Args: exactly(1, "the file to write"),
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
	c.AddCommand(backup, e.restoreCmd())
	return c
}

func (e *env) restoreCmd() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "restore FILE", Short: "Make a controller's data folder of a backup",
		Long: "Make a controller's data folder of a backup. No controller may run on the folder, and no ledger may be in it: move the old\n" +
			"one away first. Logs and artifacts that are there are kept. After an error the folder is no controller's, and nothing is lost.",
		Example: "  outwork admin restore outwork-2026-11-21.tar.gz --data /var/lib/outwork", Args: exactly(1, "the backup"),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fault.With(fault.NotFound, err)
			}
			defer f.Close()
			names, err := server.Restore(f, data)
			if err != nil {
				return err
			}
			return e.show(map[string]any{"data": data, "files": names}, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "Restored %d files into %s. Start it with: outwork server --data %[2]s\n", len(names), data)
			})
		},
	}
	c.Flags().StringVar(&data, "data", e.defaultData(), "the folder to make (also $OUTWORK_DATA)")
	return c
}
