package tools

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/durable"
)

// Rescan looks at all folders now. The errors of entries stand in their Looks; what is returned is that ctx has ended.
func (s *Service) Rescan(ctx context.Context) error {
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	entries, era, before := s.entries, s.era, s.scans
	s.mu.Unlock()
	scans, looks, read := make([]*scan, len(entries)), make([]Look, len(entries)), 0
	changed := false
	for i, e := range entries {
		begun := time.Now()
		found, err := s.scanner.scan(ctx, e)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		read += s.scanner.read
		looks[i] = Look{Entry: e, Read: s.scanner.read, At: s.cfg.Now().UTC(), Took: time.Since(begun)}
		scans[i] = before[i]
		if err != nil {
			looks[i].Error = err.Error()
			s.cfg.Log.Warn("a folder of tools could not be looked through: nothing is changed on any node", "tools", e.Title(), "from", e.From, "error", err)
		} else if before[i] == nil || !reflect.DeepEqual(found, before[i]) {
			scans[i], changed = found, true
		}
		if now := scans[i]; now != nil {
			looks[i].Files, looks[i].Bytes, looks[i].Problems = now.files, now.bytes, now.problems
		}
	}
	s.publish(era, scans, looks, changed)
	if read > 0 {
		s.remember()
	}
	return nil
}

// publish makes what was found what there is, unless there are other entries meanwhile.
func (s *Service) publish(era int, scans []*scan, looks []Look, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.era != era {
		return
	}
	s.looks = looks
	if !changed {
		return
	}
	s.scans = scans
	s.looked++
	files := map[cas.Digest]string{}
	for _, one := range scans {
		if one == nil {
			continue
		}
		for _, e := range one.entries {
			if e.Mode.IsRegular() {
				files[e.Digest] = filepath.Join(one.real, filepath.FromSlash(e.Path))
			}
		}
	}
	s.composed = map[string]*composed{}
	s.shelf.put(files, nil)
}

// recall reads what an earlier Service remembered.
func (s *Service) recall() {
	if s.cfg.Cache == "" {
		return
	}
	b, err := os.ReadFile(s.cfg.Cache)
	if err == nil {
		err = json.Unmarshal(b, &s.scanner.cache)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Log.Warn("the tools are all read anew", "error", err)
	}
	if s.scanner.cache == nil {
		s.scanner.cache = map[string]known{}
	}
}

// remember writes down what was read, of the folders that there are. The token of looking is held.
func (s *Service) remember() {
	if s.cfg.Cache == "" {
		return
	}
	s.mu.Lock()
	scans := s.scans
	s.mu.Unlock()
	for file := range s.scanner.cache {
		if !within(file, scans) {
			delete(s.scanner.cache, file)
		}
	}
	b, err := json.Marshal(s.scanner.cache)
	if err == nil {
		err = durable.WriteFile(s.cfg.Cache, b)
	}
	if err != nil {
		s.cfg.Log.Warn("what was read of the tools is not remembered over a restart", "error", err)
	}
}

func within(file string, scans []*scan) bool {
	for _, one := range scans {
		if one != nil && strings.HasPrefix(file, one.real+string(filepath.Separator)) {
			return true
		}
	}
	return false
}
