package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"time"

	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/text"
	"github.com/outwork-build/outwork/wire/websocket"
)

// relayEnv makes this program the far end of stdio: it joins its stdin and stdout with a connection to the address.
const relayEnv = "LINK_BENCH_RELAY"

// transports is the list; the first is what the others are compared with.
func transports() []transport {
	return []transport{
		{"bare loopback", func() (near, far io.ReadWriteCloser, err error) { return loopback() }},
		{"websocket", func() (near, far io.ReadWriteCloser, err error) { return overWebSocket(false) }},
		{"websocket, TLS", func() (near, far io.ReadWriteCloser, err error) { return overWebSocket(true) }},
		{"tcp", func() (near, far io.ReadWriteCloser, err error) { return overTCP(false) }},
		{"tcp, TLS", func() (near, far io.ReadWriteCloser, err error) { return overTCP(true) }},
		{"stdio of a process", overStdio},
		{"text on loopback", overText},
	}
}

func loopback() (near, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if far, err = l.Accept(); err != nil {
		near.Close()
	}
	return near, far, err
}

// closing ends what a link stood on with its far end.
type closing struct {
	io.ReadWriteCloser
	after func()
}

func (c closing) Close() error {
	err := c.ReadWriteCloser.Close()
	c.after()
	return err
}

func overWebSocket(secure bool) (near, far io.ReadWriteCloser, err error) {
	links := make(chan wire.Link, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, err := websocket.Accept(w, r); err == nil {
			links <- l
		}
	}))
	c := websocket.DialConfig{}
	if secure {
		s.StartTLS()
		c.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	} else {
		s.Start()
	}
	c.URL = s.URL
	near, err = websocket.Dial(context.Background(), c)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return near, closing{<-links, s.Close}, nil
}

func overTCP(secure bool) (near, far io.ReadWriteCloser, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	links := make(chan wire.Link, 1)
	c := tcp.Config{
		Admit:   func(context.Context, tcp.Caller) (string, error) { return "n", nil },
		Deliver: func(_ context.Context, _ string, l wire.Link) error { links <- l; return nil },
	}
	d := tcp.DialConfig{Address: l.Addr().String(), Plain: !secure}
	if secure {
		folder, err := os.MkdirTemp("", "link")
		if err != nil {
			return nil, nil, err
		}
		defer os.RemoveAll(folder)
		cert, pin, err := tcp.Identity(folder)
		if err != nil {
			return nil, nil, err
		}
		c.TLS, d.Pin = &tls.Config{Certificates: []tls.Certificate{cert}}, pin
	}
	ctx, cancel := context.WithCancel(context.Background())
	go tcp.NewServer(c).Serve(ctx, l)
	near, err = tcp.Dial(ctx, d)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return near, closing{<-links, cancel}, nil
}

func overStdio() (near, far io.ReadWriteCloser, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), relayEnv+"="+l.Addr().String())
	cmd.Stderr = os.Stderr
	near, err = stdio.Start(cmd, time.Second)
	if err != nil {
		return nil, nil, err
	}
	if far, err = l.Accept(); err != nil {
		near.Close()
	}
	return near, far, err
}

// relay reports whether this process is the far end of overStdio; it has done its work then.
func relay() bool {
	to := os.Getenv(relayEnv)
	if to == "" {
		return false
	}
	c, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
	l := stdio.Own()
	go func() {
		io.Copy(c, l)
		c.Close()
	}()
	io.Copy(l, c)
	l.Close()
	return true
}

func overText() (near, far io.ReadWriteCloser, err error) {
	a, b, err := loopback()
	if err != nil {
		return nil, nil, err
	}
	type opened struct {
		link wire.Link
		err  error
	}
	announced := make(chan opened, 1)
	go func() {
		l, err := text.Announce(context.Background(), b, "near")
		announced <- opened{l, err}
	}()
	if near, err = text.Await(context.Background(), a, "far", nil); err != nil {
		b.Close()
		return nil, nil, err
	}
	o := <-announced
	if o.err != nil {
		near.Close()
	}
	return near, o.link, o.err
}
