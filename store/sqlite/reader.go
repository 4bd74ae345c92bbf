package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/outwork-build/outwork/store"
)

// reader is a pool of connections that cannot write.
type reader struct {
	db   *sql.DB
	free chan *statements // as many as there are connections

	mu     sync.Mutex
	closed bool
	done   chan struct{} // closed with the reader
}

func openReader(path string, queries map[string]string, c Config) (*reader, error) {
	db, err := sql.Open("sqlite", dsn(path, c, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(c.Readers)
	db.SetMaxIdleConns(c.Readers)
	r := &reader{db: db, free: make(chan *statements, c.Readers), done: make(chan struct{})}
	for range c.Readers {
		r.free <- newStatements(queries)
	}
	return r, nil
}

// do runs f with a connection of its own.
func (r *reader) do(ctx context.Context, f func(*sql.Conn) error) error {
	return r.with(ctx, func(st *statements) error { return f(st.conn) })
}

func (r *reader) with(ctx context.Context, f func(*statements) error) error {
	select {
	case <-r.done:
		return errClosed
	default:
	}
	var st *statements
	select {
	case <-r.done:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	case st = <-r.free:
	}
	defer func() { r.free <- st }()
	err := r.use(ctx, st, f)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return kinded(err)
}

func (r *reader) use(ctx context.Context, st *statements, f func(*statements) error) error {
	err := st.connect(ctx, r.db)
	if err == nil {
		err = f(st)
	}
	if gone(err) {
		_ = st.reset() // it is broken anyway
	}
	return err
}

// read shows look the rows of one moment.
func (r *reader) read(ctx context.Context, look func(store.Tx) error) error {
	return r.with(ctx, func(st *statements) error {
		if _, err := st.conn.ExecContext(ctx, "BEGIN"); err != nil {
			return fmt.Errorf("ledger: read: %w", err)
		}
		err := look(&tx{ctx: ctx, st: st, readOnly: true})
		if _, end := st.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); end != nil {
			// It might hold the moment it shows for ever.
			err = errors.Join(err, end, st.reset())
		}
		return err
	})
}

// close waits for those who read.
func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	close(r.done)
	var errs []error
	for range cap(r.free) {
		errs = append(errs, (<-r.free).reset())
	}
	return errors.Join(append(errs, r.db.Close())...)
}
