// Command outwork is the whole of Outwork: controller, agent and command line.
package main

import (
	"os"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/cmd/outwork/cli"
)

func main() {
	host.MaybeShim()
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		host.Relax()
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
