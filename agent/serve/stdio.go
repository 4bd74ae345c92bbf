package serve

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/text"
)

// textGreeting is how long who started the agent may take to answer its preamble.
const textGreeting = 2 * time.Minute

// serveStdio serves whoever started this process, once.
func (a *program) serveStdio(ctx context.Context) error {
	if !signal.Ignored(syscall.SIGHUP) {
		// A terminal says so when it is closed. The link ends then too, and the agent by that: in its own time.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	restore := func() {}
	e := a.converse(ctx, func(ctx context.Context) (l wire.Link, err error) {
		l, restore, err = openStdio(ctx, a.cfg.Text)
		return l, err
	})
	restore()
	if ctx.Err() != nil {
		return nil
	}
	return e.err
}

// openStdio is the link over stdin and stdout. With text framing these may be a terminal, which is told not to echo and not to
// wait for line ends; restore undoes that.
func openStdio(ctx context.Context, framed bool) (link wire.Link, restore func(), err error) {
	restore = func() {}
	fd := int(os.Stdin.Fd())
	switch terminal := term.IsTerminal(fd); {
	case terminal && !framed:
		return nil, restore, fault.New(fault.Invalid, "--stdio speaks a binary protocol with the controller that starts it, and stdin is a terminal: "+
			"give this command line to the controller as the node's launch command; to offer this machine by hand, use --url; "+
			"for a connection that goes through a terminal (telnet, ssh -t), add --text on both ends")
	case terminal:
		before, err := term.MakeRaw(fd)
		if err == nil { // otherwise the channel may do as it is, and says so if it does not
			restore = func() { _ = term.Restore(fd, before) }
		}
	}
	if !framed {
		return stdio.Own(), restore, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, textGreeting, fault.New(fault.Unavailable, "nobody answered on stdin within %v", textGreeting))
	defer cancel()
	link, err = text.Announce(ctx, stdio.Own(), "stdin and stdout")
	return link, restore, err
}
