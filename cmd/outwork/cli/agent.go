package cli

import (
	"cmp"
	"flag"
	"os"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/version"
)

// agentArgs lets the command line of Jenkins' agent stand after the verb.
func (e *env) agentArgs(args []string) []string {
	if len(args) == 0 || args[0] != "agent" {
		return args
	}
	var own []string
	own, e.agentIgnored, e.agentErr = serve.Compat(args[1:])
	return append([]string{"agent"}, own...)
}

func (e *env) agentCmd() *cobra.Command {
	cfg := serve.Config{Argv: os.Args, Verb: "agent", Version: version.String()}
	var logs logFlags
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	bad := cfg.Bind(fs, e.getenv)
	c := &cobra.Command{
		Use: "agent", Short: "Offer this machine to a controller",
		Long: "Offer this machine to a controller. The first time a one-use join token is exchanged for a credential of the agent's own,\n" +
			"kept in its folder. Steps outlive the agent: stop it, upgrade it, start it again, and running steps go on.\n" +
			"Every flag has an environment variable: --url is OUTWORK_URL, --token is OUTWORK_TOKEN, and so on.",
		Example: "  outwork agent --url https://ci.example.org --token owj_… --name mac-1 --labels 'mac xcode'\n  ssh build1 outwork agent --stdio",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := cmp.Or(bad, e.agentErr, cfg.Arguments(args)); err != nil {
				return err
			}
			cfg.Ignored = append(cfg.Ignored, e.agentIgnored...)
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
	c.AddCommand(e.agentServiceCmds()...)
	return c
}
