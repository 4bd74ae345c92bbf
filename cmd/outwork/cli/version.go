package cli

import (
	"fmt"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/internal/version"
)

func (e *env) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Example: "  outwork version --json", Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": version.String(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
			return e.show(v, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "outwork %s (%s, %s/%s)\n", v["version"], v["go"], v["os"], v["arch"])
			})
		},
	}
}
