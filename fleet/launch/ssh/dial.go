package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
)

// way is a login at the machine, with the logins at the jump hosts before it.
type way struct {
	target  string
	clients []*xssh.Client // in order; the last is the machine's
	first   io.Closer      // what the first stands on

	done    chan struct{} // closed by Close
	once    sync.Once
	running sync.WaitGroup

	mu   sync.Mutex
	lost error // why the way was given up; guarded by mu
}

// dial logs in at each hop. see is told of each stage; nil is nobody.
func (l *Launcher) dial(ctx context.Context, s *settings, c *credentials, log *kit.Log, see *sight) (w *way, err error) {
	w = &way{target: s.target().String(), done: make(chan struct{})}
	defer func() {
		if err != nil {
			w.Close()
			w = nil
		}
	}()
	for i, h := range s.hops {
		conn, err := l.connect(ctx, s, w, h, log, see)
		if err != nil {
			return w, err
		}
		if i == 0 {
			w.first = conn
		}
		client, err := l.greet(ctx, s, conn, h, &c.logins[i], log, see)
		if err != nil {
			_ = conn.Close()
			return w, err
		}
		w.clients = append(w.clients, client)
	}
	w.running.Go(func() { w.keepAlive(s.keepalive) })
	return w, nil
}

func (w *way) client() *xssh.Client { return w.clients[len(w.clients)-1] }

// connect makes the stream that the ssh connection with a hop stands on.
func (l *Launcher) connect(ctx context.Context, s *settings, w *way, h hop, log *kit.Log, see *sight) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	start := time.Now()
	switch {
	case len(w.clients) > 0:
		log.Printf("Connecting to %s through %s", h.address(), s.hops[len(w.clients)-1].address())
		conn, err := w.client().DialContext(ctx, "tcp", h.address())
		if err != nil {
			return nil, see.fail(h, "tcp", start, notForwarded(s.hops[len(w.clients)-1], h, err))
		}
		see.pass(h, "tcp", start, "reached through "+s.hops[len(w.clients)-1].address())
		return conn, nil
	case s.proxyCommand != "":
		conn, err := proxy(s, h, log)
		if err != nil {
			return nil, see.fail(h, "proxy", start, err)
		}
		see.pass(h, "proxy", start, "the command was started")
		return conn, nil
	}
	if err := resolve(ctx, h, start, see); err != nil {
		return nil, err
	}
	log.Printf("Connecting to %s", h.address())
	start = time.Now()
	conn, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", h.address())
	if err != nil {
		return nil, see.fail(h, "tcp", start, unreachable(h, err))
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // a round trip of a small message is what an agent's calls are made of
	}
	see.pass(h, "tcp", start, "connected to "+conn.RemoteAddr().String())
	return conn, nil
}

// resolve looks a name up only to say so when it fails: the dialler does it again, and tries all addresses.
func resolve(ctx context.Context, h hop, start time.Time, see *sight) error {
	addresses, err := net.DefaultResolver.LookupHost(ctx, h.host)
	if err != nil {
		err = kit.Trouble(fault.Unavailable, "check the host's name, or set host to its address", "look up %s: %w", h.host, err)
		return see.fail(h, "dns", start, err)
	}
	see.pass(h, "dns", start, strings.Join(addresses, ", "))
	return nil
}

func unreachable(h hop, err error) error {
	hint := "check host and port, and that the controller may connect there"
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "no sshd listens there: start it, or set port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		hint = "there is no way there: is the machine on, and in this network? A jump host may lead there (jump)"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		hint = "nothing answers: is the machine on? A firewall may drop what comes from the controller"
	}
	return kit.Trouble(fault.Unavailable, hint, "connect to %s: %w", h.who(), err)
}

func notForwarded(from, h hop, err error) error {
	hint := "check that " + from.address() + " can reach it"
	var e *xssh.OpenChannelError
	if errors.As(err, &e) && e.Reason == xssh.Prohibited {
		hint = "its sshd does not forward connections for us: AllowTcpForwarding and PermitOpen in sshd_config, or restrict without port-forwarding in authorized_keys"
	}
	return kit.Trouble(fault.Unavailable, hint, "connect to %s through %s: %w", h.who(), from.who(), err)
}

// greet speaks ssh with a hop: keys are exchanged, the host is known, and it lets us in.
func (l *Launcher) greet(ctx context.Context, s *settings, conn net.Conn, h hop, g *login, log *kit.Log, see *sight) (*xssh.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %v", s.timeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	start := time.Now()
	j, err := l.newJudge(ctx, s.node, h, log)
	if err != nil {
		return nil, see.fail(h, "key", start, err)
	}
	c, channels, requests, err := xssh.NewClientConn(conn, h.address(), l.clientConfig(h, g, j, log))
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	if p, ok := conn.(*proxied); ok && err != nil {
		if last := p.words(); last != "" {
			err = fmt.Errorf("%w; proxyCommand said: %s", err, last)
		}
	}
	switch {
	case j.err != nil:
		return nil, see.fail(h, "key", start, j.err)
	case err != nil && !j.known:
		return nil, see.fail(h, "key", start, noSSH(h, err))
	}
	see.pass(h, "key", start, j.text)
	if err != nil {
		return nil, see.fail(h, "login", start, g.refused(h, err))
	}
	log.Printf("Logged in to %s (%s)", h.who(), c.ServerVersion())
	see.pass(h, "login", start, "as "+h.user+", "+string(c.ServerVersion()))
	return xssh.NewClient(c, channels, requests), nil
}

