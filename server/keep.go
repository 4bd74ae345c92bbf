package server

import (
	"context"
	"errors"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
)

// ledgerBlobs is the part of the ledger that knows which blobs builds need.
type ledgerBlobs interface {
	Blobs(ctx context.Context, artifact, stash func(digest string) error) error
}

// keepBlobs names the blobs for the blob store to keep: archived artifacts live as long as their build, stashes until their
// build has finished. A stash is a tree, so all that is in it is kept; store is asked for once the ledger has been read.
func keepBlobs(ledger ledgerBlobs, store func() cas.Store) func(context.Context, func(cas.Digest)) error {
	return func(ctx context.Context, keep func(cas.Digest)) error {
		var stashes []cas.Digest
		err := ledger.Blobs(ctx, func(digest string) error {
			d, err := cas.ParseDigest(digest)
			if err == nil {
				keep(d)
			}
			return err
		}, func(digest string) error {
			d, err := cas.ParseDigest(digest)
			stashes = append(stashes, d)
			return err
		})
		if err != nil {
			return err
		}
		for _, root := range stashes {
			if err := keepTree(ctx, store(), root, keep); err != nil {
				return err
			}
		}
		return nil
	}
}

// keepTree names all blobs of a tree. One that is not whole any more cannot be brought back, and keeps no room taken.
func keepTree(ctx context.Context, store cas.Store, root cas.Digest, keep func(cas.Digest)) error {
	entries, err := tree.List(ctx, store, root, tree.Limits{})
	if errors.Is(err, cas.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	keep(root)
	for _, e := range entries {
		if e.Digest != (cas.Digest{}) {
			keep(e.Digest)
		}
	}
	return nil
}
