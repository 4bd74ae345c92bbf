package store

import (
	"context"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
)

// maxEntry is the most that one journal entry may hold.
const maxEntry = 16 << 20

// Runs is pipeline.Store.
type Runs struct{ engine Engine }

var _ pipeline.Store = (*Runs)(nil)

// Append adds entries to a build's journal.
func (s *Runs) Append(ctx context.Context, id build.ID, entries []pipeline.Entry) error {
	for _, e := range entries {
		if len(e.Data) > maxEntry {
			return fault.New(fault.Exhausted, "journal of %s: entry %d has %d bytes, at most %d are kept", id, e.Seq, len(e.Data), maxEntry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		var key int64
		var last uint64
		found, err := one(tx, "journal.end", []any{string(id.Job), id.Number}, &key, &last)
		switch {
		case err != nil:
			return err
		case !found:
			return noBuild(id)
		}
		for _, e := range entries {
			if e.Seq != last+1 {
				return fault.New(fault.Stale, "journal of %s: entry %d does not follow %d: another controller has gone on with the run", id, e.Seq, last)
			}
			last++
			data := e.Data
			if data == nil {
				data = []byte{}
			}
			if _, err := tx.Exec("journal.insert", key, int64(e.Seq), data); err != nil {
				return err
			}
		}
		return nil
	})
}

// buildKey finds what the rows of a build hang on; false when there is no such build.
func buildKey(tx Tx, id build.ID) (int64, bool, error) {
	var key int64
	found, err := one(tx, "build.key", []any{string(id.Job), id.Number}, &key)
	return key, found, err
}

// Load reads a build's journal.
func (s *Runs) Load(ctx context.Context, id build.ID) ([]pipeline.Entry, error) {
	if err := s.engine.Settle(ctx); err != nil {
		return nil, err
	}
	var all []pipeline.Entry
	err := s.engine.Read(ctx, func(tx Tx) error {
		all = nil
		key, found, err := buildKey(tx, id)
		if err != nil || !found {
			return err
		}
		return tx.Query("journal.list", []any{key}, func(scan func(...any) error) error {
			var e pipeline.Entry
			err := scan(&e.Seq, &e.Data)
			all = append(all, e)
			return err
		})
	})
	return all, err
}

// PutText pins a text, soon: with the next write of the ledger at the latest, and so with what the run journals first.
func (s *Runs) PutText(ctx context.Context, id build.ID, name, text string) error {
	return s.engine.Later(ctx, func(tx Tx) error {
		key, found, err := buildKey(tx, id)
		switch {
		case err != nil:
			return err
		case !found:
			return noBuild(id)
		}
		_, err = tx.Exec("text.insert", key, name, text)
		return err
	})
}

// Texts reads the pinned texts.
func (s *Runs) Texts(ctx context.Context, id build.ID) (map[string]string, error) {
	if err := s.engine.Settle(ctx); err != nil {
		return nil, err
	}
	var all map[string]string
	err := s.engine.Read(ctx, func(tx Tx) error {
		all = map[string]string{}
		key, found, err := buildKey(tx, id)
		if err != nil || !found {
			return err
		}
		return tx.Query("text.list", []any{key}, func(scan func(...any) error) error {
			var name, text string
			err := scan(&name, &text)
			all[name] = text
			return err
		})
	})
	return all, err
}

// Drop forgets a build's journal and texts, soon.
func (s *Runs) Drop(ctx context.Context, id build.ID) error {
	return s.engine.Later(ctx, func(tx Tx) error {
		key, found, err := buildKey(tx, id)
		if err != nil || !found {
			return err
		}
		if _, err := tx.Exec("journal.delete", key); err != nil {
			return err
		}
		_, err = tx.Exec("text.delete", key)
		return err
	})
}

// Unfinished lists the builds that have not ended.
func (s *Runs) Unfinished(ctx context.Context) (all []build.Build, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		all, err = list[build.Build](tx, "build.unfinished")
		return err
	})
	return all, err
}
