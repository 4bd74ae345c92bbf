package disk

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// found is a blob's file at start.
type found struct {
	digest cas.Digest
	folder string
	used   time.Time
}

// load empties tmp and reads the index from the folders. Files that no blob can be in are removed.
func (s *Store) load() error {
	if err := s.emptyTemp(); err != nil {
		return err
	}
	s.index = newIndex(s.cfg)
	folders, err := os.ReadDir(s.path("blobs"))
	if err != nil {
		return err
	}
	var all []found
	for _, folder := range folders {
		seq, err := strconv.ParseUint(folder.Name(), 16, 31)
		if err != nil || !folder.IsDir() {
			s.cfg.Log.Warn("not a folder of blobs, left alone", "name", folder.Name())
			continue
		}
		s.index.seq = max(s.index.seq, int(seq)+1)
		if all, err = s.loadFolder(folder.Name(), all); err != nil {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.folder, b.folder)) })
	for _, f := range all {
		if s.index.load(f.digest, f.folder, f.used) {
			os.Remove(s.path("blobs", f.folder, fileName(f.digest)))
		}
	}
	if s.cfg.Keep == nil { // else the first Put makes room: who knows what is kept may not be up yet
		s.evict(s.index.fit)
	}
	s.cfg.Log.Info("blob store opened", "blobs", len(s.index.blobs), "bytes", s.index.used)
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

func (s *Store) loadFolder(folder string, all []found) ([]found, error) {
	files, err := os.ReadDir(s.path("blobs", folder))
	if err != nil {
		return all, err
	}
	kept := 0
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			return all, err
		}
		d, err := cas.ParseDigest(strings.Replace(file.Name(), "-", "/", 1))
		if err != nil || !info.Mode().IsRegular() || info.Size() != d.Size || fileName(d) != file.Name() {
			s.cfg.Log.Warn("file cannot be the blob it is named after, removed", "file", filepath.Join(folder, file.Name()), "size", info.Size())
			if err := os.RemoveAll(s.path("blobs", folder, file.Name())); err != nil {
				return all, err
			}
			continue
		}
		all = append(all, found{d, folder, info.ModTime()})
		kept++
	}
	if kept == 0 {
		return all, os.Remove(s.path("blobs", folder))
	}
	return all, nil
}
