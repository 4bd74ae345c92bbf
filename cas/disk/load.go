package disk

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// load empties tmp and reads the index from packs and folders. Files that no blob can be in are removed.
func (s *Store) load() error {
	if err := s.emptyTemp(); err != nil {
		return err
	}
	s.index = newIndex(s.cfg)
	if err := s.loadPacks(); err != nil {
		return err
	}
	if err := s.loadFolders(); err != nil {
		return err
	}
	s.index.order()
	if s.cfg.Keep == nil { // else the first Put makes room: who knows what is kept may not be up yet
		s.clearing.Lock()
		for short, many := s.index.over(0); short > 0 || many > 1; short, many = s.index.over(0) {
			if !s.makeRoom(short, max(0, many-1)) {
				break
			}
		}
		s.clearing.Unlock()
	}
	st := s.Stats()
	s.cfg.Log.Info("blob store opened", "blobs", st.Blobs, "actions", st.Actions, "packs", st.Packs, "bytes", st.Bytes)
	return nil
}

func (s *Store) emptyTemp() error {
	left, err := os.ReadDir(s.path("tmp"))
	for _, e := range left {
		if err == nil {
			err = os.RemoveAll(s.path("tmp", e.Name()))
		}
	}
	return err
}

// loadPacks opens the packs in the order in which they were written. The last one is gone on with unless it is sealed.
func (s *Store) loadPacks() error {
	files, err := os.ReadDir(s.path("packs"))
	if err != nil {
		return err
	}
	var ids []uint32
	for _, f := range files {
		if id, ok := parsePackName(f.Name()); ok {
			ids = append(ids, id)
		} else if !strings.HasSuffix(f.Name(), ".list") {
			s.cfg.Log.Warn("not a pack of blobs, left alone", "name", f.Name())
		}
	}
	slices.Sort(ids)
	for i, id := range ids {
		s.commit.nextID = id + 1
		last := i == len(ids)-1
		p, err := openPack(s.path("packs"), id, last, s.index.loadRecord)
		if errors.Is(err, fs.ErrInvalid) {
			s.cfg.Log.Warn("not a pack, removed", "error", err)
			if err := os.Remove(s.path("packs", packName(id))); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		s.index.addPack(p)
		if p.sealed {
			continue
		}
		if last {
			s.commit.active = p
		} else {
			p.sealed = true
			if err := p.writeList(s.tempPath()); err != nil {
				s.cfg.Log.Debug("list of a pack not written: the next start reads the pack", "pack", p.path, "error", err)
			}
		}
	}
	return nil
}

// loadRecord makes a record known that was found at start. Until order, until holds the stamp of the record that counts.
func (x *index) loadRecord(p *pack, at int64, h header) {
	s := slot{key: h.key, size: int64(h.n), at: at, where: p.id, kind: inPack, saved: h.stamp, until: h.stamp}
	switch h.kind {
	case touch, used:
		table := x.blobs
		if h.kind == used {
			table = x.actions
		}
		if i, ok := table[h.key]; ok {
			x.slot(i).saved = max(x.slot(i).saved, h.stamp)
		}
		return
	case action:
		s.kind = isAction
		if h.n == 0 {
			s.kind = isDeleted
		}
	}
	x.packs[p.id] = p // it is being opened: what counts in it is counted
	if i, ok := x.table(s.kind)[h.key]; ok {
		if x.slot(i).until > h.stamp {
			return
		}
		s.saved = max(s.saved, x.slot(i).saved)
		x.forget(i)
	}
	x.insert(s)
}

func (s *Store) loadFolders() error {
	folders, err := os.ReadDir(s.path("blobs"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		seq, err := strconv.ParseUint(folder.Name(), 16, 31)
		if err != nil || !folder.IsDir() {
			s.cfg.Log.Warn("not a folder of blobs, left alone", "name", folder.Name())
			continue
		}
		s.index.seq = max(s.index.seq, int(seq)+1)
		if err := s.loadFolder(folder.Name(), uint32(seq)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadFolder(folder string, number uint32) error {
	files, err := os.ReadDir(s.path("blobs", folder))
	if err != nil {
		return err
	}
	kept := 0
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			return err
		}
		name := filepath.Join(folder, file.Name())
		d, err := cas.ParseDigest(strings.Replace(file.Name(), "-", "/", 1))
		bad := err != nil || !info.Mode().IsRegular() || info.Size() != d.Size || fileName(keyOf(d), d.Size) != file.Name()
		if bad {
			s.cfg.Log.Warn("file cannot be the blob it is named after, removed", "file", name, "size", info.Size())
		}
		if bad || !s.index.loadFile(keyOf(d), d.Size, number, info.ModTime()) {
			if err := os.RemoveAll(s.path("blobs", name)); err != nil {
				return err
			}
			continue
		}
		kept++
	}
	if kept == 0 {
		return os.Remove(s.path("blobs", folder))
	}
	return nil
}

// loadFile makes a blob known that was found in a file at start. It says false of a file that is not needed.
func (x *index) loadFile(k key, size int64, folder uint32, modified time.Time) bool {
	if _, ok := x.blobs[k]; ok {
		return false
	}
	x.insert(slot{key: k, size: size, where: folder, kind: inFile, saved: modified.UnixNano()})
	return true
}

// order puts what was found at start into the order of its use, and protects what was protected.
func (x *index) order() {
	var all []uint32
	for i := x.first; i != 0; i = x.slot(i).next {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b uint32) int { return cmp.Compare(x.slot(a).saved, x.slot(b).saved) })
	x.first, x.last = 0, 0
	now := time.Now()
	for _, i := range all {
		x.link(i)
		s := x.slot(i)
		s.until = min(s.saved+int64(x.lease), now.Add(x.lease).UnixNano()) // a clock that jumped protects nothing for ever
	}
}
