package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/outwork-build/outwork/cas"
)

// Actions is a cas.ActionCache in memory. It is not bounded: for tests, and for programs that end. The zero value is empty.
type Actions struct {
	mu      sync.Mutex
	entries map[cas.ActionKey][]byte
}

var _ cas.ActionCache = (*Actions)(nil)

// GetAction implements cas.ActionCache.
func (a *Actions) GetAction(_ context.Context, k cas.ActionKey) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.entries[k]
	if !ok {
		return nil, fmt.Errorf("get action %q: %w", k.Key, cas.ErrNotFound)
	}
	return bytes.Clone(v), nil
}

// PutAction implements cas.ActionCache.
func (a *Actions) PutAction(_ context.Context, k cas.ActionKey, value []byte) error {
	if err := cas.CheckAction(k, value); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entries == nil {
		a.entries = map[cas.ActionKey][]byte{}
	}
	a.entries[k] = bytes.Clone(value)
	return nil
}

// DeleteAction implements cas.ActionCache.
func (a *Actions) DeleteAction(_ context.Context, k cas.ActionKey) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.entries, k)
	return nil
}
