package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A step has one file, because making files is what a short step costs most:
//
//	[0, 4 KiB)      the claim, written by the agent before the start: JSON and blanks
//	[4 KiB, 8 KiB)  the exit, written by the shim: blanks, then JSON and blanks
//	[8 KiB, …)      the output
//
// The exit's room is on disk before the start, so a full disk cannot lose it. It is written in one write to one page; a
// write that was cut off leaves no whole JSON, and counts as none.
const (
	region = 4 << 10
	// OutputStart is where a step file's output begins.
	OutputStart = 2 * region
)

// maxReason is the length a reason is cut to, so that an exit fits its room.
const maxReason = 400

// ErrNotEnded says that a step file has no exit.
var ErrNotEnded = errors.New("the step has no exit on disk")

// MakeStepFile makes a step file with a claim and the room for its exit. spare, unless it is "", is a blank one to use;
// until the claim is in it the file counts as unclaimed.
func MakeStepFile(path, spare string, claim any) error {
	text, err := regionOf(claim)
	if err != nil {
		return err
	}
	if spare != "" && os.Rename(spare, path) == nil {
		if err := writeAt(path, text, 0); err != nil {
			return errors.Join(err, os.Remove(path))
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, bytes.Repeat([]byte{' '}, region)...))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// BlankStepFile takes claim, exit and output out of a step file.
func BlankStepFile(path string) error {
	if err := writeAt(path, bytes.Repeat([]byte{' '}, OutputStart), 0); err != nil {
		return err
	}
	return os.Truncate(path, OutputStart)
}

func writeAt(path string, text []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, at)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// ReadClaim reads the claim of a step file. An error means that the file was not whole: nothing was started for it.
func ReadClaim(path string, claim any) error { return readRegion(path, 0, claim) }

// WriteExit puts a step's end into its file, unless there is one.
func WriteExit(path string, e Exit) error {
	if _, err := ReadExit(path); err == nil {
		return nil
	}
	if len(e.Reason) > maxReason {
		e.Reason = e.Reason[:maxReason]
	}
	text, err := regionOf(e)
	if err != nil {
		return err
	}
	if err := writeAt(path, text, region); err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	return nil
}

// ReadExit reads what WriteExit wrote; ErrNotEnded when that is nothing, or not whole.
func ReadExit(path string) (Exit, error) {
	var e Exit
	err := readRegion(path, region, &e)
	return e, err
}

func regionOf(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(text) > region {
		return nil, fmt.Errorf("step file: %d bytes do not fit into %d", len(text), region)
	}
	return append(text, bytes.Repeat([]byte{' '}, region-len(text))...), nil
}

func readRegion(path string, at int64, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, region)
	if _, err := f.ReadAt(buf, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	buf = bytes.TrimRight(buf, " \x00")
	if len(buf) == 0 || json.Unmarshal(buf, v) != nil {
		return ErrNotEnded
	}
	return nil
}
