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
// write that was cut off leaves no whole JSON, and counts as none. A file without a claim is blank: one that waits for its
// next step.
const (
	region = 4 << 10
	// OutputStart is where a step file's output begins.
	OutputStart = 2 * region
)

// maxReason is the length a reason is cut to, so that an exit fits its room.
const maxReason = 400

// Errors of reading a step file.
var (
	// ErrNotEnded says that a step file has no exit.
	ErrNotEnded = errors.New("the step has no exit on disk")
	// ErrUnclaimed says that a step file has no claim: nothing was started for it.
	ErrUnclaimed = errors.New("no step has claimed the file")
)

// MakeStepFile makes a step file with a claim and the room for its exit.
func MakeStepFile(path string, claim any) (*os.File, error) {
	text, err := regionOf(claim)
	if err != nil {
		return nil, err
	}
	f, err := makeShared(path)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(append(text, bytes.Repeat([]byte{' '}, region)...)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// WriteClaim claims a blank step file.
func WriteClaim(f *os.File, claim any) error {
	text, err := regionOf(claim)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return err
}

// BlankStepFile takes claim, exit and output out of a step file.
func BlankStepFile(f *os.File) error {
	if _, err := f.WriteAt(bytes.Repeat([]byte{' '}, OutputStart), 0); err != nil {
		return err
	}
	if fi, err := f.Stat(); err != nil || fi.Size() <= OutputStart {
		return err
	}
	return f.Truncate(OutputStart)
}

// ReadClaim reads the claim of a step file. An error means that the file was not whole: nothing was started for it.
func ReadClaim(f io.ReaderAt, claim any) error {
	found, err := readRegion(f, 0, claim)
	if err == nil && !found {
		err = ErrUnclaimed
	}
	return err
}

// WriteExit puts a step's end into its file, unless there is one.
func WriteExit(f interface {
	io.ReaderAt
	io.WriterAt
}, e Exit) error {
	if _, err := ReadExit(f); err == nil {
		return nil
	}
	if len(e.Reason) > maxReason {
		e.Reason = e.Reason[:maxReason]
	}
	text, err := regionOf(e)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(text, region); err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	return nil
}

// ReadExit reads what WriteExit wrote; ErrNotEnded when that is nothing, or not whole.
func ReadExit(f io.ReaderAt) (Exit, error) {
	var e Exit
	found, err := readRegion(f, region, &e)
	if err == nil && !found {
		err = ErrNotEnded
	}
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

// readRegion reports whether there is a whole value.
func readRegion(f io.ReaderAt, at int64, v any) (found bool, err error) {
	buf := make([]byte, region)
	n, err := f.ReadAt(buf, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	buf = bytes.TrimRight(buf[:n], " \x00")
	return len(buf) > 0 && json.Unmarshal(buf, v) == nil, nil
}
