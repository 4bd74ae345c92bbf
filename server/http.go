package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// listen takes the address that an option names, or says what to do when it cannot be had.
func listen(option, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New(fault.Conflict, "listen on %s: another program has this port: stop it, or choose another with %s", address, option)
	case errors.Is(err, syscall.EACCES):
		return nil, fault.New(fault.Denied, "listen on %s: this user may not use the port: choose one above 1023 with %s", address, option)
	case err != nil:
		return nil, fault.New(fault.Invalid, "listen on %s: %w", address, err)
	}
	return l, nil
}

// serveHTTP serves until ctx ends. Then no request is taken any more, streams are ended, and what is being answered gets a
// few seconds.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, tls *TLS, log *slog.Logger) error {
	base, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &http.Server{
		Handler:           recovered(h, log),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() {
		if tls != nil {
			failed <- s.ServeTLS(l, tls.Cert, tls.Key)
		} else {
			failed <- s.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	cancel() // followers and event streams hear it and end
	grace, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	if err := s.Shutdown(grace); err != nil {
		s.Close()
	}
	<-failed
	return nil
}

// recovered answers 500 when a handler panics, and goes on.
func recovered(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			log.Error("a handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		h.ServeHTTP(w, r)
	})
}
