// Package store keeps the rooms' rows in SQL.
//
// Each room declares the small Store it needs; the types here implement them all over an Engine, which runs closures in
// transactions. store/sqlite is the Engine of a data folder. The queries stand in queries/*.sql, in the SQL that SQLite and
// PostgreSQL share; only the migrations, in the Engine's folder, are of one dialect. Every Engine passes store/storetest.
//
// A row that is more than its keys is JSON, so that a room's value may grow a field without a migration. Everything here may
// be called concurrently.
package store

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Engine runs closures in transactions. A closure sees the rows of one moment, and may be called by another goroutine.
type Engine interface {
	// Write runs change in a transaction and returns when it is durable, or with change's error, which undoes what change did
	// and nothing else. change must be pure but for tx and may be called again after a conflict; it must not wait for
	// anything and must not call the Engine. A full disk is fault.Exhausted and changes nothing. When ctx ends before change
	// has begun it is not called.
	Write(ctx context.Context, change func(tx Tx) error) error
	// Later queues change behind what was written before and returns: nothing that is written afterwards is kept unless it
	// is. It is tried again while the disk is full. change's own error is only logged.
	Later(ctx context.Context, change func(tx Tx) error) error
	// Settle waits until what was queued by Later before is kept, or has failed.
	Settle(ctx context.Context) error
	// Admit says whether there is room for new work; fault.Exhausted when what is left should go to the work that runs.
	Admit() error
	// Read runs look on rows that are durable. tx.Exec fails in it.
	Read(ctx context.Context, look func(tx Tx) error) error
}

// Tx runs the named queries of this package. It is valid during the closure only.
type Tx interface {
	// Exec runs a query and returns how many rows it changed.
	Exec(query string, args ...any) (int64, error)
	// Query calls each for every row until it fails.
	Query(query string, args []any, each func(scan func(dest ...any) error) error) error
}

// Tables are all stores of one Engine.
type Tables struct {
	Builds *Builds // build.Store and build.Details
	Runs   *Runs   // pipeline.Store
	Nodes  *Nodes  // fleet.Store
	Leases *Leases // queue.Ledger
	Auth   *Auth   // server/auth's Store
}

// Over returns the stores of an Engine.
func Over(e Engine) Tables {
	return Tables{Builds: &Builds{e}, Runs: &Runs{e}, Nodes: &Nodes{e}, Leases: &Leases{e}, Auth: &Auth{e}}
}

//go:embed queries/*.sql
var queryFiles embed.FS

// Queries returns every query by its name. Parameters are question marks.
func Queries() (map[string]string, error) {
	names, err := fs.Glob(queryFiles, "queries/*.sql")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, file := range names {
		text, err := queryFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, part := range strings.Split("\n"+string(text), "\n-- name: ")[1:] {
			name, query, ok := strings.Cut(part, "\n")
			if _, twice := all[name]; !ok || twice {
				return nil, fmt.Errorf("%s: query %q: expected a name of its own and a text", file, name)
			}
			all[name] = strings.TrimSuffix(strings.TrimSpace(query), ";")
		}
	}
	return all, nil
}

// one reads the only row of a query; false when there is none.
func one(tx Tx, query string, args []any, dest ...any) (bool, error) {
	found := false
	err := tx.Query(query, args, func(scan func(...any) error) error {
		found = true
		return scan(dest...)
	})
	return found, err
}

// list reads the JSON that is the only column of every row.
func list[T any](tx Tx, query string, args ...any) ([]T, error) {
	out := []T{}
	err := tx.Query(query, args, func(scan func(...any) error) error {
		var data []byte
		if err := scan(&data); err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			return fmt.Errorf("row of %T: %w", v, err)
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// encode makes a row's JSON. It fails only for values that no room has.
func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.With(fault.Invalid, fmt.Errorf("row of %T: %w", v, err))
	}
	return string(b), nil
}
