package log

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/internal/fault"
)

var crashRounds = flag.Int("crash.rounds", 60, "how often the crash tests cut the files")

// streamTexts takes the streams apart again, by the index, as only the files show them; marks are left out.
func streamTexts(t testing.TB, l *Log) map[string]string {
	t.Helper()
	f, err := l.store.pool.acquire(l)
	must(t, err)
	defer l.store.pool.release(l)
	out := map[string]string{}
	var off, line int64
	for i := range l.records.Load() {
		r, err := readRecord(f.index, i)
		must(t, err)
		p := make([]byte, r.length)
		if _, err := f.log.ReadAt(p, r.off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if r.off != off || r.line != line || checksum(p) != r.sum {
			t.Fatalf("record %d %+v does not follow %d, line %d", i, r, off, line)
		}
		off += int64(r.length)
		line += int64(bytes.Count(p, []byte{'\n'}))
		if r.kind == kindData {
			name := l.entry(r.stream).Name
			out[name] += string(p)
			if int64(len(out[name])) != r.received {
				t.Fatalf("record %d: received %d, the stream has %d", i, r.received, len(out[name]))
			}
		}
	}
	return out
}

// copyCut copies the files of a log, each cut at a length of its own, as a power failure might leave them. With damage, a
// byte of what is left is another one.
func copyCut(t testing.TB, from, to string, rnd *rand.Rand, damage bool) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	for _, n := range []string{"log", "index", "streams", "lines"} {
		b, err := os.ReadFile(filepath.Join(from, n))
		must(t, err)
		if rnd.IntN(3) > 0 {
			b = b[:rnd.IntN(len(b)+1)]
		}
		if damage && len(b) > 0 && rnd.IntN(3) == 0 {
			b[rnd.IntN(len(b))] ^= byte(1 + rnd.IntN(255))
		}
		if n != "lines" && rnd.IntN(8) == 0 {
			b = append(b, make([]byte, rnd.IntN(200))...) // a file system may leave zeros
		}
		must(t, os.WriteFile(filepath.Join(to, n), b, 0o600))
	}
}

func randomText(rnd *rand.Rand, lines int) string {
	var b strings.Builder
	for range lines {
		fmt.Fprintf(&b, "%x%s\n", rnd.Uint64(), strings.Repeat("-", rnd.IntN(60)))
	}
	return b.String()
}

// feed sends the rest of text in pieces.
func feed(s *Stream, text string, rnd *rand.Rand, most int) error {
	for off := s.Received(); off < int64(len(text)); {
		n := min(1+rnd.IntN(most), len(text)-int(off))
		m, err := s.WriteAt([]byte(text[off:int(off)+n]), off)
		if err != nil {
			return err
		}
		off += int64(m)
	}
	return s.Close()
}

func TestCrashAtAnyByteOfOneStream(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	text := randomText(rnd, 400)
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "whole"), Config{})
	l := openLog(t, s, one)
	must(t, feed(l.Stream("a", "st"), text, rnd, 100))
	kept := filepath.Join(dir, "whole", "team", "app", "#1")
	for round := range *crashRounds {
		if round == *crashRounds/2 {
			must(t, l.Finish())
		}
		base := filepath.Join(dir, fmt.Sprint(round))
		// A finished log is believed: only one that was not finished is checked for damage.
		damage := round < *crashRounds/2 && round%4 == 0
		copyCut(t, kept, filepath.Join(base, "team", "app", "#1"), rnd, damage)
		s, err := Open(base, Config{})
		must(t, err)
		l, err := s.Build(one)
		if err != nil {
			if damage && strings.Contains(err.Error(), "another version") {
				must(t, s.Close())
				continue // the damage was in the header
			}
			t.Fatal(err)
		}
		a := l.Stream("a", "st")
		if got := console(t, l); int64(len(got)) != a.Received() || !strings.HasPrefix(text, got) {
			t.Fatalf("round %d: %d bytes in the console, Received %d", round, len(got), a.Received())
		}
		must(t, feed(a, text, rnd, 100))
		must(t, l.Finish())
		if console(t, l) != text {
			t.Fatalf("round %d: the console is not what was written", round)
		}
		checkLines(t, l, text)
		l.Release()
		// Once more, now from a finished log.
		l, err = s.Build(one)
		must(t, err)
		if console(t, l) != text || !l.Finished() {
			t.Fatalf("round %d: opened again, the console is another", round)
		}
		if n, err := l.Stream("a", "st").WriteAt([]byte(text), 0); n != len(text) || err != nil {
			t.Fatalf("round %d: all sent again after the end: %d, %v", round, n, err)
		}
		checkLines(t, l, text)
		l.Release()
		must(t, s.Close())
		must(t, os.RemoveAll(base))
	}
}

