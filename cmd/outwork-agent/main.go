// Command outwork-agent is the small static agent: what agent/serve needs, and agent/service, and nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/agent/service"
	"github.com/outwork-build/outwork/agent/update"
)

func main() {
	host.MaybeShim()
	host.Relax()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	services := service.Command{
		Settings: func(args []string, add func(*flag.FlagSet)) (map[string]string, error) {
			return serve.Settings(args, os.Getenv, add)
		},
		Run: func(ctx context.Context, stderr io.Writer) int {
			return serve.MainUntil(ctx, "", nil, os.Getenv, os.Stdout, stderr)
		},
		Direct: update.Hosted(), Stdout: os.Stdout, Stderr: os.Stderr,
	}
	code, mine, err := services.Main(context.Background(), args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "outwork-agent: %v\n", err)
		return serve.ExitCode(err)
	}
	if mine {
		return code
	}
	return serve.Main(args, os.Getenv, os.Stdout, os.Stderr)
}
