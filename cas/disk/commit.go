package disk

import (
	"sync"
	"time"
)

// record is something to append, and what becomes of the index when it is on the disk.
type record struct {
	header
	data []byte
	held *reservation // ended when the record is published; nil has none
	// moved is where a record was that is copied: the copy counts only if that is still where the index finds it. nil is a new one.
	moved *place
}

// maxBatch is how many bytes gather for one commit before callers have to wait for the next.
const maxBatch = 8 << 20

// committer appends records to the pack that is filled at present: those that come while a commit runs share the next one.
type committer struct {
	s        *Store
	packSize int64 // a pack that has reached it is sealed

	mu    sync.Mutex
	next  *batch
	stamp int64    // of the youngest record
	lazy  []record // touches that go with the next batch

	running sync.Mutex // held while a batch is written; guards what is below
	active  *pack      // nil before the first record, and after one was sealed
	nextID  uint32
	buf     []byte
}

type batch struct {
	records []record
	bytes   int64
	sync    bool
	done    chan struct{}
	err     error
}

// append writes records and returns when they are on the disk, or, without sync, when the operating system has them. Either all
// are known afterwards or none of them (others of the batch may be).
func (c *committer) append(records []record, sync bool) error {
	b, leads := c.join(records, sync)
	if leads {
		c.running.Lock()
		c.mu.Lock()
		c.next = nil
		b.records = append(b.records, c.lazy...)
		c.lazy = nil
		c.mu.Unlock()
		b.err = c.write(b)
		c.running.Unlock()
		close(b.done)
	}
	<-b.done
	return b.err
}

// join adds records to the batch that gathers. leads says that the caller must write it.
func (c *committer) join(records []record, sync bool) (b *batch, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.next != nil && c.next.bytes >= maxBatch {
		full := c.next
		c.mu.Unlock()
		<-full.done
		c.mu.Lock()
	}
	if c.next == nil {
		c.next, leads = &batch{done: make(chan struct{})}, true
	}
	b = c.next
	for i := range records {
		if records[i].stamp == 0 {
			records[i].stamp = c.tick()
		}
		b.bytes += records[i].size()
	}
	b.records = append(b.records, records...)
	b.sync = b.sync || sync
	return b, leads
}

// tick returns the present time, later than ever before. The caller holds mu.
func (c *committer) tick() int64 {
	c.stamp = max(c.stamp+1, time.Now().UnixNano())
	return c.stamp
}

// maxLazy is how many touches wait for another's commit.
const maxLazy = 256

// later appends a touch with the next batch, or at once when many have gathered.
func (c *committer) later(r record) {
	c.mu.Lock()
	r.stamp = c.tick()
	c.lazy = append(c.lazy, r)
	full := len(c.lazy) >= maxLazy
	c.mu.Unlock()
	if full {
		c.flush()
	}
}

// flush writes the touches that wait. They may be lost: they tell only what was used when.
func (c *committer) flush() {
	if err := c.append(nil, false); err != nil {
		c.s.cfg.Log.Debug("keep times of use", "error", err)
	}
}

// write appends a batch, beginning new packs as they fill. The caller holds running.
func (c *committer) write(b *batch) error {
	for todo := b.records; len(todo) > 0; {
		if c.active == nil {
			p, err := createPack(c.s.path("packs"), c.nextID)
			if err != nil {
				return err
			}
			c.nextID++
			c.active = p
			c.s.index.addPack(p)
		}
		c.buf = c.buf[:0]
		n := 0
		for n < len(todo) && (n == 0 || c.active.size+int64(len(c.buf))+todo[n].size() <= c.packSize) {
			c.buf = appendRecord(c.buf, todo[n].header, todo[n].data)
			n++
		}
		if err := c.put(b.sync); err != nil {
			return err
		}
		c.note(todo[:n])
		c.s.index.publish(c.active, todo[:n], int64(len(c.buf)))
		if todo = todo[n:]; c.active.size >= c.packSize || len(todo) > 0 {
			c.seal()
		}
	}
	if cap(c.buf) > maxBatch/4 {
		c.buf = nil
	}
	return nil
}

// put writes the buffer behind what is committed. A pack whose sync failed is not appended to again: nobody knows what of it is
// on the disk.
func (c *committer) put(sync bool) error {
	_, err := c.active.f.WriteAt(c.buf, c.active.size)
	written := err == nil
	if written && sync {
		err = dataSync(c.active.f)
	}
	if err == nil {
		return nil
	}
	terr := c.active.f.Truncate(c.active.size)
	if terr != nil {
		c.s.cfg.Log.Warn("cut a pack after a failed write", "pack", c.active.path, "error", terr)
	}
	if written || terr != nil {
		c.seal()
	}
	return err
}

func (c *committer) note(records []record) {
	at := c.active.size
	for _, r := range records {
		c.active.note(at, r.header)
		at += r.size()
	}
}

// seal ends the active pack. The caller holds running.
func (c *committer) seal() {
	p := c.active
	if p == nil {
		return
	}
	c.active = nil
	if err := p.writeList(c.s.tempPath()); err != nil {
		c.s.cfg.Log.Debug("list of a pack not written: the next start reads the pack", "pack", p.path, "error", err)
	}
	c.s.removePacks(c.s.index.seal(p))
}

// sealActive ends the active pack if it is p, so that it can be compacted.
func (c *committer) sealActive(p *pack) {
	c.running.Lock()
	defer c.running.Unlock()
	if c.active == p {
		c.seal()
	}
}

// addPack makes a pack known.
func (x *index) addPack(p *pack) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.packs[p.id] = p
	x.used += p.size
}

// seal notes that a pack is full, and gives it up if nothing in it counts.
func (x *index) seal(p *pack) []*pack {
	x.mu.Lock()
	defer x.mu.Unlock()
	p.sealed = true
	return x.giveUp(p)
}

// publish makes records known that were just appended to p, n bytes in all.
func (x *index) publish(p *pack, records []record, n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := p.size
	p.size += n
	x.used += n
	for _, r := range records {
		if r.held != nil {
			x.ended(r.held)
		}
		x.publishOne(p, at, r)
		at += r.size()
	}
}

func (x *index) publishOne(p *pack, at int64, r record) {
	s := slot{key: r.key, size: int64(r.n), at: at, where: p.id, kind: inPack, saved: r.stamp, until: x.protected()}
	switch {
	case r.kind == touch || r.kind == used:
		return
	case r.kind == action && r.n == 0:
		s.kind = isDeleted
	case r.kind == action:
		s.kind = isAction
	}
	i, known := x.table(s.kind)[r.key]
	if r.moved != nil {
		if !known || x.slot(i).where != r.moved.where || x.slot(i).at != r.moved.at {
			return
		}
		old := x.slot(i)
		x.count(old, -1)
		old.where, old.at = p.id, at
		x.count(old, 1)
		return
	}
	if known && s.kind == inPack {
		return // the same bytes were put twice at once
	}
	if known {
		x.forget(i)
	}
	x.insert(s)
}
