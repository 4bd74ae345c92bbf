package run

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// stamp is by what a file is known not to have changed. On systems that do not tell, the last two are 0.
type stamp struct {
	size, modified, changed int64 // nanoseconds since 1970
	inode                   uint64
}

// fresh is how long before its hashing a file must have changed last for the hash to be kept: a second change within the same tick of
// the file system's clock would not be seen.
const fresh = 50 * time.Millisecond

type hashed struct {
	stamp  stamp
	digest cas.Digest
}

// hashes remembers the digests of files between builds. A file of another build's time is hashed again.
type hashes struct {
	file string

	mu    sync.Mutex
	known map[string]hashed
	dirty bool
}

const hashesHeader = "outwork hashes 1"

// loadHashes reads what save has written. A file that is not there, or is broken, knows nothing.
func loadHashes(file string) *hashes {
	h := &hashes{file: file, known: map[string]hashed{}}
	f, err := os.Open(file)
	if err != nil {
		return h
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<10)
	if !lines.Scan() || lines.Text() != hashesHeader {
		return h
	}
	for lines.Scan() {
		if name, e, ok := parseHashed(lines.Text()); ok {
			h.known[name] = e
		}
	}
	return h
}

func parseHashed(line string) (name string, e hashed, ok bool) {
	f := strings.SplitN(line, " ", 6)
	if len(f) != 6 {
		return "", e, false
	}
	var errs [5]error
	e.stamp.size, errs[0] = strconv.ParseInt(f[0], 10, 64)
	e.stamp.modified, errs[1] = strconv.ParseInt(f[1], 10, 64)
	e.stamp.changed, errs[2] = strconv.ParseInt(f[2], 10, 64)
	e.stamp.inode, errs[3] = strconv.ParseUint(f[3], 10, 64)
	name, errs[4] = strconv.Unquote(f[5])
	e.digest = cas.Digest{Hash: f[4], Size: e.stamp.size}
	return name, e, errors.Join(errs[:]...) == nil && e.digest.Validate() == nil
}

// of returns a file's digest.
func (h *hashes) of(root *os.Root, p string, info fs.FileInfo) (cas.Digest, error) {
	s := stampOf(info)
	h.mu.Lock()
	e, ok := h.known[p]
	h.mu.Unlock()
	if ok && e.stamp == s {
		return e.digest, nil
	}
	began := time.Now()
	f, err := root.Open(filepath.FromSlash(p))
	if err != nil {
		return cas.Digest{}, err
	}
	defer f.Close()
	d, err := cas.OfReader(f)
	if err != nil {
		return d, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty = true
	if last := max(s.modified, s.changed); d.Size == s.size && began.UnixNano()-last > int64(fresh) {
		h.known[p] = hashed{s, d}
	} else {
		delete(h.known, p)
	}
	return d, nil
}

// save keeps what is known, if there is news. It is a cache: nothing is lost with it but time, so nothing is synced.
func (h *hashes) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dirty || h.file == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString(hashesHeader + "\n")
	for _, p := range slices.Sorted(maps.Keys(h.known)) {
		e := h.known[p]
		fmt.Fprintf(&b, "%d %d %d %d %s %q\n", e.stamp.size, e.stamp.modified, e.stamp.changed, e.stamp.inode, e.digest.Hash, p)
	}
	h.dirty = false
	return replace(h.file, []byte(b.String()))
}

// replace writes a file of a cache under a new name in place of what is there.
func replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.part")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
