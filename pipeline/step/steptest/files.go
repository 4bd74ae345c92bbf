package steptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/ant"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Trees keeps packed trees; machines that hold the same Trees see each other's, as with a common cas.
type Trees struct {
	mu sync.Mutex
	by map[string]map[string][]byte // by digest: files by path
}

func (t *Trees) put(d cas.Digest, files map[string][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[string]map[string][]byte{}
	}
	t.by[d.String()] = files
}

func (t *Trees) get(d cas.Digest) (map[string][]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	files, ok := t.by[d.String()]
	return files, ok
}

func makeDirs(paths ...string) error {
	for _, p := range paths {
		if err := os.MkdirAll(p, 0o777); err != nil {
			return err
		}
	}
	return nil
}

// resolve gives the real path of a path in a lease's workspace.
func (m *Machine) resolve(l agent.Lease, path string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have, err := m.fenced(l)
	if err != nil {
		return "", err
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	if path != "" && !filepath.IsLocal(path) {
		return "", fault.New(fault.Invalid, "path %q leads out of the workspace", path)
	}
	return filepath.Join(have.ws.Path, path), nil
}

func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "%s: no such file", path)
	}
	return err
}

// ReadFile implements agent.Files.
func (m *Machine) ReadFile(_ context.Context, l agent.Lease, path string, limit int64) ([]byte, error) {
	real, err := m.resolve(l, path)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 16 << 20
	}
	data, err := os.ReadFile(real)
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Exhausted, "%s is larger than %d bytes", path, limit)
	}
	return data, missing(path, err)
}

// WriteFile implements agent.Files.
func (m *Machine) WriteFile(_ context.Context, l agent.Lease, path string, data []byte, mode fs.FileMode) error {
	real, err := m.resolve(l, path)
	if err != nil {
		return err
	}
	if err := makeDirs(filepath.Dir(real)); err != nil {
		return err
	}
	if mode == 0 {
		mode = 0o666
	}
	return os.WriteFile(real, data, mode)
}

// Stat implements agent.Files.
func (m *Machine) Stat(_ context.Context, l agent.Lease, path string) (agent.FileInfo, error) {
	real, err := m.resolve(l, path)
	if err != nil {
		return agent.FileInfo{}, err
	}
	fi, err := os.Stat(real)
	if err != nil {
		return agent.FileInfo{}, missing(path, err)
	}
	return agent.FileInfo{Path: path, Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime()}, nil
}

// Remove implements agent.Files.
func (m *Machine) Remove(_ context.Context, l agent.Lease, path string) error {
	real, err := m.resolve(l, path)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(real); err != nil {
		return err
	}
	if root, _ := m.resolve(l, ""); root == real {
		return makeDirs(root)
	}
	return nil
}

// Glob implements agent.Files.
func (m *Machine) Glob(_ context.Context, r agent.GlobRequest) ([]agent.FileInfo, error) {
	root, err := m.resolve(r.Lease, r.Dir)
	if err != nil {
		return nil, err
	}
	includes := r.Includes
	if strings.TrimSpace(includes) == "" {
		includes = "**"
	}
	excludes := r.Excludes
	if r.DefaultExcludes {
		excludes += "," + ant.DefaultExcludes
	}
	in, err := ant.Compile(includes, r.CaseInsensitive)
	if err != nil {
		return nil, err
	}
	ex, err := ant.Compile(excludes, r.CaseInsensitive)
	if err != nil {
		return nil, err
	}
	var out []agent.FileInfo
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if !in.Match(rel) || ex.Match(rel) {
			return nil
		}
		fi, err := d.Info()
		if err == nil {
			out = append(out, agent.FileInfo{Path: rel, Size: fi.Size(), Mode: fi.Mode(), ModTime: fi.ModTime()})
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

// Pack implements agent.Trees.
func (m *Machine) Pack(ctx context.Context, r agent.GlobRequest) (agent.Packed, error) {
	files, err := m.Glob(ctx, r)
	if err != nil {
		return agent.Packed{}, err
	}
	root, err := m.resolve(r.Lease, r.Dir)
	if err != nil {
		return agent.Packed{}, err
	}
	tree, list := map[string][]byte{}, bytes.Buffer{}
	var p agent.Packed
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(root, f.Path))
		if err != nil {
			return agent.Packed{}, err
		}
		tree[f.Path] = data
		pf := agent.PackedFile{Path: f.Path, Digest: cas.Of(data), Mode: f.Mode}
		p.Files, p.Uploaded = append(p.Files, pf), p.Uploaded+int64(len(data))
		fmt.Fprintf(&list, "%s %s\n", pf.Digest, pf.Path)
	}
	sort.Slice(p.Files, func(i, j int) bool { return p.Files[i].Path < p.Files[j].Path })
	p.Root = cas.Of(list.Bytes())
	m.Trees.put(p.Root, tree)
	return p, nil
}

// Unpack implements agent.Trees.
func (m *Machine) Unpack(_ context.Context, l agent.Lease, root cas.Digest, dir string) error {
	to, err := m.resolve(l, dir)
	if err != nil {
		return err
	}
	tree, ok := m.Trees.get(root)
	if !ok {
		return fault.New(fault.NotFound, "no tree %s", root)
	}
	for path, data := range tree {
		real := filepath.Join(to, path)
		if err := makeDirs(filepath.Dir(real)); err != nil {
			return err
		}
		if err := os.WriteFile(real, data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
