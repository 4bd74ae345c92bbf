package disk

import (
	"container/list"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
)

const (
	block      = 4096 // a file's size is counted in whole blocks
	folderSize = 4096 // blobs put into one folder before the next is begun
)

// index knows which blobs are kept and in what order they were used. It touches no files itself: it calls remove, under its
// lock, for what is to go.
type index struct {
	maxBytes int64
	maxBlobs int
	lease    time.Duration
	protect  bool // blobs that are put are protected for a lease

	mu      sync.Mutex
	used    int64 // disk space of blobs and reservations
	blobs   map[cas.Digest]*list.Element
	order   *list.List // of *entry, the most recently used first
	pending map[cas.Digest]int
	kept    map[cas.Digest]struct{} // never evicted
	held    int                     // number of reservations
	seq     int                     // number of the folder that is filled
	filled  int                     // blobs put into it
	made    bool
	evicted int64 // blobs that made room
	dropped int64 // blobs that were corrupt or gone
}

type entry struct {
	digest cas.Digest
	file   string    // below blobs
	until  time.Time // protected until then
	saved  time.Time // last use as the file's time tells it
}

func newIndex(cfg Config) *index {
	return &index{maxBytes: cfg.MaxBytes, maxBlobs: cfg.MaxBlobs, lease: cfg.Lease, protect: cfg.Keep != nil,
		blobs: map[cas.Digest]*list.Element{}, order: list.New(), pending: map[cas.Digest]int{}}
}

func space(d cas.Digest) int64 { return (d.Size + block - 1) / block * block }

func fileName(d cas.Digest) string { return fmt.Sprintf("%s-%d", d.Hash, d.Size) }

func folderName(seq int) string { return fmt.Sprintf("%08x", seq) }

// use marks a blob as used and protects it. save says that the time of use should go to its file.
func (x *index) use(d cas.Digest, lease time.Duration) (file string, save, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.blobs[d]
	if !ok {
		return "", false, false
	}
	x.order.MoveToFront(e)
	b, now := e.Value.(*entry), time.Now()
	if until := now.Add(lease); until.After(b.until) {
		b.until = until
	}
	if save = now.Sub(b.saved) > x.lease/2; save {
		b.saved = now
	}
	return b.file, save, true
}

// reserve takes the space for a blob, evicting others. Until release, that digest is not evicted.
func (x *index) reserve(d cas.Digest, remove func(string) error) (evicted int, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if space(d) > x.maxBytes {
		return 0, false
	}
	evicted = x.evict(func() bool { return x.fitsNow(d) }, remove)
	if !x.fitsNow(d) {
		return evicted, false
	}
	x.used += space(d)
	x.held++
	x.pending[d]++
	return evicted, true
}

// fits reports whether a blob has room without any other going.
func (x *index) fits(d cas.Digest) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.fitsNow(d)
}

func (x *index) fitsNow(d cas.Digest) bool {
	return x.used+space(d) <= x.maxBytes && len(x.blobs)+x.held < x.maxBlobs
}

// keep says anew which blobs are never evicted.
func (x *index) keep(ds map[cas.Digest]struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = ds
}

// release ends a reservation. kept says that add turned it into a blob, which has the space from now on.
func (x *index) release(d cas.Digest, kept bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !kept {
		x.used -= space(d)
	}
	x.held--
	if x.pending[d]--; x.pending[d] == 0 {
		delete(x.pending, d)
	}
}

// shrink evicts at least size bytes and returns the number of blobs that went.
func (x *index) shrink(size int64, remove func(string) error) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	goal := x.used - size
	return x.evict(func() bool { return x.used <= goal }, remove)
}

// fit evicts what is over the bounds, after they were made narrower.
func (x *index) fit(remove func(string) error) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.evict(func() bool { return x.used <= x.maxBytes && len(x.blobs) <= x.maxBlobs }, remove)
}

// evict removes blobs from the far end of the order until enough is true. The caller holds mu.
func (x *index) evict(enough func() bool, remove func(string) error) (n int) {
	now := time.Now()
	for e := x.order.Back(); e != nil && !enough(); {
		b, prev := e.Value.(*entry), e.Prev()
		_, kept := x.kept[b.digest]
		if !kept && !b.until.After(now) && x.pending[b.digest] == 0 && remove(b.file) == nil {
			x.forget(e)
			x.evicted++
			n++
		}
		e = prev
	}
	return n
}

func (x *index) forget(e *list.Element) {
	b := x.order.Remove(e).(*entry)
	delete(x.blobs, b.digest)
	x.used -= space(b.digest)
}

// add makes a blob known whose space is reserved. When it was known already it is not kept, and extra says that its file is
// not the one that is needed.
func (x *index) add(d cas.Digest, file string) (kept, extra bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.blobs[d]; ok {
		return false, e.Value.(*entry).file != file
	}
	b := &entry{digest: d, file: file, saved: time.Now()}
	if x.protect {
		b.until = b.saved.Add(x.lease)
	}
	x.insert(b)
	return true, false
}

func (x *index) insert(b *entry) { x.blobs[b.digest] = x.order.PushFront(b) }

// drop forgets a blob that is kept in file, and calls remove under the lock. It reports whether it did: not when the blob is
// kept elsewhere by now, or is just being put.
func (x *index) drop(d cas.Digest, file string, remove func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.blobs[d]
	if !ok || e.Value.(*entry).file != file || x.pending[d] > 0 {
		return false
	}
	remove()
	x.forget(e)
	x.dropped++
	return true
}

// folder returns where the next blob goes. fresh says that the folder has yet to be made (more than one may hear it).
func (x *index) folder() (name string, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.filled >= folderSize {
		x.seq, x.filled, x.made = x.seq+1, 0, false
	}
	x.filled++
	return folderName(x.seq), !x.made
}

func (x *index) folderMade(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.made = x.made || name == folderName(x.seq)
}

// load makes a blob known that was found at start; of two files of one blob the second is not needed and returned.
func (x *index) load(d cas.Digest, folder string, used time.Time) (extra bool) {
	if _, ok := x.blobs[d]; ok {
		return true
	}
	now := time.Now()
	until := used.Add(x.lease)
	if until.After(now.Add(x.lease)) { // a clock that jumped protects nothing for ever
		until = now.Add(x.lease)
	}
	x.insert(&entry{digest: d, file: filepath.Join(folder, fileName(d)), until: until, saved: used})
	x.used += space(d)
	return false
}