// checkLines compares Range and LineAt with the text.
func checkLines(t testing.TB, l *Log, text string) {
	t.Helper()
	want := strings.SplitAfter(text, "\n")
	if want[len(want)-1] == "" {
		want = want[:len(want)-1]
	}
	if l.Lines() != int64(len(want)) {
		t.Fatalf("Lines = %d, want %d", l.Lines(), len(want))
	}
	for _, first := range []int{1, 2, len(want) / 2, len(want) - 1, len(want)} {
		if first < 1 {
			continue
		}
		lines, err := l.Range(t.Context(), int64(first), 3)
		must(t, err)
		for i, x := range lines {
			w := want[first-1+i]
			if x.Text != strings.TrimSuffix(w, "\n") || x.Number != int64(first+i) || x.Stream == "" || text[x.Offset:x.Offset+int64(len(w))] != w {
				t.Fatalf("line %d is %+v, want %q", first+i, x, w)
			}
			if n, err := l.LineAt(x.Offset); n != x.Number || err != nil {
				t.Fatalf("LineAt(%d) = %d, %v, want %d", x.Offset, n, err, x.Number)
			}
		}
		if len(lines) != min(3, len(want)-first+1) {
			t.Fatalf("Range(%d, 3) has %d lines", first, len(lines))
		}
	}
}

func TestCrashOfManyStreams(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	texts := map[string]string{}
	for i := range 5 {
		texts[fmt.Sprint("s", i)] = randomText(rnd, 100+i)
	}
	s := openStore(t, filepath.Join(dir, "whole"), Config{})
	l := openLog(t, s, one)
	feedAll(t, l, texts, rnd)
	kept := filepath.Join(dir, "whole", "team", "app", "#1")
	for round := range *crashRounds {
		base := filepath.Join(dir, fmt.Sprint(round))
		copyCut(t, kept, filepath.Join(base, "team", "app", "#1"), rnd, false)
		s, err := Open(base, Config{})
		must(t, err)
		l, err := s.Build(one)
		must(t, err)
		for name, text := range streamTexts(t, l) {
			if got := l.Stream(name, "").Received(); got != int64(len(text)) || !strings.HasPrefix(texts[name], text) {
				t.Fatalf("round %d: %s has %d bytes, Received %d", round, name, len(text), got)
			}
		}
		feedAll(t, l, texts, rnd)
		must(t, l.Finish())
		for name, text := range streamTexts(t, l) {
			if text != texts[name] {
				t.Fatalf("round %d: stream %s is not what was written", round, name)
			}
		}
		l.Release()
		must(t, s.Close())
		must(t, os.RemoveAll(base))
	}
}

func feedAll(t testing.TB, l *Log, texts map[string]string, rnd *rand.Rand) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, len(texts))
	for name, text := range texts {
		own := rand.New(rand.NewPCG(rnd.Uint64(), 3))
		wg.Go(func() { errs <- feed(l.Stream(name, "stage "+name), text, own, 90) })
	}
	wg.Wait()
	for range texts {
		must(t, <-errs)
	}
}

// TestStreamsNeverInterleaveInALine writes from several goroutines whose lines name their stream.
func TestStreamsNeverInterleaveInALine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := Open(t.TempDir(), Config{})
		must(t, err)
		l, err := s.Build(one)
		must(t, err)
		n := rapid.IntRange(2, 6).Draw(rt, "streams")
		texts := map[string]string{}
		for i := range n {
			lens := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 40).Draw(rt, "lines")
			var b strings.Builder
			for j, k := range lens {
				fmt.Fprintf(&b, "<%d:%d:%s>\n", i, j, strings.Repeat(string(rune('a'+i)), k))
			}
			texts[fmt.Sprint(i)] = b.String()
		}
		// The first line of all is whole, so that no stream is ever alone with an unfinished one.
		for i := range n {
			write(t, l.Stream(fmt.Sprint(i), ""), texts[fmt.Sprint(i)][:strings.IndexByte(texts[fmt.Sprint(i)], '\n')+1])
		}
		feedAll(t, l, texts, rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "pieces"), 4)))
		must(t, l.Finish())
		all := console(t, l)
		lines := map[string]int{}
		for line := range strings.Lines(all) {
			lines[line]++
		}
		for _, text := range texts {
			for line := range strings.Lines(text) {
				if lines[line]--; lines[line] == 0 {
					delete(lines, line)
				}
			}
		}
		for line, k := range lines {
			rt.Errorf("%d times %q", k, line)
		}
		for name, text := range streamTexts(t, l) {
			if text != texts[name] {
				rt.Errorf("stream %s is not what was written", name)
			}
		}
		l.Release()
		must(t, s.Close())
	})
}

