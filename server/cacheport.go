package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/httpcache"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/lifecycle"
	"github.com/outwork-build/outwork/server/auth"
)

// cachePort is the port for clients of the cache, gRPC and HTTP alike. The zero value is none.
type cachePort struct {
	listener net.Listener
	face     *reapi.Server
	faces    []*reapi.Server // this one and that for agents
}

// close ends what waits for clients that broke off.
func (p *cachePort) close() {
	if p.listener != nil {
		p.listener.Close()
	}
	for _, f := range p.faces {
		f.Close()
	}
}

// cacheUses are what callers without a login may do with the cache, by the option's value.
var cacheUses = map[string][]cas.Use{"": nil, "read": {cas.ReadCache}, "write": {cas.ReadCache, cas.WriteBlobs, cas.WriteActions}}

// openCache makes the faces of the cache and takes their port, if there is to be one.
func (s *Server) openCache(registry prometheus.Registerer) (err error) {
	if err := s.blobs.Metrics(registry); err != nil {
		return err
	}
	if _, ok := cacheUses[s.cfg.CacheAnonymous]; !ok {
		return fault.New(fault.Invalid, "--cache-anonymous %q: expected read or write", s.cfg.CacheAnonymous)
	}
	s.cache.face = reapi.New(reapi.Config{Store: s.blobs, Actions: s.blobs, Access: s.cacheAccess})
	s.cache.faces = append(s.cache.faces, s.cache.face)
	if s.cfg.CacheListen != "" {
		s.cache.listener, err = listen("--cache-listen", s.cfg.CacheListen)
	}
	return err
}

// CacheAddress is where the cache's own port listens, as HOST:PORT; "" when there is none.
func (s *Server) CacheAddress() string {
	if s.cache.listener == nil {
		return ""
	}
	return s.cache.listener.Addr().String()
}

// cacheAccess is who may do what: reading needs the scope cache-read, all else cache-write.
func (s *Server) cacheAccess(ctx context.Context, u cas.Use) error {
	for _, allowed := range cacheUses[s.cfg.CacheAnonymous] {
		if u == allowed {
			return nil
		}
	}
	if u == cas.ReadCache {
		return auth.Require(ctx, auth.CacheRead)
	}
	return auth.Require(ctx, auth.CacheWrite)
}

// cacheHTTP is the cache over HTTP. Clients show a token as a bearer token or, with its user's name, as a password.
func (s *Server) cacheHTTP() http.Handler {
	h := httpcache.New(httpcache.Config{Store: s.blobs, Actions: s.blobs, Access: s.cacheAccess, Log: s.log.With("room", "cas")})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(s.identify(r.Context(), r.Header.Get("Authorization"))))
	})
}

// identify adds to a context who shows an Authorization header. A secret that does not hold is as good as none: what needs a login says so.
func (s *Server) identify(ctx context.Context, header string) context.Context {
	var id auth.Identity
	var err error
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		id, err = s.auth.Authenticate(ctx, strings.TrimSpace(token))
	} else if user, secret, ok := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth(); ok {
		id, err = s.auth.Basic(ctx, user, secret)
	} else {
		return ctx
	}
	if err != nil {
		s.log.Info("secret refused at the cache", "error", err)
		return ctx
	}
	return auth.As(ctx, id)
}

// identifyRPC is identify for a call.
func (s *Server) identifyRPC(ctx context.Context) context.Context {
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) > 0 {
		return s.identify(ctx, values[0])
	}
	return ctx
}

type identified struct {
	grpc.ServerStream
	ctx context.Context
}

func (i identified) Context() context.Context { return i.ctx }

// cacheRPC is the cache over gRPC.
func (s *Server) cacheRPC() *grpc.Server {
	srv := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			return h(s.identifyRPC(ctx), r)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, identified{stream, s.identifyRPC(stream.Context())})
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute}),
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(4<<20), grpc.WriteBufferSize(256<<10), grpc.ReadBufferSize(256<<10),
	)
	s.cache.face.Register(srv)
	return srv
}

// serveCache serves both on the cache's port until ctx ends. Without TLS the first bytes of a connection tell which it is; with TLS a
// client of HTTP may speak HTTP/2 too, and each request tells.
func (s *Server) serveCache(ctx context.Context) error {
	s.log.Info("the cache listens", "address", s.CacheAddress(), "anonymous", s.cfg.CacheAnonymous)
	rpc, web := s.cacheRPC(), s.cacheHTTP()
	defer rpc.Stop()
	if s.cfg.TLS != nil {
		both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				rpc.ServeHTTP(w, r)
			} else {
				web.ServeHTTP(w, r)
			}
		})
		return serveHTTP(ctx, s.cache.listener, both, s.cfg.TLS, s.log)
	}
	split := splitPort(s.cache.listener)
	var parts lifecycle.Group
	parts.Add("split", split.run)
	parts.Add("grpc", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, rpc.Stop)
		defer stop()
		if err := rpc.Serve(split.rpc); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve the cache: %w", err)
		}
		return nil
	})
	parts.Add("http", func(ctx context.Context) error { return serveHTTP(ctx, split.web, web, nil, s.log) })
	return parts.Run(ctx)
}

// splitter gives the connections of one port to two servers: those that begin as HTTP/2 does to one, all others to the other.
type splitter struct {
	net.Listener
	rpc, web *half
}

// half is one server's part of a port.
type half struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func splitPort(l net.Listener) *splitter {
	part := func() *half { return &half{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})} }
	return &splitter{l, part(), part()}
}

// Accept, Close and Addr are net.Listener.
func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *half) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *half) Addr() net.Addr { return h.addr }

// give hands a connection over; false when the server has stopped.
func (h *half) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// helloTime is how long a connection may take to say what it is.
const helloTime = 10 * time.Second

// run accepts connections until ctx ends.
func (s *splitter) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.Listener.Close() })
	defer stop()
	defer s.rpc.Close()
	defer s.web.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			var temporary net.Error
			if errors.As(err, &temporary) && temporary.Timeout() {
				continue
			}
			return fmt.Errorf("accept on %s: %w", s.Addr(), err)
		}
		wg.Go(func() { s.sort(ctx, c) })
	}
}

// sort looks at a connection's first bytes and hands it over.
func (s *splitter) sort(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	head := make([]byte, len(http2Hello))
	c.SetReadDeadline(time.Now().Add(helloTime))
	n := 0
	for n < len(head) && string(head[:n]) == http2Hello[:n] {
		k, err := c.Read(head[n:])
		if n += k; err != nil {
			break
		}
	}
	if !stop() || n == 0 {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	to := s.web
	if string(head[:n]) == http2Hello {
		to = s.rpc
	}
	conn := &heard{TCPConn: c.(*net.TCPConn), head: head[:n]}
	if !to.give(conn) {
		c.Close()
	}
}

// http2Hello is what a client of HTTP/2 that asks nobody begins with, and no request of HTTP/1.
const http2Hello = "PRI *"

// heard is a connection of which the first bytes were read. It is a *net.TCPConn otherwise, so that files can be sent over it by the
// operating system.
type heard struct {
	*net.TCPConn
	head []byte // by the one reader
}

func (h *heard) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	return h.TCPConn.Read(p)
}
