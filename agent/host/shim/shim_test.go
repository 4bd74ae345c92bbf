package shim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStepFile(t *testing.T) {
	type claim struct{ Step string }
	path := filepath.Join(t.TempDir(), "s")
	f, err := MakeStepFile(path, claim{"one"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ReadExit(f); !errors.Is(err, ErrNotEnded) {
		t.Errorf("exit before the end: %v", err)
	}
	s, err := newSpool(path, OutputStart, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.add([]byte("0123456"))
	s.add([]byte("789abc"))
	s.add([]byte("def"))
	if size, dropped := s.seal(); size != 10 || dropped != 6 {
		t.Errorf("kept %d, dropped %d", size, dropped)
	}
	s.add([]byte("late"))
	if size, dropped := s.seal(); size != 10 || dropped != 6 {
		t.Errorf("after the end: kept %d, dropped %d", size, dropped)
	}
	s.close()
	e := Exit{Code: 3, Reason: strings.Repeat("<&\x00>", 1000), Output: 10, Started: time.Unix(1, 0).UTC(), Ended: time.Unix(2, 0).UTC()}
	if err := WriteExit(f, e); err != nil {
		t.Fatal(err)
	}
	if err := WriteExit(f, Exit{Code: 4, Lost: true}); err != nil {
		t.Fatal(err)
	}
	e.Reason = e.Reason[:maxReason]
	if got, err := ReadExit(f); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
	var c claim
	if err := ReadClaim(f, &c); err != nil || c.Step != "one" {
		t.Errorf("%+v, %v", c, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text[OutputStart:]) != "0123456789" {
		t.Errorf("output %q, %v", text[OutputStart:], err)
	}
	if err := BlankStepFile(f); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(path); err != nil || len(bytes.TrimRight(text, " ")) != 0 || len(text) != OutputStart {
		t.Errorf("a blank file holds %d bytes, %v", len(bytes.TrimRight(text, " ")), err)
	}
	if err := ReadClaim(f, &c); !errors.Is(err, ErrUnclaimed) {
		t.Errorf("the claim of a blank file: %v", err)
	}
	if err := WriteClaim(f, claim{"two"}); err != nil {
		t.Fatal(err)
	}
	if err := ReadClaim(f, &c); err != nil || c.Step != "two" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := ReadExit(f); !errors.Is(err, ErrNotEnded) {
		t.Errorf("exit of the second step: %v", err)
	}
}

// An exit that was cut off is none.
func TestTornExit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, err := MakeStepFile(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(`{"code":0,"outp`), region); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadExit(f); !errors.Is(err, ErrNotEnded) {
		t.Errorf("%v", err)
	}
}

func TestMessages(t *testing.T) {
	var buf bytes.Buffer
	m := Message{Kind: KindStart, Step: "s", Grace: -1, Start: &Start{Argv: []string{"a", "\x7f\n"}, Env: []string{"A=ü"}}}
	if err := errors.Join(Write(&buf, m), Write(&buf, Message{Kind: KindQuit})); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&buf)
	if err != nil || got.Kind != m.Kind || got.Start == nil || got.Start.Argv[1] != "\x7f\n" || got.Grace != -1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = Read(&buf); err != nil || got.Kind != KindQuit {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err = Read(&buf); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for _, bad := range []string{"\xff\xff\xff\xff", "\x00\x00\x00\x02{]", "\x00\x00\x00\x09{}", "\x00"} {
		if _, err := Read(strings.NewReader(bad)); err == nil || err == io.EOF {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	if err := Write(&buf, Message{Kind: KindHello, Running: []string{"a"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 && b[0] == 0 {
			m, err := Read(bytes.NewReader(b))
			if err == nil {
				if err := Write(io.Discard, m); err != nil {
					t.Errorf("what was read cannot be written: %v", err)
				}
			}
		}
	})
}
