package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the schema to this version's, after a copy of what was there.
func migrate(ctx context.Context, dir string, c Config) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	return migrateTo(ctx, dir, files, c)
}

func migrateTo(ctx context.Context, dir string, files fs.FS, c Config) error {
	path := filepath.Join(dir, fileName)
	db, err := sql.Open("sqlite", dsn(path, c))
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	has, wants, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	switch {
	case has > wants:
		return fault.New(fault.Incompatible, "the ledger has schema version %d, written by a newer Outwork; this one (%s) knows "+
			"up to version %d: start the newer Outwork again, or restore a backup from before the upgrade", has, version.String(), wants)
	case has == wants:
		return nil
	}
	if has > 0 {
		copied := filepath.Join(dir, fmt.Sprintf("%s.before-v%d", fileName, wants))
		if err := os.Remove(copied); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("copy before the migration: %w", err)
		}
		if err := backup(ctx, path, copied, c); err != nil {
			return fmt.Errorf("copy before the migration: %w", err)
		}
		c.Logger.Info("ledger copied before its migration", "copy", copied, "from", has, "to", wants)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema from version %d to %d: %w", has, wants, err)
	}
	return nil
}
