// Package wire carries bytes between the controller and an agent, whoever dialled.
//
// Every launcher ends in a Link. On a Link stand, in this order: the version handshake of this package, a stream
// multiplexer (wire/mux), and gRPC in both directions (wire/rpc). The package knows nothing of what is said.
package wire

import "io"

// Link is a reliable, ordered, full-duplex byte stream to one peer.
//
// One goroutine may read while another writes. Close may be called from any goroutine, more than once; it unblocks a
// pending Read and Write, which then fail. Read returns io.EOF when the peer closed in good order. A Link does not detect
// dead peers by itself: heartbeats above it do.
type Link interface {
	io.ReadWriteCloser
	// Peer names the far end for people: an address, a command, a host.
	Peer() string
}
