package disk

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/outwork-build/outwork/cas"
)

var _ cas.ActionCache = (*Store)(nil)

// actionKey is what an entry is found by.
func actionKey(k cas.ActionKey) key {
	return sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(k.Space), k.Space, k.Key))
}

// GetAction implements cas.ActionCache.
func (s *Store) GetAction(ctx context.Context, k cas.ActionKey) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, ok := s.index.useAction(actionKey(k))
	if !ok {
		return nil, fmt.Errorf("get action %q: %w", k.Key, cas.ErrNotFound)
	}
	if p.save {
		s.commit.later(record{header: header{kind: used, key: p.key}})
	}
	b, err := s.readRecord(p)
	if err != nil {
		return nil, fmt.Errorf("get action %q: %w", k.Key, err)
	}
	return b, nil
}

// PutAction implements cas.ActionCache.
func (s *Store) PutAction(ctx context.Context, k cas.ActionKey, value []byte) error {
	if err := cas.CheckAction(k, value); err != nil {
		return err
	}
	if err := s.keepAction(ctx, actionKey(k), value); err != nil {
		return fmt.Errorf("put action %q: %w", k.Key, err)
	}
	return nil
}

// DeleteAction implements cas.ActionCache. That an entry is gone is on the disk too.
func (s *Store) DeleteAction(ctx context.Context, k cas.ActionKey) error {
	if !s.index.hasAction(actionKey(k)) {
		return ctx.Err()
	}
	if err := s.keepAction(ctx, actionKey(k), nil); err != nil {
		return fmt.Errorf("delete action %q: %w", k.Key, err)
	}
	return nil
}

// hasAction reports whether there is an entry.
func (x *index) hasAction(k key) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.actions[k]
	return ok && x.slot(i).kind == isAction
}

func (s *Store) keepAction(ctx context.Context, k key, value []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h := header{kind: action, n: uint32(len(value)), key: k}
	held := &reservation{key: k, size: h.size() + packHeader}
	if err := s.reserve(ctx, held); err != nil {
		return err
	}
	defer s.index.end(held)
	return full(s.makingRoom(ctx, held.size, func() error {
		return s.commit.append([]record{{header: h, data: value, held: held}}, true)
	}))
}
