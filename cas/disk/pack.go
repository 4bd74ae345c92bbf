package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pack is an append-only file of records. What is guarded is so by index.mu.
type pack struct {
	id   uint32
	path string
	f    *os.File

	size  int64 // bytes that are committed; guarded
	live  int64 // bytes of records that the index points at; guarded
	users int   // reads under way; guarded
	gone  bool  // removed: the last user closes the file; guarded

	sealed bool   // nothing is appended any more; guarded
	list   []byte // what the .list file will hold; the committer's alone until it is sealed
}

func packName(id uint32) string { return fmt.Sprintf("%08x.pack", id) }

// parsePackName reads what packName makes.
func parsePackName(name string) (uint32, bool) {
	hex, ok := strings.CutSuffix(name, ".pack")
	id, err := strconv.ParseUint(hex, 16, 32)
	return uint32(id), ok && err == nil && packName(uint32(id)) == name
}

// createPack begins a pack. Its name is on the disk when it returns.
func createPack(dir string, id uint32) (*pack, error) {
	p := &pack{id: id, path: filepath.Join(dir, packName(id)), size: packHeader}
	var err error
	if p.f, err = os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	_, err = p.f.Write(packMagic)
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		p.f.Close()
		os.Remove(p.path)
		return nil, err
	}
	return p, nil
}

// A sealed pack has a list of its records beside it, so that Open need not read the pack: the header of listMagic, the pack's
// size, then offset and record header of each, and a CRC-32C of all that.
var listMagic = []byte("outwork list 1\n\x00")

const listEntry = 8 + recordHeader

// note adds a record to the list.
func (p *pack) note(at int64, h header) {
	p.list = binary.LittleEndian.AppendUint64(p.list, uint64(at))
	p.list = append(p.list, recordMagic...)
	p.list = append(p.list, byte(h.kind), 0, 0, 0, 0, 0, 0, 0)
	p.list = binary.LittleEndian.AppendUint32(p.list, h.n)
	p.list = binary.LittleEndian.AppendUint64(p.list, uint64(h.stamp))
	p.list = append(p.list, h.key[:]...)
}

func (p *pack) listPath() string { return strings.TrimSuffix(p.path, ".pack") + ".list" }

// writeList writes the list and forgets it. Without one, Open reads the pack: nothing depends on it.
func (p *pack) writeList(temp string) error {
	b := append(bytes.Clone(listMagic), binary.LittleEndian.AppendUint64(nil, uint64(p.size))...)
	b = append(b, p.list...)
	p.list = nil
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	err := os.WriteFile(temp, b, 0o600)
	if err == nil {
		err = os.Rename(temp, p.listPath())
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// readList calls visit for each record that the list names, and says whether there is a sound list of just this pack.
func (p *pack) readList(visit func(at int64, h header)) bool {
	b, err := os.ReadFile(p.listPath())
	n := len(b) - len(listMagic) - 8 - 4
	if err != nil || n < 0 || n%listEntry != 0 || !bytes.Equal(b[:len(listMagic)], listMagic) ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) ||
		int64(binary.LittleEndian.Uint64(b[len(listMagic):])) != p.size {
		return false
	}
	for e := b[len(listMagic)+8 : len(b)-4]; len(e) > 0; e = e[listEntry:] {
		at := int64(binary.LittleEndian.Uint64(e))
		if h, ok := decodeHeader(e[8:listEntry]); ok && at >= packHeader && at+h.size() <= p.size {
			visit(at, h)
		}
	}
	return true
}

// openPack opens a pack that was found at start. last says that it is the one to go on with: it is cut behind its last sound
// record. A file that is no pack is fs.ErrInvalid.
func openPack(dir string, id uint32, last bool, visit func(p *pack, at int64, h header)) (*pack, error) {
	p := &pack{id: id, path: filepath.Join(dir, packName(id))}
	var err error
	if p.f, err = os.OpenFile(p.path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if err := p.load(last, func(at int64, h header) { visit(p, at, h) }); err != nil {
		p.f.Close()
		return nil, fmt.Errorf("pack %s: %w", p.path, err)
	}
	return p, nil
}

func (p *pack) load(last bool, visit func(at int64, h header)) error {
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	p.size = info.Size()
	start := make([]byte, packHeader)
	if _, err := p.f.ReadAt(start, 0); errors.Is(err, io.EOF) || err == nil && !bytes.Equal(start, packMagic) {
		return fs.ErrInvalid
	} else if err != nil {
		return err
	}
	if p.readList(visit) {
		p.sealed = true
		return nil
	}
	end, err := scan(p.f, packHeader, p.size, func(at int64, h header, _ []byte) error {
		p.note(at, h)
		visit(at, h)
		return nil
	})
	if err != nil || !last {
		return err
	}
	if end < p.size {
		err = p.f.Truncate(end)
	}
	p.size = end
	return err
}

// read returns a whole record's data, when it is still what was written.
func (p *pack) read(at int64, want header) ([]byte, bool, error) {
	b := make([]byte, want.size())
	if n, err := p.f.ReadAt(b, at); n < len(b) {
		if errors.Is(err, io.EOF) {
			return nil, false, nil
		}
		return nil, false, err
	}
	h, ok := decodeHeader(b)
	return b[recordHeader:], ok && h.kind == want.kind && h.n == want.n && h.key == want.key && sound(b), nil
}
