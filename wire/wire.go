// Package wire carries bytes between the controller and an agent, whoever dialled.
//
// Every launcher ends in a Link. On a Link stand, in this order: the version handshake of this package, a stream
// multiplexer (wire/mux), and gRPC in both directions (wire/rpc). The package knows nothing of what is said.
package wire

import (
	"context"
	"io"
)

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

// Prober is a Link that can ask its peer for a sign of life below everything that is said on it. Probe returns nil when the
// peer answered before ctx ended. It works only while somebody reads from the Link.
type Prober interface {
	Probe(ctx context.Context) error
}

// Noisy is a Link on which the peer may write lines of its own before the handshake: the banner of a login shell, a warning of
// a wrapper script. Noise returns how many bytes of that the handshake skips.
type Noisy interface {
	Noise() int
}

// Refuser is a Link that can tell its peer why it is closed. Refuse closes the link; the peer's Read fails with an error of
// err's fault kind and text.
type Refuser interface {
	Refuse(err error)
}

// Cutter is a Link that can be closed without telling the peer: for one that is taken for dead, and would not answer.
type Cutter interface {
	Cut()
}
