package sqlite

import (
	"context"
	"errors"
	"io/fs"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/outwork-build/outwork/internal/fault"
)

var errClosed = fault.New(fault.Unavailable, "the ledger is closed")

// code is the primary result code of SQLite; 0 when err is not SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// kinded gives an error a kind, where it has none: what is wrong with the disk or with other processes is not the caller's
// fault.
func kinded(err error) error {
	if err == nil || fault.Of(err) != fault.Internal {
		return err
	}
	switch code(err) {
	case lib.SQLITE_FULL:
		return fault.New(fault.Exhausted, "no space left for the ledger: %w", err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fault.New(fault.Unavailable, "another process has locked the ledger: %w", err)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_IOERR, lib.SQLITE_NOMEM:
		if isFull(err) {
			return fault.New(fault.Exhausted, "no space left for the ledger: %w", err)
		}
		return fault.With(fault.Unavailable, err)
	}
	if isFull(err) {
		return fault.With(fault.Exhausted, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.With(fault.Denied, err)
	}
	return err
}

// spoils reports whether an error within a transaction may have ended the whole of it.
func spoils(err error) bool {
	switch code(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_INTERRUPT,
		lib.SQLITE_CORRUPT, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PROTOCOL:
		return true
	}
	return errors.Is(err, context.Canceled)
}
