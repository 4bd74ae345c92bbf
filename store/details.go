package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// PutStage keeps a stage, soon.
func (s *Builds) PutStage(ctx context.Context, id build.ID, st build.Stage) error {
	data, err := encode(st)
	if err != nil {
		return err
	}
	return s.engine.Later(ctx, func(tx Tx) error {
		key, found, err := buildKey(tx, id)
		switch {
		case err != nil:
			return err
		case !found:
			return noBuild(id)
		}
		_, err = tx.Exec("stage.put", key, st.ID, st.Order, data)
		return err
	})
}

// Stages returns the stages of a build in their order, those just put among them.
func (s *Builds) Stages(ctx context.Context, id build.ID) (all []build.Stage, err error) {
	if err := s.engine.Settle(ctx); err != nil {
		return nil, err
	}
	err = s.details(ctx, id, func(tx Tx, key int64) (err error) {
		all, err = list[build.Stage](tx, "stage.list", key)
		return err
	})
	return all, err
}

// details reads what hangs on a build.
func (s *Builds) details(ctx context.Context, id build.ID, look func(tx Tx, key int64) error) error {
	return s.engine.Read(ctx, func(tx Tx) error {
		key, _, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		return look(tx, key)
	})
}

// PutArtifacts adds artifacts to those of the build; one of the same path is replaced.
func (s *Builds) PutArtifacts(ctx context.Context, id build.ID, as []build.Artifact) error {
	rows := make([]string, len(as))
	for i, a := range as {
		data, err := encode(a)
		if err != nil {
			return err
		}
		rows[i] = data
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		key, _, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		for i, a := range as {
			if _, err := tx.Exec("artifact.put", key, a.Path, rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Artifacts returns the artifacts of a build by path.
func (s *Builds) Artifacts(ctx context.Context, id build.ID) (all []build.Artifact, err error) {
	err = s.details(ctx, id, func(tx Tx, key int64) (err error) {
		all, err = list[build.Artifact](tx, "artifact.list", key)
		return err
	})
	return all, err
}

// PutStash keeps a stash.
func (s *Builds) PutStash(ctx context.Context, id build.ID, name, digest string) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		key, _, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec("stash.put", key, name, digest)
		return err
	})
}

// Stash returns the digest of a stash.
func (s *Builds) Stash(ctx context.Context, id build.ID, name string) (digest string, err error) {
	err = s.details(ctx, id, func(tx Tx, key int64) error {
		found, err := one(tx, "stash.get", []any{key, name}, &digest)
		if err == nil && !found {
			return fault.New(fault.NotFound, "build %s has no stash %q", id, name)
		}
		return err
	})
	return digest, err
}

// Blobs names what builds need of the blob store: the digest of every artifact, and the tree of every stash of a build that has
// not finished. One may be named more than once.
func (s *Builds) Blobs(ctx context.Context, artifact, stash func(digest string) error) error {
	return s.engine.Read(ctx, func(tx Tx) error {
		err := tx.Query("artifact.all", nil, func(scan func(...any) error) error {
			var data []byte
			var a build.Artifact
			if err := scan(&data); err != nil {
				return err
			}
			if err := json.Unmarshal(data, &a); err != nil {
				return fmt.Errorf("artifact row: %w", err)
			}
			return artifact(a.Digest)
		})
		if err != nil {
			return err
		}
		return tx.Query("stash.unfinished", nil, func(scan func(...any) error) error {
			var digest string
			if err := scan(&digest); err != nil {
				return err
			}
			return stash(digest)
		})
	})
}
