package server

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// ledgerFile is the name of the ledger in the data folder and in a backup.
const ledgerFile = "ledger.db"

// backup writes what the controller cannot be without to w, as a tar compressed by gzip: a consistent copy of the ledger, then the small
// files beside it (keys of hosts, the key of the port for agents, what the farm file made, notifications not sent yet). Every file is whole;
// they are of moments that follow each other closely. Logs, artifacts and agents' folders are not in it.
func (s *Server) backup(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp(s.cfg.Data, "backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ledger := filepath.Join(dir, ledgerFile)
	if err := s.ledger.Backup(ctx, ledger); err != nil {
		return err
	}
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	if err := addFile(t, ledgerFile, ledger); err != nil {
		return err
	}
	err = filepath.WalkDir(s.cfg.Data, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // replaced or gone meanwhile
		}
		name, _ := filepath.Rel(s.cfg.Data, path)
		switch {
		case err != nil:
			return err
		case notBackedUp(name) && e.IsDir():
			return fs.SkipDir
		case notBackedUp(name) || !e.Type().IsRegular():
			return nil
		}
		if err = addFile(t, filepath.ToSlash(name), path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return errors.Join(err, t.Close(), z.Close())
}

// notBackedUp reports whether an entry of the data folder is none of a backup's: the live ledger, what is large, what is of this process, what
// a crash left half written.
func notBackedUp(name string) bool {
	switch name {
	case "lock", "logs", "cas", "nodes", "agents", "agents-bin":
		return true
	}
	return strings.HasPrefix(name, ledgerFile) || strings.HasPrefix(name, "backup-") || strings.HasSuffix(name, ".part")
}

func addFile(t *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, h.Size)
	return err
}

// Restore makes a data folder of a backup. The folder must not exist, or be empty, or hold what a backup leaves out (logs, artifacts): then
// they are kept. fault.Conflict: it holds a ledger. fault.Invalid: r is no whole backup. It returns the names of the files it wrote.
// The ledger comes last: after an error or a crash the folder is no controller's yet, and the same call can be made again.
func Restore(r io.Reader, dir string) (names []string, err error) {
	if _, err := os.Lstat(filepath.Join(dir, ledgerFile)); err == nil {
		return nil, fault.New(fault.Conflict, "restore: %s holds a controller's ledger: name another folder, or move %s, %[2]s-wal and %[2]s-shm away", dir, ledgerFile)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	stage, err := os.MkdirTemp(dir, "backup-")
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(stage)
	if names, err = unpack(r, stage); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	// The ledger comes last: without it the folder is no controller's, and the same call can be made again.
	for _, name := range append(names[1:], ledgerFile) {
		to := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(to), 0o700)
		if err == nil {
			err = os.Rename(filepath.Join(stage, name), to)
		}
		if err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	return names, nil
}

// unpack writes the files of a backup into dir. The ledger is the first of them.
func unpack(r io.Reader, dir string) (names []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fault.New(fault.Invalid, "this is no backup that `outwork admin backup` wrote: %w", err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "the backup is damaged or not whole: %w", err)
		}
		name := filepath.FromSlash(h.Name)
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(name) || len(names) == 0 && name != ledgerFile {
			return nil, fault.New(fault.Invalid, "this is no backup that `outwork admin backup` wrote: it has %q in it", h.Name)
		}
		if err := extract(root, name, t); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // what gzip says of the whole stands at its end
		return nil, fault.New(fault.Invalid, "the backup is damaged or not whole: %w", err)
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Invalid, "this is no backup that `outwork admin backup` wrote: it is empty")
	}
	return names, nil
}

func extract(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) {
		err = fault.New(fault.Invalid, "the backup is damaged or not whole: %s: %w", name, err)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
