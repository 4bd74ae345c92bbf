// Package disk keeps blobs and the action cache in one folder, up to a bound: a durable cas.Store and cas.ActionCache for one process.
//
//	DIR/lock                    held while the store is open
//	DIR/tmp/…                   blobs being received, files being removed; emptied at Open
//	DIR/packs/00000003.pack     small blobs and entries, appended; see record.go
//	DIR/packs/00000003.list     what is in a pack that is full
//	DIR/blobs/0000002a/HASH-SIZE  large blobs
//
// A blob is hashed while it is received. Small ones are appended to a pack: those that are put at the same time share one sync.
// A large one is written to a file, synced, renamed into the folder that is filled at present, and visible once that folder is synced
// too. Folders are numbered, not named after hashes, so that there is one to sync. Which blob is where is in memory, some 160 bytes
// each, and read from packs and folders at Open.
//
// The least recently used blobs make room, both for the bound and when the disk is full (see room.go). The order of use is in
// the packs and in the files' modification times, kept to half a Lease. What was changed on the disk is not served: a record has a
// checksum; a file is hashed on its first read since Open and whenever its time is not the one the store gave it. It is dropped then.
// All methods may be called concurrently.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config says where the blobs are and how many. Dir is required.
type Config struct {
	Dir      string        // made when missing
	MaxBytes int64         // disk space of all that is kept, what is being received and garbage in packs included; 0 is 20 GiB
	MaxBlobs int           // number of blobs and entries, which bounds the memory for the index; 0 is 4,000,000
	Lease    time.Duration // how long Missing protects what it found; 0 is 10 minutes
	Log      *slog.Logger  // nil logs nothing
	// Keep names the blobs that are never evicted, by calling keep for each. It is asked when room must be made, at most once
	// each half Lease; so that nothing is missed in between, a blob that was just put is then protected for a Lease too. When it
	// fails nothing is evicted. nil is none.
	Keep func(ctx context.Context, keep func(cas.Digest)) error
}

// Store is a cas.Store and a cas.ActionCache in a folder.
type Store struct {
	cfg    Config
	lock   *os.File
	index  *index
	commit *committer
	syncs  dirSync
	kept   kept
	temp   atomic.Uint64 // numbers files in tmp

	clearing sync.Mutex // held by the one who makes room
}

var (
	_ cas.Batcher = (*Store)(nil)
	_ cas.Finder  = (*Store)(nil)
	_ cas.Adder   = (*Store)(nil)
)

// inMemory is up to how many bytes a blob is received into memory and appended to a pack.
const inMemory = 64 << 10

