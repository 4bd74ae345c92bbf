package disk

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
)

const (
	block      = 4096 // a file's size is counted in whole blocks
	folderSize = 4096 // blobs put into one folder before the next is begun
	chunkSize  = 1024 // slots that are allocated at once
)

// index knows which blobs and entries are kept, where, and in what order they were used. It touches no files itself: it calls
// remove, under its lock, for files that are to go.
type index struct {
	maxBytes int64
	maxBlobs int
	lease    time.Duration
	protect  bool // blobs that are put are protected for a lease

	mu      sync.Mutex
	used    int64 // disk space of files, packs and reservations
	blobs   map[key]uint32
	actions map[key]uint32
	slots   [][]slot // in chunks, so that growing copies nothing
	free    uint32   // the first free slot, linked by next
	fresh   uint32   // slots from here on were never used
	first   uint32   // the most recently used slot; 0 is none
	last    uint32   // the least recently used
	packs   map[uint32]*pack
	pending map[key]int
	kept    map[key]struct{} // never evicted
	held    int              // number of reservations
	seq     int              // number of the folder that is filled
	filled  int              // blobs put into it
	made    bool
	evicted int64 // blobs and entries that made room
	dropped int64 // blobs and entries that were corrupt or gone
}

// slot is what is known of a blob or an entry: some 100 bytes, and a map's entry of 36.
type slot struct {
	key        key
	size       int64 // bytes of the blob or the entry
	at         int64 // of its record in the pack
	until      int64 // protected until then, in ns since 1970
	saved      int64 // last use as the disk tells it, likewise; also the time of a file that was not written to since
	where      uint32
	prev, next uint32
	kind       slotKind
	sound      bool // a file's bytes were checked since Open
}

type slotKind uint8

const (
	inFile    slotKind = iota // a blob; where is the folder's number
	inPack                    // a blob; where is the pack's
	isAction                  // an entry in a pack
	isDeleted                 // an entry that was deleted: hides older records of it
)

// header is what the record of a slot says, but for the stamp.
func (s *slot) header() header {
	k := blob
	if s.kind >= isAction {
		k = action
	}
	return header{kind: k, n: uint32(s.size), key: s.key}
}

// digest is that of a slot's blob.
func (s *slot) digest() cas.Digest {
	return cas.Digest{Hash: hex.EncodeToString(s.key[:]), Size: s.size}
}

func newIndex(cfg Config) *index {
	return &index{maxBytes: cfg.MaxBytes, maxBlobs: cfg.MaxBlobs, lease: cfg.Lease, protect: cfg.Keep != nil, fresh: 1,
		blobs: map[key]uint32{}, actions: map[key]uint32{}, packs: map[uint32]*pack{}, pending: map[key]int{}}
}

// space is what a file of so many bytes takes.
func space(size int64) int64 { return (size + block - 1) / block * block }

func keyOf(d cas.Digest) (k key) {
	hex.Decode(k[:], []byte(d.Hash)) // a valid digest
	return k
}

func fileName(k key, size int64) string { return fmt.Sprintf("%x-%d", k, size) }

func folderName(seq int) string { return fmt.Sprintf("%08x", seq) }

func filePath(folder uint32, k key, size int64) string {
	return filepath.Join(folderName(int(folder)), fileName(k, size))
}

// slot returns slot i. The caller holds mu.
func (x *index) slot(i uint32) *slot { return &x.slots[i/chunkSize][i%chunkSize] }

// table returns where slots of a kind are found.
func (x *index) table(k slotKind) map[key]uint32 {
	if k >= isAction {
		return x.actions
	}
	return x.blobs
}

// insert makes a slot known, as the most recently used. The caller holds mu.
func (x *index) insert(s slot) {
	i := x.free
	if i != 0 {
		x.free = x.slot(i).next
	} else {
		i = x.fresh
		x.fresh++
		if int(i/chunkSize) == len(x.slots) {
			x.slots = append(x.slots, make([]slot, chunkSize))
		}
	}
	*x.slot(i) = s
	x.table(s.kind)[s.key] = i
	x.link(i)
	x.count(&s, 1)
}

// count adds a slot's space to what is in use, or takes it off. The caller holds mu.
func (x *index) count(s *slot, sign int64) {
	if s.kind == inFile {
		x.used += sign * space(s.size)
	} else if p := x.packs[s.where]; p != nil {
		p.live += sign * s.header().size()
	}
}

// link makes slot i the most recently used.
func (x *index) link(i uint32) {
	s := x.slot(i)
	s.prev, s.next = 0, x.first
	if x.first != 0 {
		x.slot(x.first).prev = i
	} else {
		x.last = i
	}
	x.first = i
}

func (x *index) unlink(i uint32) {
	s := x.slot(i)
	if s.prev != 0 {
		x.slot(s.prev).next = s.next
	} else {
		x.first = s.next
	}
	if s.next != 0 {
		x.slot(s.next).prev = s.prev
	} else {
		x.last = s.prev
	}
}

// forget removes slot i. The caller holds mu.
func (x *index) forget(i uint32) {
	s := x.slot(i)
	x.unlink(i)
	delete(x.table(s.kind), s.key)
	x.count(s, -1)
	*s = slot{next: x.free}
	x.free = i
}

// find returns the slot of a blob, if it is there with that size. The caller holds mu.
func (x *index) find(k key, size int64) (i uint32, ok bool) {
	if i, ok = x.blobs[k]; !ok {
		return 0, false
	}
	return i, x.slot(i).size == size
}

