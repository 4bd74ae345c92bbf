package cli

import (
	"context"
	"flag"
	"io"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/agent/service"
	agentupdate "github.com/outwork-build/outwork/agent/update"
)

// agentServiceCmds are the verbs below agent that make it a service of its machine.
func (e *env) agentServiceCmds() []*cobra.Command {
	var all []*cobra.Command
	add := func(verb, short string, hidden bool) {
		all = append(all, &cobra.Command{Use: verb, Short: short, Hidden: hidden, DisableFlagParsing: true,
			Example: "  outwork agent " + verb + " --name mac-1",
			RunE: func(c *cobra.Command, args []string) error {
				code, _, err := e.agentServices().Main(c.Context(), append([]string{verb}, args...))
				if err == nil && code != 0 {
					return serve.Exit(code)
				}
				return err
			}})
	}
	for _, v := range service.Verbs() {
		add(v[0], v[1], false)
	}
	add("run-service", "what a manager of services calls", true)
	return all
}

func (e *env) agentServices() service.Command {
	return service.Command{
		Verb: "agent",
		Settings: func(args []string, add func(*flag.FlagSet)) (map[string]string, error) {
			return serve.Settings(args, e.getenv, add)
		},
		Run: func(ctx context.Context, stderr io.Writer) int {
			return serve.MainUntil(ctx, "agent", nil, e.getenv, e.out, stderr)
		},
		Direct: agentupdate.Hosted(), Stdout: e.out, Stderr: e.err,
	}
}
