package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// statements are the named queries of one connection, prepared when they are first used.
type statements struct {
	conn    *sql.Conn // nil before connect
	queries map[string]string
	ready   map[string]*sql.Stmt
}

func newStatements(queries map[string]string) *statements {
	return &statements{queries: queries, ready: map[string]*sql.Stmt{}}
}

func (s *statements) get(name string) (*sql.Stmt, error) {
	if st := s.ready[name]; st != nil {
		return st, nil
	}
	text, ok := s.queries[name]
	if !ok {
		return nil, fmt.Errorf("no query %q", name)
	}
	st, err := s.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.ready[name] = st
	return st, nil
}

// reset gives the connection up; the next use opens another.
func (s *statements) reset() error {
	if s.conn == nil {
		return nil
	}
	var errs []error
	// The driver must not be asked to close statements of a connection that is closed.
	if !gone(s.conn.Raw(func(any) error { return nil })) {
		for _, st := range s.ready {
			errs = append(errs, st.Close())
		}
	}
	clear(s.ready)
	errs = append(errs, discard(s.conn))
	s.conn = nil
	return errors.Join(errs...)
}

// discard closes the connection itself: Close would keep it in the pool for the next.
func discard(c *sql.Conn) error {
	err := c.Raw(func(any) error { return driver.ErrBadConn })
	if gone(err) {
		err = nil
	}
	if end := c.Close(); !gone(end) {
		err = errors.Join(err, end)
	}
	return err
}

// connect opens the connection when there is none.
func (s *statements) connect(ctx context.Context, db *sql.DB) error {
	if s.conn != nil {
		return nil
	}
	conn, err := db.Conn(ctx)
	s.conn = conn
	if err != nil {
		s.conn = nil
	}
	return err
}

// gone reports whether an error says that the connection itself is of no use any more.
func gone(err error) bool {
	return errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)
}

// tx runs named queries on one connection.
type tx struct {
	ctx      context.Context
	st       *statements
	readOnly bool
	broken   error // the first error that ended the transaction
}

func (t *tx) fail(query string, err error) error {
	if spoils(err) && t.broken == nil {
		t.broken = err
	}
	return fmt.Errorf("%s: %w", query, err)
}

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	if t.readOnly {
		return 0, fault.New(fault.Internal, "%s: a reader cannot write", query)
	}
	st, err := t.st.get(query)
	if err != nil {
		return 0, t.fail(query, err)
	}
	r, err := st.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, t.fail(query, err)
	}
	return r.RowsAffected()
}

// Query implements store.Tx.
func (t *tx) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	st, err := t.st.get(query)
	if err != nil {
		return t.fail(query, err)
	}
	rows, err := st.QueryContext(t.ctx, args...)
	if err != nil {
		return t.fail(query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return t.fail(query, err)
	}
	return nil
}
