package log

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const when = "[2026-11-21T05:36:09.123Z] "

func stampedConfig() Config {
	at := time.Date(2026, 11, 21, 6, 36, 9, 123_999_999, time.FixedZone("", 3600))
	return Config{Now: func() time.Time { return at }}
}

func TestStampsBeginLines(t *testing.T) {
	s := openStore(t, t.TempDir(), stampedConfig())
	l := openLog(t, s, one)
	a, b := l.Stream("a", ""), l.Stream("b", "")
	a.Stamp()
	for _, w := range []struct {
		s    *Stream
		text string
	}{{a, "one\ntw"}, {a, "o\n\n"}, {b, "plain\n"}, {a, "open"}} {
		if _, err := w.s.Write([]byte(w.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Gap(5, "lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteAt([]byte("end"), 18); err != nil {
		t.Fatal(err)
	}
	if err := a.flushed(); err != nil {
		t.Fatal(err)
	}
	if got := a.Received(); got != 21 {
		t.Errorf("Received counts the stamps: %d", got)
	}
	must(t, l.Finish())
	want := when + "one\n" + when + "two\n" + when + "\nplain\n" + when + "open\n[outwork] 5 bytes of output are missing here: lost\n" + when + "end\n"
	if got := console(t, l); got != want {
		t.Errorf("console:\n%s\nwant:\n%s", got, want)
	}
	checkLines(t, l, want)
}

// Whatever a crash leaves, sending again doubles no stamp and leaves none out; a stream beside has none.
func TestStampsAfterACrashAtAnyByte(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 7))
	text, plain := randomText(rnd, 200), "x"+strings.ReplaceAll(randomText(rnd, 200), "\n", "\nx")+"\n"
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "whole"), stampedConfig())
	l := openLog(t, s, one)
	a, b := l.Stream("a", "st"), l.Stream("b", "")
	a.Stamp()
	for from := 0; from < len(text); from += 1000 {
		must(t, feed(a, text[:min(len(text), from+1000)], rnd, 100))
		must(t, feed(b, plain[:min(len(plain), from+1000)], rnd, 100))
	}
	kept := filepath.Join(dir, "whole", "team", "app", "#1")
	for round := range *crashRounds {
		base := filepath.Join(dir, fmt.Sprint(round))
		copyCut(t, kept, filepath.Join(base, "team", "app", "#1"), rnd, false)
		s, err := Open(base, stampedConfig())
		must(t, err)
		l, err := s.Build(one)
		must(t, err)
		a, b := l.Stream("a", "st"), l.Stream("b", "")
		a.Stamp()
		must(t, feed(a, text, rnd, 100))
		must(t, feed(b, plain, rnd, 100))
		must(t, l.Finish())
		var stamped, bare strings.Builder
		for line := range strings.Lines(console(t, l)) {
			if rest, ok := strings.CutPrefix(line, when); ok {
				stamped.WriteString(rest)
			} else {
				bare.WriteString(line)
			}
		}
		// Where a piece was cut off within a line and another stream went on, the rest stands in a line of its own.
		if got := stamped.String(); squeeze(got) != squeeze(text) || strings.Contains(got, when) {
			t.Fatalf("round %d: the stamped lines are not what was written", round)
		}
		if squeeze(bare.String()) != squeeze(plain) {
			t.Fatalf("round %d: the other stream is not what was written", round)
		}
		if a.Received() != int64(len(text)) {
			t.Fatalf("round %d: Received %d of %d", round, a.Received(), len(text))
		}
		l.Release()
		must(t, s.Close())
	}
}

func squeeze(s string) string { return strings.ReplaceAll(s, "\n", "") }

func TestStampsOfAFullLog(t *testing.T) {
	c := stampedConfig()
	c.MaxSize = 8 << 10
	s := openStore(t, t.TempDir(), c)
	l := openLog(t, s, one)
	a := l.Stream("a", "")
	a.Stamp()
	text := strings.Repeat("\n", 4<<10)
	if n, err := a.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
	must(t, l.Finish())
	if l.Size() > c.MaxSize+512 || l.Dropped() == 0 {
		t.Errorf("a console of %d bytes, %d dropped, limit %d", l.Size(), l.Dropped(), c.MaxSize)
	}
	kept := strings.Count(console(t, l), when+"\n")
	if int64(kept)+l.Dropped() != int64(len(text)) {
		t.Errorf("%d lines kept, %d bytes dropped, of %d", kept, l.Dropped(), len(text))
	}
}

// flushed passes on what is held, so that Received counts it.
func (s *Stream) flushed() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.flush()
}