func (l *Launcher) clientConfig(h hop, g *login, j *judge, log *kit.Log) *xssh.ClientConfig {
	return &xssh.ClientConfig{
		User: h.user, Auth: g.methods, ClientVersion: "SSH-2.0-outwork",
		HostKeyCallback: j.callback, HostKeyAlgorithms: j.algorithms,
		BannerCallback: func(text string) error {
			banner := lines{log: log}
			_, _ = banner.Write([]byte(text))
			banner.end()
			return nil
		},
		AuthCallback: func(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
			g.offers = c.AllowedMethods
			return nil, nil // the next of Auth
		},
	}
}

func noSSH(h hop, err error) error {
	hint := "check that an sshd listens at that port"
	if strings.Contains(err.Error(), "no common algorithm") {
		hint = "its sshd is so old, or so strict, that no algorithm is left that both take: upgrade it, or look at KexAlgorithms, Ciphers and HostKeyAlgorithms in its sshd_config"
	}
	return kit.Trouble(fault.Unavailable, hint, "speak ssh with %s: %w", h.who(), err)
}

// keepAlive asks the machine for a sign of life, so that a firewall in between does not forget us, and gives the way up when there is none.
func (w *way) keepAlive(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-t.C:
		}
		answered := make(chan error, 1)
		w.running.Go(func() {
			_, _, err := w.client().SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		})
		patience := time.NewTimer(2 * every)
		select {
		case <-w.done:
		case err := <-answered:
			if err != nil {
				w.giveUp(err)
			}
		case <-patience.C:
			w.giveUp(fmt.Errorf("no answer to a keepalive within %v", 2*every))
		}
		patience.Stop()
	}
}

// giveUp ends a way that leads nowhere any more.
func (w *way) giveUp(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == nil {
		w.lost = why
		_ = w.first.Close()
	}
}

func (w *way) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close logs out everywhere.
func (w *way) Close() {
	w.once.Do(func() {
		close(w.done)
		for i := len(w.clients) - 1; i >= 0; i-- {
			_ = w.clients[i].Close()
		}
		if w.first != nil {
			_ = w.first.Close()
		}
		for _, c := range w.clients {
			_ = c.Wait()
		}
	})
	w.running.Wait()
}

// proxy starts the command that leads to the first hop.
func proxy(s *settings, h hop, log *kit.Log) (net.Conn, error) {
	command := strings.NewReplacer("%%", "%", "%h", h.host, "%n", h.host, "%p", strconv.Itoa(h.port), "%r", h.user).Replace(s.proxyCommand)
	log.Printf("Starting on the controller: %s", command)
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	if runtime.GOOS == "windows" {
		cmd = exec.Command("cmd.exe", "/c", command)
	}
	said := &lines{log: log}
	cmd.Stderr = said
	link, err := stdio.Start(cmd, time.Second)
	if err != nil {
		return nil, kit.Trouble(fault.Unavailable, "check proxyCommand", "proxyCommand: %w", err)
	}
	return &proxied{Link: link, said: said, address: address(h.address())}, nil
}

// proxied is a connection through a command. It has no deadlines; who needs one closes it.
type proxied struct {
	wire.Link
	said    *lines
	address address
}

// words ends the command and returns the last that it said.
func (p *proxied) words() string {
	_ = p.Close()
	return p.said.end()
}

func (p *proxied) LocalAddr() net.Addr              { return p.address }
func (p *proxied) RemoteAddr() net.Addr             { return p.address }
func (p *proxied) SetDeadline(time.Time) error      { return nil }
func (p *proxied) SetReadDeadline(time.Time) error  { return nil }
func (p *proxied) SetWriteDeadline(time.Time) error { return nil }

// address is a host and a port that were never looked up.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// sight tells of the stages of a way. All stages of a jump host are one hop of the report. nil tells nobody.
type sight struct{ tell func(fleet.Hop) }

func (s *sight) pass(h hop, stage string, start time.Time, text string) {
	switch {
	case s == nil:
	case h.label == "":
		s.tell(fleet.Hop{Name: stage, OK: true, Text: text, Took: time.Since(start)})
	case stage == "login":
		s.tell(fleet.Hop{Name: h.label, OK: true, Text: h.String() + ": " + text, Took: time.Since(start)})
	}
}

// fail returns err.
func (s *sight) fail(h hop, stage string, start time.Time, err error) error {
	if s != nil {
		name := stage
		if h.label != "" {
			name = h.label
		}
		text, hint := kit.Tell(err)
		s.tell(fleet.Hop{Name: name, Text: text, Hint: hint, Took: time.Since(start)})
	}
	return err
}
