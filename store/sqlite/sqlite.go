// Package sqlite is the ledger in a data folder: the store.Engine over one SQLite file.
//
// Writes go through one goroutine. It takes all that wait, runs each in a savepoint of one transaction, commits with one
// fsync, and answers all of them: while the disk is busy with one batch the next one gathers. Readers have connections of
// their own and are never blocked by the writer, nor block it (write-ahead log).
//
// A data folder belongs to one process, which holds the lock in it. The schema is migrated at Open, after a copy was made;
// a folder of a newer Outwork is refused.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	_ "modernc.org/sqlite" // the driver "sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

const (
	fileName = "ledger.db"
	lockName = "lock"
)

// Config sets limits. The zero value works.
type Config struct {
	Logger    *slog.Logger          // nil discards
	Readers   int                   // connections for reading; 0 is 4
	Queue     int                   // writes that may wait; more callers wait outside; 0 is 4096
	Batch     int                   // writes that one transaction takes at most; 0 is 512
	BusyAfter time.Duration         // how long a write waits for another process that has locked the file; 0 is one minute
	Registry  prometheus.Registerer // nil keeps no metrics
}

func (c *Config) defaults() error {
	if c.Readers < 0 || c.Queue < 0 || c.Batch < 0 || c.BusyAfter < 0 {
		return fault.New(fault.Invalid, "ledger: limits must not be negative: %+v", *c)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.Batch == 0 {
		c.Batch = 512
	}
	if c.BusyAfter == 0 {
		c.BusyAfter = time.Minute
	}
	return nil
}

// Ledger is an open data folder. Its Tables are the rooms' stores.
type Ledger struct {
	store.Tables
	cfg    Config
	dir    string
	lock   *os.File
	reader *reader
	writer *writer

	closeOnce sync.Once
	closeErr  error
}

var _ store.Engine = (*Ledger)(nil)

// Open opens the data folder, makes it when it is missing, and migrates it when it is older. It fails with fault.Conflict when
// another process has it open, with fault.Incompatible when a newer Outwork wrote it. Close it.
func Open(ctx context.Context, dir string, c Config) (*Ledger, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, kinded(fmt.Errorf("data folder: %w", err))
	}
	lock, err := lockFolder(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: c, dir: dir, lock: lock}
	if err := l.start(ctx); err != nil {
		lock.Close()
		return nil, kinded(fmt.Errorf("data folder %s: %w", dir, err))
	}
	l.Tables = store.Over(l)
	return l, nil
}

func (l *Ledger) start(ctx context.Context) error {
	path := filepath.Join(l.dir, fileName)
	// The file is made here for its permissions.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := migrate(ctx, l.dir, l.cfg); err != nil {
		return err
	}
	queries, err := store.Queries()
	if err != nil {
		return err
	}
	if l.reader, err = openReader(path, queries, l.cfg); err != nil {
		return err
	}
	if l.writer, err = openWriter(ctx, path, queries, l.cfg); err != nil {
		l.reader.close()
		return err
	}
	return syncFolder(l.dir)
}

// dsn names the file with the settings that every connection has.
func dsn(path string, c Config, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", c.BusyAfter.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		"journal_size_limit(67108864)",
	}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Run closes the ledger when ctx ends.
func (l *Ledger) Run(ctx context.Context) error {
	<-ctx.Done()
	return l.Close()
}

// Close writes what is queued, and lets go of the folder. Later calls of everything fail with fault.Unavailable.
func (l *Ledger) Close() error {
	l.closeOnce.Do(func() {
		l.closeErr = errors.Join(l.reader.close(), l.writer.close(), l.lock.Close())
	})
	return l.closeErr
}

// Read implements store.Engine.
func (l *Ledger) Read(ctx context.Context, look func(store.Tx) error) error {
	return l.reader.read(ctx, look)
}

// Write implements store.Engine.
func (l *Ledger) Write(ctx context.Context, change func(store.Tx) error) error {
	return l.writer.write(ctx, change)
}

// Later implements store.Engine.
func (l *Ledger) Later(ctx context.Context, change func(store.Tx) error) error {
	return l.writer.later(ctx, change)
}

// Settle implements store.Engine.
func (l *Ledger) Settle(ctx context.Context) error { return l.writer.settle(ctx) }

// Backup writes a copy of the ledger as it is at one moment to a new file, which appears when it is whole. Reading and writing
// go on. fault.Conflict when the file exists.
func (l *Ledger) Backup(ctx context.Context, path string) error {
	if err := l.Settle(ctx); err != nil {
		return err
	}
	return backup(ctx, filepath.Join(l.dir, fileName), path, l.cfg)
}

func backup(ctx context.Context, from, to string, c Config) error {
	if _, err := os.Lstat(to); err == nil {
		return fault.New(fault.Conflict, "backup: %s exists: name another file", to)
	}
	db, err := sql.Open("sqlite", dsn(from, c))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer db.Close()
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	// VACUUM INTO takes an empty file that is there, with its permissions.
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return kinded(fmt.Errorf("backup: %w", err))
	}
	defer f.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		os.Remove(part)
		return kinded(fmt.Errorf("backup to %s: %w", to, err))
	}
	if err := errors.Join(f.Sync(), os.Rename(part, to), syncFolder(filepath.Dir(to))); err != nil {
		return kinded(fmt.Errorf("backup to %s: %w", to, err))
	}
	return nil
}

// Check reads the whole file and reports damage as an error that names the first places.
func (l *Ledger) Check(ctx context.Context) error {
	return l.reader.do(ctx, func(db *sql.Conn) error {
		for _, q := range []string{"PRAGMA integrity_check(10)", "PRAGMA foreign_key_check"} {
			found, err := texts(ctx, db, q)
			if c := code(err); c == lib.SQLITE_CORRUPT || c == lib.SQLITE_NOTADB {
				found, err = append(found, err.Error()), nil
			}
			if err != nil {
				return fmt.Errorf("data folder %s: check: %w", l.dir, err)
			}
			if len(found) > 0 && !(len(found) == 1 && found[0] == "ok") {
				return fault.New(fault.Internal, "data folder %s: %s is damaged: %q: restore a backup", l.dir, fileName, found)
			}
		}
		return nil
	})
}

// texts reads the first column of every row.
func texts(ctx context.Context, db *sql.Conn, query string) (out []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var first string
		rest := []any{&first}
		for range columns[1:] {
			rest = append(rest, new(any))
		}
		if err := rows.Scan(rest...); err != nil {
			return nil, err
		}
		out = append(out, first)
	}
	return out, rows.Err()
}
