// Command outwork is the whole of Outwork: controller, agent and command line.
package main

import (
	"os"
	_ "time/tzdata" // schedules name time zones, also on machines that have no list of them

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
