// Package disk keeps blobs in files of one folder, up to a bound: a durable cas.Store for one process.
//
//	DIR/lock                    held while the store is open
//	DIR/tmp/…                   blobs being received, files being removed; emptied at Open
//	DIR/blobs/0000002a/HASH-SIZE
//
// A blob is hashed while it is received, synced, renamed into the folder that is filled at present, and visible once that
// folder is synced too; blobs that are put at the same time share that sync. Folders are numbered, not named after hashes, so
// that there is one to sync. Which blob is where is in memory and read from the folders at Open.
//
// The least recently used blobs make room, both for the bound and when the disk is full. The order of use is in the files'
// modification times, kept to half a Lease. Reads are checked against the digest, and a blob that fails is dropped. All methods
// may be called concurrently.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config says where the blobs are and how many. Dir is required.
type Config struct {
	Dir      string        // made when missing
	MaxBytes int64         // disk space of the blobs, those being received included; 0 is 20 GiB
	MaxBlobs int           // their number, which bounds the memory for the index (some 200 bytes each); 0 is 4,000,000
	Lease    time.Duration // how long Missing protects what it found; 0 is 10 minutes
	Log      *slog.Logger  // nil logs nothing
	// Keep names the blobs that are never evicted, by calling keep for each. It is asked when room must be made, at most once
	// each half Lease; so that nothing is missed in between, a blob that was just put is then protected for a Lease too. When it
	// fails nothing is evicted. nil is none.
	Keep func(ctx context.Context, keep func(cas.Digest)) error
}

// Store is a cas.Store in a folder.
type Store struct {
	cfg   Config
	lock  *os.File
	index *index
	syncs dirSync
	kept  kept
	temp  atomic.Uint64 // numbers files in tmp
}

var _ cas.Store = (*Store)(nil)

// inMemory is up to how many bytes a blob is received into memory before it is written: its size is then known to be true,
// and it can be written again after room was made on a full disk.
const inMemory = 64 << 10

// Open opens the store in a folder, cleaning up what a crash left. A folder that another process has open is fault.Conflict.
func Open(cfg Config) (*Store, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 20 << 30
	}
	if cfg.MaxBlobs == 0 {
		cfg.MaxBlobs = 4_000_000
	}
	if cfg.Lease == 0 {
		cfg.Lease = 10 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg}
	for _, dir := range []string{cfg.Dir, s.path("tmp"), s.path("blobs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	var err error
	if s.lock, err = lockFile(s.path("lock")); err != nil {
		return nil, fault.New(fault.Conflict, "open blob store %s: another process has it open: %w", cfg.Dir, err)
	}
	if err := s.load(); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("open blob store %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// Close lets another process open the folder. Calls that are under way may fail.
func (s *Store) Close() error { return s.lock.Close() }

// Stats are a store's counts.
type Stats struct {
	Blobs   int   // kept
	Bytes   int64 // disk space they take, with that reserved for blobs being received
	Evicted int64 // blobs that made room, since Open
	Dropped int64 // blobs that were found corrupt or gone, since Open
}

// Stats returns the counts as they are now.
func (s *Store) Stats() Stats {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return Stats{Blobs: len(s.index.blobs), Bytes: s.index.used, Evicted: s.index.evicted, Dropped: s.index.dropped}
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, elem...)...)
}

func (s *Store) tempPath() string {
	return s.path("tmp", fmt.Sprintf("%d-%d", os.Getpid(), s.temp.Add(1)))
}

// Missing implements cas.Store.
func (s *Store) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	seen := make(map[cas.Digest]bool, len(ds))
	var missing []cas.Digest
	for i, d := range ds {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		if i%1000 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if seen[d] || d == cas.Empty {
			continue
		}
		seen[d] = true
		if _, ok := s.use(d, s.cfg.Lease); !ok {
			missing = append(missing, d)
		}
	}
	return missing, ctx.Err()
}

// use marks a blob as used now, protects it for a while, and says which file it is in, if it is there.
func (s *Store) use(d cas.Digest, lease time.Duration) (file string, ok bool) {
	file, save, ok := s.index.use(d, lease)
	if ok && save {
		now := time.Now()
		if err := os.Chtimes(s.path("blobs", file), now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.cfg.Log.Debug("keep time of use", "blob", d, "error", err)
		}
	}
	return file, ok
}

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if d == cas.Empty {
		return emptyFrom(offset)
	}
	file, ok := s.use(d, 0)
	if !ok {
		return nil, fmt.Errorf("get %s: %w", d, cas.ErrNotFound)
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	f, err := os.Open(s.path("blobs", file))
	if errors.Is(err, fs.ErrNotExist) {
		s.drop(d, file, err)
		return nil, fmt.Errorf("get %s: %w", d, cas.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", d, err)
	}
	return newReader(ctx, f, d, offset, func(err error) { s.drop(d, file, err) })
}

func emptyFrom(offset int64) (io.ReadCloser, error) {
	if offset != 0 {
		return nil, fmt.Errorf("get %s from %d: %w", cas.Empty, offset, cas.ErrRange)
	}
	return io.NopCloser(eof{}), nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// drop removes a blob that is gone or not what it should be, unless a sound one came in its place.
func (s *Store) drop(d cas.Digest, file string, why error) {
	trash := s.tempPath()
	if s.index.drop(d, file, func() { os.Rename(s.path("blobs", file), trash) }) {
		s.cfg.Log.Warn("blob dropped", "blob", d, "error", why)
		os.Remove(trash)
	}
}

// evict takes the blobs that the index gives up out of their folders. The renames are done while the index is locked, so that
// no blob put anew is hit; freeing the space, which may take long, is not.
func (s *Store) evict(take func(remove func(file string) error) int) int {
	var trash []string
	n := take(func(file string) error {
		t := s.tempPath()
		err := os.Rename(s.path("blobs", file), t)
		if isFull(err) { // not even a name in tmp has room
			return os.Remove(s.path("blobs", file))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		trash = append(trash, t)
		return nil
	})
	for _, t := range trash {
		if err := os.Remove(t); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.cfg.Log.Warn("remove evicted blob", "file", t, "error", err)
		}
	}
	return n
}
