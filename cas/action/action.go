// Package action reads and writes results of actions, ActionResult messages of the Remote Execution API v2, in a cas.ActionCache.
//
// A result is a promise that its outputs can be had. So one of them that is gone makes it no result: Get looks for every output
// file, every Tree and all the files in it, and standard output and error, which protects them in the same step. It is up to the callers
// to let only trusted work put results. All methods may be called concurrently.
package action

import (
	"context"
	"errors"
	"fmt"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Cache has the results in Actions, of which the outputs are in Store.
type Cache struct {
	Store   cas.Store
	Actions cas.ActionCache
}

const (
	maxTree = 64 << 20 // bytes of one Tree message
	maxRefs = 1 << 20  // blobs of one result
)

// Key names the result of an action, by the action's hash and the instance name, "" for the default one.
func Key(instance, hash string) cas.ActionKey {
	return cas.ActionKey{Space: "results/" + instance, Key: hash}
}

// Get returns a result all of whose outputs are there. Otherwise, and when nothing is known of the action, it is cas.ErrNotFound.
func (c Cache) Get(ctx context.Context, k cas.ActionKey) (*repb.ActionResult, error) {
	b, err := c.Actions.GetAction(ctx, k)
	if errors.Is(err, cas.ErrMismatch) {
		return nil, fmt.Errorf("result of %s: %w: %w", k.Key, cas.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	r := new(repb.ActionResult)
	if err := proto.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("result of %s cannot be read: %w: %w", k.Key, cas.ErrNotFound, err)
	}
	if err := c.complete(ctx, r); err != nil {
		return nil, fmt.Errorf("result of %s: %w", k.Key, err)
	}
	return r, nil
}

// complete is nil when every blob that a result names is there. They are protected then.
func (c Cache) complete(ctx context.Context, r *repb.ActionResult) error {
	ds, err := outputs(r)
	if err != nil {
		return err
	}
	for _, d := range r.OutputDirectories {
		if ds, err = c.appendTree(ctx, ds, d.TreeDigest); err != nil {
			return err
		}
	}
	missing, err := c.Store.Missing(ctx, ds)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of its outputs, such as %s: %w", len(missing), missing[0], cas.ErrNotFound)
	}
	return nil
}

// outputs are the blobs that a result itself names. fault.Invalid: one of them is no digest.
func outputs(r *repb.ActionResult) (ds []cas.Digest, err error) {
	add := func(what string, d *repb.Digest) {
		if d == nil || err != nil {
			return
		}
		if ds, err = appendDigest(ds, d); err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, f := range r.OutputFiles {
		add(f.Path, f.Digest)
		if f.Digest == nil && err == nil {
			return nil, fault.New(fault.Invalid, "output file %.200q: expected a digest", f.Path)
		}
	}
	for _, d := range r.OutputDirectories {
		add(d.Path, d.TreeDigest)
		add(d.Path, d.RootDirectoryDigest)
	}
	add("standard output", r.StdoutDigest)
	add("standard error", r.StderrDigest)
	return ds, err
}

func appendDigest(ds []cas.Digest, d *repb.Digest) ([]cas.Digest, error) {
	c := cas.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(ds) >= maxRefs {
		return nil, fault.New(fault.Exhausted, "expected at most %d outputs", maxRefs)
	}
	return append(ds, c), nil
}

// appendTree adds the files that a Tree names.
func (c Cache) appendTree(ctx context.Context, ds []cas.Digest, tree *repb.Digest) ([]cas.Digest, error) {
	if tree == nil {
		return ds, nil // its root directory is named instead
	}
	b, err := cas.ReadAll(ctx, c.Store, cas.Digest{Hash: tree.Hash, Size: tree.SizeBytes}, maxTree)
	if errors.Is(err, cas.ErrMismatch) {
		return nil, fmt.Errorf("%w: %w", cas.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	t := new(repb.Tree)
	if err := proto.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("tree %s: %w: %w", tree.Hash, cas.ErrNotFound, err)
	}
	for _, dir := range append([]*repb.Directory{t.Root}, t.Children...) {
		for _, f := range dir.GetFiles() {
			if ds, err = appendDigest(ds, f.Digest); err != nil {
				return nil, fmt.Errorf("tree %s: %w: %w", tree.Hash, cas.ErrNotFound, err)
			}
		}
	}
	return ds, nil
}

// Put keeps a result. fault.Invalid: it names what is no digest or no relative path, or is too large.
func (c Cache) Put(ctx context.Context, k cas.ActionKey, r *repb.ActionResult) error {
	if r == nil {
		return fault.New(fault.Invalid, "result of %s: expected one", k.Key)
	}
	if _, err := outputs(r); err != nil {
		return fmt.Errorf("result of %s: %w", k.Key, err)
	}
	for _, f := range r.OutputFiles {
		if f.Path == "" || strings.HasPrefix(f.Path, "/") || strings.Contains(f.Path, "\x00") {
			return fault.New(fault.Invalid, "result of %s: output file %.200q: expected a relative path", k.Key, f.Path)
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return fault.With(fault.Invalid, err)
	}
	if len(b) == 0 { // a result that says nothing but success still is one
		b = []byte{4 << 3, 0} // exit_code, with its default
	}
	return c.Actions.PutAction(ctx, k, b)
}
