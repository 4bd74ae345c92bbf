package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
)

// HostKeyFile keeps host keys in a file, or only in memory. All methods may be called concurrently; one process uses a file.
type HostKeyFile struct {
	path string // "" is memory

	mu   sync.Mutex
	keys map[string]HostKey // by address; guarded by mu
}

var _ HostKeys = (*HostKeyFile)(nil)

// NewHostKeyFile opens a file of host keys, which need not be there yet; with path "" they are in memory only.
func NewHostKeyFile(path string) (*HostKeyFile, error) {
	f := &HostKeyFile{path: path, keys: map[string]HostKey{}}
	if path == "" {
		return f, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &f.keys)
	}
	if err != nil {
		return nil, fmt.Errorf("host keys: %s: %w", path, err)
	}
	return f, nil
}

// HostKey implements HostKeys.
func (f *HostKeyFile) HostKey(_ context.Context, address string) (HostKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.keys[address]
	if !ok {
		return k, fault.New(fault.NotFound, "host key of %s: the host was never seen", address)
	}
	return k, nil
}

// PutHostKey implements HostKeys. The key is on disk when it returns.
func (f *HostKeyFile) PutHostKey(_ context.Context, k HostKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, had := f.keys[k.Address]
	f.keys[k.Address] = k
	if err := f.write(); err != nil {
		delete(f.keys, k.Address)
		if had {
			f.keys[k.Address] = before
		}
		return fmt.Errorf("host keys: %w", err)
	}
	return nil
}

// write replaces the file. mu is held.
func (f *HostKeyFile) write() error {
	if f.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(f.keys, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(f.path, append(b, '\n'))
}