// size returns a blob's size, if it is there.
func (x *index) size(k key) (int64, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.blobs[k]
	if !ok {
		return 0, false
	}
	return x.slot(i).size, true
}

// place is a copy of a slot, and the pack that it names, which is held for the caller.
type place struct {
	slot
	pack *pack
	save bool // the time of use should go to the disk
}

// use marks a blob as used and protects it. With hold the pack is held until release.
func (x *index) use(d cas.Digest, lease time.Duration, hold bool) (p place, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.find(keyOf(d), d.Size)
	if !ok {
		return p, false
	}
	return x.touch(i, lease, hold), true
}

// useAction is use for an entry. It holds the pack.
func (x *index) useAction(k key) (p place, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.actions[k]
	if !ok || x.slot(i).kind == isDeleted {
		return p, false
	}
	return x.touch(i, 0, true), true
}

// touch marks slot i as used. The caller holds mu.
func (x *index) touch(i uint32, lease time.Duration, hold bool) (p place) {
	x.unlink(i)
	x.link(i)
	s, now := x.slot(i), time.Now().UnixNano()
	s.until = max(s.until, now+int64(lease))
	before, since := s.saved, int64(x.lease/2)
	if s.kind != inFile {
		since = max(since, int64(time.Second)) // what is told takes space
	}
	if p.save = now-s.saved > since; p.save {
		s.saved = now
	}
	if p.slot = *s; p.save && s.kind == inFile {
		p.saved = before // what the file says until the caller has changed it
	}
	if s.kind != inFile && hold {
		p.pack = x.packs[s.where]
		p.pack.users++
	}
	return p
}

// release ends the use of a pack.
func (x *index) release(p *pack) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.users--; p.users == 0 && p.gone {
		p.f.Close()
	}
}

// trusted reports whether a file's bytes were checked since Open and its time is still the one that is known.
func (x *index) trusted(k key, modified time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.blobs[k]
	return ok && x.slot(i).sound && x.slot(i).saved == modified.UnixNano()
}

// proven notes that a file's bytes were checked, and that it had this time all the while.
func (x *index) proven(k key, modified time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i, ok := x.blobs[k]; ok && x.slot(i).kind == inFile {
		x.slot(i).sound, x.slot(i).saved = true, modified.UnixNano()
	}
}

// setTime notes the time that a file has been given.
func (x *index) setTime(k key, t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i, ok := x.blobs[k]; ok && x.slot(i).kind == inFile {
		x.slot(i).saved = t.UnixNano()
	}
}

// reservation is space that was taken for something that is being put. Until it ends, that blob is not evicted.
type reservation struct {
	key   key
	size  int64
	ended bool // guarded by index.mu
}

// name gives a reservation the key that was not known when it was made.
func (x *index) name(r *reservation, k key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pending[r.key]--; x.pending[r.key] == 0 {
		delete(x.pending, r.key)
	}
	r.key = k
	x.pending[k]++
}

// reserve takes space, if it is there.
func (x *index) reserve(r *reservation) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.used+r.size > x.maxBytes || len(x.blobs)+len(x.actions)+x.held >= x.maxBlobs {
		return false
	}
	x.used += r.size
	x.held++
	x.pending[r.key]++
	return true
}

// end gives the space of a reservation back, unless that was done before.
func (x *index) end(r *reservation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended(r)
}

// ended is end for who holds mu.
func (x *index) ended(r *reservation) {
	if r.ended {
		return
	}
	r.ended = true
	x.used -= r.size
	x.held--
	if x.pending[r.key]--; x.pending[r.key] == 0 {
		delete(x.pending, r.key)
	}
}

// keep says anew which blobs are never evicted.
func (x *index) keep(ds map[key]struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = ds
}

// add makes a blob known that is in a file, in place of its reservation. When it was known already, extra says that its file is
// not the one that is needed.
func (x *index) add(r *reservation, size int64, folder uint32, modified time.Time) (extra bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended(r)
	if i, ok := x.blobs[r.key]; ok {
		s := x.slot(i)
		return s.kind != inFile || s.where != folder
	}
	x.insert(slot{key: r.key, size: size, where: folder, kind: inFile, saved: modified.UnixNano(), until: x.protected(), sound: true})
	return false
}

// protected is until when a blob that is put now may not go.
func (x *index) protected() int64 {
	if !x.protect {
		return 0
	}
	return time.Now().Add(x.lease).UnixNano()
}

// drop forgets what a place says, and calls remove under the lock if that is a file. It reports whether it did: not when it is
// kept elsewhere by now, or is just being put.
func (x *index) drop(p place, remove func()) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.table(p.kind)[p.key]
	if !ok {
		return false
	}
	if s := x.slot(i); s.kind != p.kind || s.where != p.where || s.at != p.at || s.kind == inFile && x.pending[p.key] > 0 {
		return false
	}
	if p.kind == inFile {
		remove()
	}
	x.forget(i)
	if p.kind != isDeleted {
		x.dropped++
	}
	return true
}

// folder returns where the next file goes. fresh says that the folder has yet to be made (more than one may hear it).
func (x *index) folder() (number uint32, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.filled >= folderSize {
		x.seq, x.filled, x.made = x.seq+1, 0, false
	}
	x.filled++
	return uint32(x.seq), !x.made
}

func (x *index) folderMade(number uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.made = x.made || int(number) == x.seq
}
