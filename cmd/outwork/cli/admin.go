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
