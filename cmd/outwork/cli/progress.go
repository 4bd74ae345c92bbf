package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
)

// stageProgress says on standard error how each stage of a build ended. The zero value does nothing.
type stageProgress struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (p *stageProgress) start(ctx context.Context, s *server.Server, id build.ID, w io.Writer) {
	ctx, p.cancel = context.WithCancel(ctx)
	changed, unsubscribe := s.Runner().Subscribe()
	p.done.Go(func() {
		defer unsubscribe()
		said := map[string]bool{}
		for {
			select {
			case <-ctx.Done():
				sayStages(context.WithoutCancel(ctx), s, id, w, said)
				return
			case <-changed:
				sayStages(ctx, s, id, w, said)
			}
		}
	})
}

func (p *stageProgress) stop() {
	if p.cancel != nil {
		p.cancel()
		p.done.Wait()
	}
}

var marks = map[build.Result]string{build.Success: "✓", build.Unstable: "!", build.Failure: "✗", build.Aborted: "■", build.NotBuilt: "–"}

// sayStages says the stages that have ended since it was called last, in the order of their end.
func sayStages(ctx context.Context, s *server.Server, id build.ID, w io.Writer, said map[string]bool) {
	stages, err := s.Ledger().Builds.Stages(ctx, id)
	if err != nil {
		return
	}
	slices.SortStableFunc(stages, func(a, b build.Stage) int { return a.Ended.Compare(b.Ended) })
	for _, st := range stages {
		if said[st.ID] || (st.State != "finished" && st.State != "skipped") {
			continue
		}
		said[st.ID] = true
		mark, took := marks[st.Result], ""
		if st.State == "skipped" {
			mark, took = "–", "skipped"
		} else if !st.Started.IsZero() && !st.Ended.IsZero() {
			took = duration(st.Ended.Sub(st.Started))
		}
		on := ""
		if st.Node != "" {
			on = " on " + st.Node
		}
		fmt.Fprintf(w, "  %s %s  %s%s\n", first(mark, "·"), st.Name, took, on)
	}
}

// copyArtifacts writes what a build archived below dir.
func copyArtifacts(ctx context.Context, s *server.Server, id build.ID, dir string) error {
	as, err := s.Ledger().Builds.Artifacts(ctx, id)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, a := range as {
		if err := copyArtifact(ctx, s, root, a); err != nil {
			return fmt.Errorf("copy artifact %s: %w", a.Path, err)
		}
	}
	return nil
}

func copyArtifact(ctx context.Context, s *server.Server, root *os.Root, a build.Artifact) error {
	name := filepath.FromSlash(a.Path)
	if !filepath.IsLocal(name) {
		return fault.New(fault.Invalid, "path leads out of the folder")
	}
	d, err := cas.ParseDigest(a.Digest)
	if err != nil {
		return err
	}
	r, err := s.Blobs().Get(ctx, d, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := createIn(root, name, fs.FileMode(a.Mode))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// createIn makes or empties a file below root. It can be executed by whom it can be read by if anybody could execute it where it was
// archived; the rest of its mode is the user's to say, by the umask.
func createIn(root *os.Root, name string, mode fs.FileMode) (*os.File, error) {
	perm := fs.FileMode(0o666)
	if mode&0o111 != 0 {
		perm = 0o777
	}
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil || mode&0o111 == 0 {
		return f, err
	}
	st, err := f.Stat() // it may have been there, and not to be executed
	if err == nil && st.Mode()&0o111 == 0 {
		err = f.Chmod(st.Mode().Perm() | (st.Mode().Perm()&0o444)>>2)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
