// Command outwork-agent is the small static agent: what agent/serve needs and nothing else.
package main

import (
	"os"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
)

func main() {
	host.MaybeShim()
	host.Relax()
	os.Exit(serve.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
