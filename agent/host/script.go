package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// maxScripts bounds the scripts of ended steps in a lease's Tmp that are kept as files for the next ones: as many as its
// steps may run side by side in ordinary pipelines.
const maxScripts = 8

// takeScript names a script's file: one that an ended step left, or a new one. Call it with l.mu held.
func (l *lease) takeScript(ext string) string {
	for i, name := range l.scripts {
		if filepath.Ext(name) == ext {
			l.scripts = append(l.scripts[:i], l.scripts[i+1:]...)
			return name
		}
	}
	l.texts++
	return "script-" + strconv.Itoa(l.texts) + ext
}

// retireScript keeps an ended step's script as the file of the lease's next one, or removes it. Call it with l.mu held.
func (l *lease) retireScript(name string) error {
	if len(l.scripts) >= maxScripts {
		return os.Remove(filepath.Join(l.work.Tmp, name))
	}
	l.scripts = append(l.scripts, name)
	return nil
}

// writeScript puts text into a script's file. The folder belongs to the steps: whatever they have made of the file, or put in
// its place, is removed. The file is never cut down to nothing first: file systems take that for a replacement, and write the
// new text to the disk at once.
func (l *lease) writeScript(path string, text []byte) error {
	f, err := openScript(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(l.work.Tmp, 0o755); err == nil {
			f, err = openScript(path)
		}
	}
	var fi os.FileInfo
	if err == nil {
		fi, err = f.Stat()
	}
	if err != nil || fi.Mode() != 0o700 || !onlyName(fi) {
		if f != nil {
			_ = f.Close()
		}
		if rerr := removeAll(path); rerr != nil {
			return errors.Join(err, rerr)
		}
		return os.WriteFile(path, text, 0o700)
	}
	n, err := f.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	if err == nil && fi.Size() > int64(len(text)) {
		err = f.Truncate(int64(len(text)))
	}
	return errors.Join(err, f.Close())
}