// packSize is what a pack grows to: a 128th of the store, so that what is given up comes back in small parts.
func packSize(maxBytes int64) int64 { return min(max(maxBytes/128, 4<<10), 256<<20) }

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
	s.commit = &committer{s: s, packSize: packSize(cfg.MaxBytes)}
	for _, dir := range []string{cfg.Dir, s.path("tmp"), s.path("blobs"), s.path("packs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	var err error
	if s.lock, err = lockFile(s.path("lock")); err != nil {
		return nil, fault.New(fault.Conflict, "open blob store %s: another process has it open: %w", cfg.Dir, err)
	}
	if err := s.load(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open blob store %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// Close lets another process open the folder. Calls that are under way may fail.
func (s *Store) Close() error {
	s.commit.flush()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	s.index.mu.Lock()
	for _, p := range s.index.packs {
		p.f.Close()
	}
	s.index.mu.Unlock()
	return s.lock.Close()
}

// Stats are a store's counts.
type Stats struct {
	Blobs   int   // kept
	Actions int   // entries of the action cache
	Packs   int   // files that small blobs and entries are in
	Bytes   int64 // disk space of all that, with garbage in packs and what is reserved for blobs being received
	Garbage int64 // of it, bytes in packs that nothing counts on any more
	Evicted int64 // blobs and entries that made room, since Open
	Dropped int64 // blobs and entries that were found corrupt or gone, since Open
}

// Stats returns the counts as they are now.
func (s *Store) Stats() Stats {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	st := Stats{Blobs: len(x.blobs), Actions: len(x.actions), Packs: len(x.packs), Bytes: x.used, Evicted: x.evicted, Dropped: x.dropped}
	for _, p := range x.packs {
		st.Garbage += p.size - p.live - packHeader
	}
	return st
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
	var touches []record
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
		p, ok := s.index.use(d, s.cfg.Lease, false)
		switch {
		case !ok:
			missing = append(missing, d)
		case p.save && p.kind == inPack:
			touches = append(touches, record{header: header{kind: touch, key: p.key}})
		default:
			s.saveUse(p)
		}
	}
	if len(touches) > 0 { // at once, so that what is protected is so after a crash of this process too
		if err := s.commit.append(touches, false); err != nil {
			s.cfg.Log.Debug("keep times of use", "error", err)
		}
	}
	return missing, ctx.Err()
}

// Find implements cas.Finder.
func (s *Store) Find(_ context.Context, hash string) (cas.Digest, error) {
	d := cas.Digest{Hash: hash}
	if err := d.Validate(); err != nil {
		return d, err
	}
	if hash == cas.Empty.Hash {
		return cas.Empty, nil
	}
	size, ok := s.index.size(keyOf(d))
	if !ok {
		return d, fmt.Errorf("find %s: %w", hash, cas.ErrNotFound)
	}
	d.Size = size
	return d, nil
}

// saveUse tells the disk when a blob was used, if it is time for that.
func (s *Store) saveUse(p place) {
	if !p.save {
		return
	}
	if p.kind != inFile {
		s.commit.later(record{header: header{kind: touch, key: p.key}})
		return
	}
	now := fileTime()
	file := s.path("blobs", filePath(p.where, p.key, p.size))
	err := s.retime(file, p, now)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Log.Debug("keep time of use", "file", file, "error", err)
	}
}

// fileTime is the present time as file systems keep it. Set by hand it tells the store's own doing from that of others: the times
// that come with a write are those of the system's last tick.
func fileTime() time.Time { return time.Now().Truncate(time.Microsecond) }

// retime gives a file a new time, unless somebody else changed the file: its time then still says so.
func (s *Store) retime(file string, p place, now time.Time) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if p.sound && info.ModTime().UnixNano() != p.saved {
		return nil
	}
	if err := os.Chtimes(file, now, now); err != nil {
		return err
	}
	s.index.setTime(p.key, now)
	return nil
}

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if d == cas.Empty {
		return emptyFrom(offset)
	}
	p, ok := s.index.use(d, 0, true)
	if !ok {
		return nil, fmt.Errorf("get %s: %w", d, cas.ErrNotFound)
	}
	s.saveUse(p)
	r, err := s.get(ctx, p, d, offset)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", d, err)
	}
	return r, nil
}

// get opens a blob that is known.
func (s *Store) get(ctx context.Context, p place, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset > d.Size {
		if p.pack != nil {
			s.index.release(p.pack)
		}
		return nil, fmt.Errorf("from %d: %w", offset, cas.ErrRange)
	}
	if p.kind == inPack {
		b, err := s.readRecord(p)
		if errors.Is(err, cas.ErrMismatch) {
			return failed{fmt.Errorf("get %s: %w", d, err)}, nil
		}
		if err != nil {
			return nil, err
		}
		return newBytes(b[offset:]), nil
	}
	r, err := s.open(ctx, p, d, offset)
	if errors.Is(err, fs.ErrNotExist) {
		s.drop(p, err)
		return nil, cas.ErrNotFound
	}
	return r, err
}

func emptyFrom(offset int64) (io.ReadCloser, error) {
	if offset != 0 {
		return nil, fmt.Errorf("get %s from %d: %w", cas.Empty, offset, cas.ErrRange)
	}
	return io.NopCloser(eof{}), nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// drop removes a blob or an entry that is gone or not what it should be, unless a sound one came in its place.
func (s *Store) drop(p place, why error) {
	trash := s.tempPath()
	if s.index.drop(p, func() { os.Rename(s.path("blobs", filePath(p.where, p.key, p.size)), trash) }) {
		s.cfg.Log.Warn("blob dropped", "blob", fmt.Sprintf("%x", p.key), "error", why)
		os.Remove(trash)
	}
}
