package cli

import (
	"flag"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/version"
)

func (e *env) agentCmd() *cobra.Command {
	cfg := serve.Config{Version: version.String()}
	var logs logFlags
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	bad := cfg.Bind(fs, e.getenv)
	c := &cobra.Command{
		Use: "agent", Short: "Offer this machine to a controller",
		Long: "Offer this machine to a controller. The first time a one-use join token is exchanged for a credential of the agent's own,\n" +
			"kept in its folder. Steps outlive the agent: stop it, upgrade it, start it again, and running steps go on.\n" +
			"Every flag has an environment variable: --url is OUTWORK_URL, --token is OUTWORK_TOKEN, and so on.",
		Example: "  outwork agent --url https://ci.example.org --token owj_… --name mac-1 --labels 'mac xcode'\n  ssh build1 outwork agent --stdio",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if bad != nil {
				return bad
			}
			log, err := logs.logger(e.err)
			if err != nil {
				return err
			}
			if cfg.Token, err = secret(cfg.Token); err != nil {
				return err
			}
			cfg.Logger = log
			return serve.Run(c.Context(), cfg)
		},
	}
	c.Flags().AddGoFlagSet(fs)
	logs.add(c, "info")
	return c
}
