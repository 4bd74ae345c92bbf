package serve

import (
	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/remote"
)

// openHost opens this computer. Finding the shims of a former agent again is part of it.
func openHost(c Config, store cas.Store) (Machine, error) {
	return host.New(host.Config{Root: c.Root, CAS: store, Log: c.Logger, Version: c.Version})
}

// newStore is the controller's storage, reached over whatever connection there is.
func newStore(up grpc.ClientConnInterface) cas.Store { return remote.New(remote.Config{Conn: up}) }
