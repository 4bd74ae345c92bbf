package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

const (
	// minGrace is what a shim takes from TERM to KILL when a lease runs out (5 s), and a second for clocks that run unlike.
	minGrace = 6 * time.Second
	// ttlFile, in the data folder, keeps the longest TTL that an open lease can have been opened with.
	ttlFile = "lease-ttl"
)

// openedWith returns the TTL that the queue counts with: the configured one, or the longer one of an earlier start while leases are
// open that can have been opened with that. A machine keeps the TTL that its lease was opened with; giving its work out again after
// a shorter one would let two attempts run at once. It is written down before a lease can be opened with it.
func openedWith(ctx context.Context, dir string, ttl time.Duration, load func(context.Context) ([]queue.Item, []queue.LeaseRow, error)) (time.Duration, error) {
	before, err := readTTL(dir)
	if err != nil || before == ttl {
		return ttl, err
	}
	if before > ttl {
		_, rows, err := load(ctx)
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			if r.State == queue.LeaseActive || r.State == queue.LeaseHeld {
				return before, nil
			}
		}
	}
	return ttl, writeTTL(dir, ttl)
}

// readTTL is 0 when nothing was written yet.
func readTTL(dir string) (time.Duration, error) {
	path := filepath.Join(dir, ttlFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Invalid, "%s: %q: expected a duration: write the longest --lease-ttl into it that this controller has run with", path, b)
	}
	return d, nil
}

func writeTTL(dir string, ttl time.Duration) error {
	return durable.WriteFile(filepath.Join(dir, ttlFile), []byte(ttl.String()+"\n"))
}
