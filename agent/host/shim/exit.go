package shim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// reserved is the room kept for an exit file; an Exit with the longest reason fits.
const reserved = 4 << 10

// maxReason is the length a reason is cut to.
const maxReason = 400

// Reserve writes the room that a step's exit will take, so that a full disk is found before the start and not after it.
func Reserve(folder string) error {
	return os.WriteFile(filepath.Join(folder, ReservedFile), bytes.Repeat([]byte{' '}, reserved), 0o600)
}

// WriteExit puts e on disk at once and whole. It overwrites the reserved room in place, so it needs no new block.
// When the exit is there already, it stays as it was.
func WriteExit(folder string, e Exit) error {
	if len(e.Reason) > maxReason {
		e.Reason = e.Reason[:maxReason]
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if pad := reserved - len(text); pad > 0 {
		text = append(text, bytes.Repeat([]byte{' '}, pad)...)
	}
	path, from := filepath.Join(folder, ExitFile), filepath.Join(folder, ReservedFile)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(from, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	_, err = f.WriteAt(text, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(from, path)
	}
	if err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	return nil
}

// ReadExit reads what WriteExit wrote. The error wraps fs.ErrNotExist while the step has not ended.
func ReadExit(folder string) (Exit, error) {
	text, err := os.ReadFile(filepath.Join(folder, ExitFile))
	if err != nil {
		return Exit{}, err
	}
	var e Exit
	if err := json.Unmarshal(text, &e); err != nil {
		return Exit{}, fmt.Errorf("exit file in %s: %w", folder, err)
	}
	return e, nil
}