func FuzzRecord(f *testing.F) {
	var b [recordSize]byte
	record{off: 10, received: 4, line: 1, time: 5, length: 4, kind: kindData, stream: 1, sum: 7}.encode(&b)
	f.Add(b[:])
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, ok := decode(in)
		if !ok {
			return
		}
		var out [recordSize]byte
		r.encode(&out)
		if !bytes.Equal(out[:], in[:recordSize]) {
			t.Errorf("%x decodes to %+v, which encodes to %x", in[:recordSize], r, out)
		}
	})
}

// mendSums makes the checksums of an index right, so that what they guard is looked at too.
func mendSums(index, console []byte) {
	copy(index, header)
	le := binary.LittleEndian
	for b := index[min(len(index), int(headerSize)):]; len(b) >= recordSize; b = b[recordSize:] {
		off, n := le.Uint64(b), uint64(le.Uint32(b[32:])&0xffffff)
		if off <= uint64(len(console)) && n <= uint64(len(console))-off {
			le.PutUint32(b[40:], checksum(console[off:off+n]))
		}
		le.PutUint32(b[44:], checksum(b[:44]))
	}
}

// FuzzOpen opens folders with any bytes in their files: the log must then work.
func FuzzOpen(f *testing.F) {
	var b [recordSize]byte
	text := []byte("hello\n")
	entry, err := streamEntry{Name: "a"}.encode()
	must(f, err)
	record{received: 6, length: 6, kind: kindData, stream: 1, sum: checksum(text)}.encode(&b)
	f.Add(text, append([]byte(header), b[:]...), entry, []byte{}, false)
	record{off: 6, line: 1, kind: kindFinish}.encode(&b)
	f.Add(text, append([]byte(header), b[:]...), []byte{}, bytes.Repeat([]byte{1}, 33), true)
	f.Fuzz(func(t *testing.T, console, index, streams, lines []byte, mend bool) {
		if mend {
			mendSums(index, console)
		}
		dir := t.TempDir()
		for n, b := range map[string][]byte{"log": console, "index": index, "streams": streams, "lines": lines} {
			must(t, os.MkdirAll(filepath.Join(dir, "j", "#1"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "j", "#1", n), b, 0o600))
		}
		s, err := Open(dir, Config{})
		must(t, err)
		defer s.Close()
		id := one
		id.Job = "j"
		l, err := s.Build(id)
		if err != nil {
			return
		}
		defer l.Release()
		if l.Finished() {
			// Its last record was believed: readers may fail, not panic.
			_, _ = l.Range(t.Context(), 1, 10)
			_, _ = l.Stages()
			return
		}
		streamTexts(t, l)
		if _, err := l.Stream("new", "").Write([]byte("x\n")); err != nil {
			t.Error(err)
		}
		must(t, l.Finish())
		if _, err := l.Range(t.Context(), 1, 10); err != nil {
			t.Error(err)
		}
		if _, err := l.Stages(); err != nil {
			t.Error(err)
		}
	})
}

// A crash within the header leaves a piece of it, and perhaps zeros: nothing had been received, and the log begins anew.
func TestCrashWithinTheHeader(t *testing.T) {
	for keep := range len(header) {
		for _, zeros := range []int{0, 1, len(header) - keep, 200} {
			dir := t.TempDir()
			folder := filepath.Join(dir, "team", "app", "#1")
			must(t, os.MkdirAll(folder, 0o700))
			for _, n := range []string{"log", "streams", "lines"} {
				must(t, os.WriteFile(filepath.Join(folder, n), nil, 0o600))
			}
			must(t, os.WriteFile(filepath.Join(folder, "index"), append([]byte(header[:keep]), make([]byte, zeros)...), 0o600))
			s := openStore(t, dir, Config{})
			l := openLog(t, s, one)
			write(t, l.Stream("a", ""), "text\n")
			must(t, l.Finish())
			if got := console(t, l); got != "text\n" {
				t.Errorf("%d bytes of the header and %d zeros: %q", keep, zeros, got)
			}
		}
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "team", "app", "#1"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "team", "app", "#1", "index"), []byte("outwork log 2\n\x00\x00records"), 0o600))
	s := openStore(t, dir, Config{})
	if _, err := s.Build(one); !fault.Is(err, fault.Incompatible) {
		t.Errorf("another version's index: %v", err)
	}
}
