package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var one = build.ID{Job: "team/app", Number: 1}

func openStore(t testing.TB, dir string, c Config) *Store {
	t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func openLog(t testing.TB, s *Store, id build.ID) *Log {
	t.Helper()
	l, err := s.Build(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

func write(t testing.TB, s *Stream, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); err != nil || n != len(text) {
		t.Fatalf("Write(%q) = %d, %v", text, n, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func console(t testing.TB, l *Log) string {
	t.Helper()
	b := make([]byte, l.Size())
	if n, err := l.ReadAt(b, 0); n != len(b) || err != nil && err != io.EOF {
		t.Fatalf("ReadAt = %d of %d, %v", n, len(b), err)
	}
	return string(b)
}

func TestConsoleIsWhatTheStreamsWrote(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	l := openLog(t, s, one)
	p, sh := l.Stream("pipeline", ""), l.Stream("3/sh", "stage-1")
	write(t, p, "[Pipeline] stage\n")
	write(t, sh, "hello\nwor")
	write(t, sh, "ld\n")
	write(t, p, "[Pipeline] }\n")
	must(t, l.Finish())
	must(t, l.Finish())

	want := "[Pipeline] stage\nhello\nworld\n[Pipeline] }\n"
	if got := console(t, l); got != want {
		t.Errorf("console = %q, want %q", got, want)
	}
	file, err := os.ReadFile(filepath.Join(dir, "team", "app", "#1", "log"))
	if err != nil || string(file) != want {
		t.Errorf("log file = %q, %v", file, err)
	}
	if l.Lines() != 4 || l.Size() != int64(len(want)) || !l.Finished() {
		t.Errorf("Lines %d, Size %d, Finished %v", l.Lines(), l.Size(), l.Finished())
	}
	lines, err := l.Range(t.Context(), 2, 10)
	must(t, err)
	for i := range lines {
		if d := time.Since(lines[i].Time); d < 0 || d > time.Minute {
			t.Errorf("line %d was written at %v", i, lines[i].Time)
		}
		lines[i].Time = time.Time{}
	}
	if d := cmp.Diff(lines, []Line{
		{Number: 2, Offset: 17, Length: 5, Stream: "3/sh", Stage: "stage-1", Text: "hello"},
		{Number: 3, Offset: 23, Length: 5, Stream: "3/sh", Stage: "stage-1", Text: "world"},
		{Number: 4, Offset: 29, Length: 12, Stream: "pipeline", Text: "[Pipeline] }"},
	}); d != "" {
		t.Error(d)
	}
	stages, err := l.Stages()
	must(t, err)
	if d := cmp.Diff(stages, []StageRange{{"", 1, 2}, {"stage-1", 2, 4}, {"", 4, 5}}); d != "" {
		t.Error(d)
	}
	for off, line := range map[int64]int64{0: 1, 16: 1, 17: 2, 22: 2, 23: 3, 41: 4} {
		if got, err := l.LineAt(off); got != line || err != nil {
			t.Errorf("LineAt(%d) = %d, %v; want %d", off, got, err, line)
		}
	}
	if _, err := l.LineAt(l.Size()); !fault.Is(err, fault.Invalid) {
		t.Errorf("LineAt(Size) = %v", err)
	}
	if _, err := sh.Write([]byte("late")); !fault.Is(err, fault.Conflict) {
		t.Errorf("write after Finish: %v", err)
	}
	if n, err := sh.WriteAt([]byte("hello\n"), 0); n != 6 || err != nil {
		t.Errorf("bytes that are there, sent again after Finish: %d, %v", n, err)
	}
}

func TestSendingAgainIsHarmlessAndGapsAreRefused(t *testing.T) {
	l := openLog(t, openStore(t, t.TempDir(), Config{}), one)
	s := l.Stream("sh", "")
	for _, c := range []struct {
		off  int64
		text string
	}{{0, "abc\n"}, {0, "abc\n"}, {2, "c\nde\n"}, {6, "\n"}, {7, "f"}, {7, "fg"}, {3, "\nde\nfgh"}} {
		if n, err := s.WriteAt([]byte(c.text), c.off); err != nil || n != len(c.text) {
			t.Fatalf("WriteAt(%q, %d) = %d, %v", c.text, c.off, n, err)
		}
	}
	if n, err := s.WriteAt([]byte("x"), 11); !errors.Is(err, ErrGap) || !fault.Is(err, fault.Invalid) || n != 0 {
		t.Errorf("bytes after a gap: %d, %v", n, err)
	}
	must(t, s.Gap(5, "the agent's disk\nwas full"))
	if _, err := s.WriteAt([]byte("on\n"), s.Received()); err != nil {
		t.Fatal(err)
	}
	want := "abc\nde\nfgh\n[outwork] 5 bytes of output are missing here: the agent's disk was full\non\n"
	if got := console(t, l); got != want {
		t.Errorf("console = %q, want %q", got, want)
	}
	if s.Received() != 10+5+3 {
		t.Errorf("Received = %d", s.Received())
	}
}

func TestUnfinishedLinesWaitForQuietWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir, Config{})
		l := openLog(t, s, one)
		a, b := l.Stream("a", ""), l.Stream("b", "")
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := console(t, l); got != want {
				t.Errorf("console = %q, want %q", got, want)
			}
		}
		write(t, a, "alone..")
		expect("alone..")
		if a.Received() != 7 {
			t.Errorf("passed on, and Received is %d", a.Received())
		}
		write(t, b, "b1\n") // waits for a's line
		expect("alone..")
		if b.Received() != 0 {
			t.Errorf("held, and Received is %d", b.Received())
		}
		write(t, a, ".done\n")
		expect("alone...done\nb1\n")
		write(t, a, "a2")
		expect("alone...done\nb1\n")
		write(t, b, "b2\n")
		expect("alone...done\nb1\nb2\n")
		time.Sleep(1100 * time.Millisecond)
		expect("alone...done\nb1\nb2\na2")
		write(t, b, "b3\n") // a has been quiet for long enough... for its own sake
		time.Sleep(2100 * time.Millisecond)
		expect("alone...done\nb1\nb2\na2\nb3\n")
		write(t, a, "tail")
		must(t, a.Close())
		expect("alone...done\nb1\nb2\na2\nb3\ntail\n")
		must(t, l.Finish())
	})
}

func TestNobodyWaitsForEverBehindAnUnfinishedLine(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, openStore(t, dir, Config{}), one)
		a, b := l.Stream("a", ""), l.Stream("b", "")
		write(t, a, ".")
		write(t, b, "waiting\n")
		for range 30 { // a never pauses and never ends its line
			time.Sleep(100 * time.Millisecond)
			write(t, a, ".")
		}
		if !strings.Contains(console(t, l), ".\nwaiting\n") {
			t.Errorf("after three seconds b still waits: %q", console(t, l))
		}
		big := strings.Repeat("x", 200) + "\n"
		for range 1000 {
			write(t, a, ".")
			write(t, b, big)
		}
		if held := int64(1000*len(big)+8) - b.Received(); held > maxHeld {
			t.Errorf("%d bytes are held back", held)
		}
		must(t, l.Finish())
	})
}

func TestLimitIsMarkedAndCounted(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{MaxSize: 10_000})
	l := openLog(t, s, one)
	a := l.Stream("a", "")
	sent := 0
	for i := range 1000 {
		text := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", 50))
		write(t, a, text)
		sent += len(text)
	}
	must(t, a.Sync())
	if a.Received() != int64(sent) {
		t.Errorf("Received = %d, sent %d: over the limit bytes are counted", a.Received(), sent)
	}
	must(t, a.Gap(7, "lost"))
	must(t, l.Finish())
	text := console(t, l)
	if len(text) > 10_000+500 {
		t.Errorf("the console has %d bytes", len(text))
	}
	kept := strings.Index(text, "[outwork] the log has reached its limit of 10000 bytes: what follows is counted and not kept\n")
	if kept < 0 {
		t.Fatalf("no marker: …%q", text[max(0, len(text)-300):])
	}
	if kept > 0 && text[kept-1] != '\n' {
		t.Error("the marker is not on a line of its own")
	}
	if want := fmt.Sprintf("[outwork] %d bytes were not kept\n", l.Dropped()); !strings.HasSuffix(text, want) {
		t.Errorf("ends %q, want %q", text[len(text)-100:], want)
	}
	if l.Dropped() < int64(sent)-10_000 || l.Dropped() > int64(sent) {
		t.Errorf("Dropped = %d of %d", l.Dropped(), sent)
	}
}

func TestFollowersSeeAllAndEndWithTheLog(t *testing.T) {
	l := openLog(t, openStore(t, t.TempDir(), Config{}), one)
	s := l.Stream("a", "")
	write(t, s, "before\n")
	const followers = 4
	type result struct {
		text []byte
		err  error
	}
	results := make(chan result, followers)
	begun := make(chan struct{}, followers)
	for i := range followers {
		go func() {
			var got bytes.Buffer
			err := l.Follow(t.Context(), int64(i), func(off int64, p []byte) error {
				if off != int64(i+got.Len()) {
					return fmt.Errorf("offset %d after %d bytes from %d", off, got.Len(), i)
				}
				if got.Len() == 0 {
					begun <- struct{}{}
				}
				got.Write(p)
				return nil
			})
			results <- result{got.Bytes(), err}
		}()
	}
	for range followers {
		<-begun
	}
	for i := range 2000 {
		write(t, s, fmt.Sprintf("line %d\n", i))
	}
	must(t, l.Finish())
	want := console(t, l)
	for range followers {
		r := <-results
		if r.err != nil || !strings.HasSuffix(want, string(r.text)) || len(r.text) < len(want)-followers {
			t.Errorf("follower: %d bytes of %d, %v", len(r.text), len(want), r.err)
		}
	}
}

func TestFollowEndsWithContextSinkRemovalAndClose(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	cause := errors.New("gone home")
	start := func(ctx context.Context, id build.ID) chan error {
		l, err := s.Build(id)
		must(t, err)
		write(t, l.Stream("a", ""), "x\n")
		seen, done := make(chan struct{}), make(chan error, 1)
		go func() {
			defer l.Release()
			done <- l.Follow(ctx, 0, func(int64, []byte) error { close(seen); return nil })
		}()
		<-seen
		return done
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := start(ctx, one)
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
	done = start(t.Context(), build.ID{Job: "b", Number: 1})
	must(t, s.Remove(build.ID{Job: "b", Number: 1}))
	if err := <-done; !fault.Is(err, fault.NotFound) {
		t.Errorf("removed: %v", err)
	}
	done = start(t.Context(), build.ID{Job: "c", Number: 1})
	must(t, s.Close())
	if err := <-done; !fault.Is(err, fault.Unavailable) {
		t.Errorf("closed: %v", err)
	}
	if _, err := s.Build(one); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Build after Close: %v", err)
	}
}

func TestRemoveAndLookup(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	if _, err := s.Lookup(one); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup of nothing: %v", err)
	}
	for _, id := range []build.ID{{}, {Job: "a", Number: 0}, {Job: "../a", Number: 1}, {Job: "a/../../b", Number: 1}} {
		if _, err := s.Build(id); !fault.Is(err, fault.Invalid) {
			t.Errorf("Build(%v): %v", id, err)
		}
	}
	l := openLog(t, s, one)
	st := l.Stream("a", "")
	write(t, st, "x\n")
	two := build.ID{Job: "team/app", Number: 2}
	openLog(t, s, two)
	must(t, s.Remove(one))
	must(t, s.Remove(one))
	if _, err := st.Write([]byte("y\n")); !fault.Is(err, fault.NotFound) {
		t.Errorf("write to a removed log: %v", err)
	}
	if _, err := s.Lookup(one); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup after Remove: %v", err)
	}
	again := openLog(t, s, one)
	if again.Size() != 0 {
		t.Errorf("a new log of the name has %d bytes", again.Size())
	}
	must(t, s.Remove(one))
	must(t, s.Remove(two))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{MaxOpen: 3})
	var logs []*Log
	for i := range 20 {
		logs = append(logs, openLog(t, s, build.ID{Job: "j", Number: i + 1}))
	}
	for round := range 3 {
		for i, l := range logs {
			write(t, l.Stream("a", ""), fmt.Sprintf("%d of %d\n", round, i))
			if s.pool.open > 3 {
				t.Fatalf("%d logs have open files", s.pool.open)
			}
		}
	}
	for i, l := range logs {
		if got, want := console(t, l), fmt.Sprintf("0 of %d\n1 of %d\n2 of %d\n", i, i, i); got != want {
			t.Errorf("log %d = %q", i, got)
		}
	}
}

func TestSyncsOfManyLogsShareRounds(t *testing.T) {
	r := prometheus.NewRegistry()
	s := openStore(t, t.TempDir(), Config{Registry: r})
	const logs, lines = 8, 50
	var wg sync.WaitGroup
	for i := range logs {
		l := openLog(t, s, build.ID{Job: "j", Number: i + 1})
		for k := range 2 {
			st := l.Stream(fmt.Sprint(k), "")
			wg.Go(func() {
				for range lines {
					if _, err := st.Write([]byte("a line\n")); err != nil {
						t.Error(err)
					}
					received := l.records.Load()
					if err := st.Sync(); err != nil {
						t.Error(err)
					}
					if l.synced.Load() < received {
						t.Errorf("Sync returned with %d of %d records synced", l.synced.Load(), received)
					}
				}
			})
		}
	}
	wg.Wait()
	families, err := r.Gather()
	must(t, err)
	seen := 0
	for _, f := range families {
		switch f.GetName() {
		case "outwork_log_sync_seconds":
			seen++
			if n := f.Metric[0].Histogram.GetSampleCount(); n == 0 || n > logs*lines*2*3/4 {
				t.Errorf("%d syncs took %d rounds", logs*lines*2, n)
			}
		case "outwork_log_written_bytes_total":
			seen++
			if n := f.Metric[0].Counter.GetValue(); n != logs*lines*2*7 {
				t.Errorf("%v bytes were written", n)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d metrics of 2", seen)
	}
}

func TestRunSyncsAndCloses(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		l, err := s.Build(one)
		must(t, err)
		a, b := l.Stream("a", ""), l.Stream("b", "")
		write(t, b, "x\n")
		write(t, a, "held")
		if l.synced.Load() != 0 {
			t.Error("synced before anybody asked")
		}
		time.Sleep(syncEvery + time.Second)
		synctest.Wait()
		if l.synced.Load() != l.records.Load() {
			t.Errorf("%d of %d records are synced", l.synced.Load(), l.records.Load())
		}
		write(t, b, "y\n")
		write(t, a, " again")
		l.Release()
		cancel()
		must(t, <-done)
	})
	l := openLog(t, openStore(t, dir, Config{}), one)
	if got := l.Stream("a", "").Received(); got != 10 {
		t.Errorf("what was held at the end is not in the log: Received = %d", got)
	}
}

func TestLongLinesAreCutForShowOnly(t *testing.T) {
	l := openLog(t, openStore(t, t.TempDir(), Config{MaxLine: 10}), one)
	s := l.Stream("a", "")
	long := strings.Repeat("é", 200_000)
	write(t, s, "short\n"+long+"\nexactly10!\n\n")
	lines, err := l.Range(t.Context(), 0, 10)
	must(t, err)
	var texts []string
	for _, x := range lines {
		texts = append(texts, x.Text)
	}
	if d := cmp.Diff(texts, []string{"short", "ééééé… [399990 more bytes in this line]", "exactly10!", ""}); d != "" {
		t.Error(d)
	}
	if lines[1].Length != 400_000 || !strings.Contains(console(t, l), long) {
		t.Error("the line itself was changed")
	}
}

func TestSearch(t *testing.T) {
	l := openLog(t, openStore(t, t.TempDir(), Config{MaxLine: 100}), one)
	s := l.Stream("a", "st")
	for i := range 3000 {
		write(t, s, fmt.Sprintf("%s line %d\n", strings.Repeat("-", 60), i+1))
	}
	write(t, s, "Straße FEHLER\n"+strings.Repeat("x", 200)+"hidden\n")
	numbers := func(q string, o SearchOptions) string {
		t.Helper()
		ms, err := l.Search(t.Context(), q, o)
		must(t, err)
		var b strings.Builder
		for _, m := range ms {
			found := "-"
			if m.Start >= 0 {
				found = m.Line.Text[m.Start:m.End]
			}
			fmt.Fprintf(&b, "%d:%s ", m.Line.Number, found)
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		q    string
		o    SearchOptions
		want string
	}{
		{"line 2999", SearchOptions{}, "2999:line 2999"},
		{"LINE 2999", SearchOptions{}, ""},
		{"LINE 299", SearchOptions{IgnoreCase: true, Limit: 2}, "299:line 299 2990:line 299"},
		{"line 1$", SearchOptions{Regexp: true}, "1:line 1"},
		{"line 1$", SearchOptions{}, ""},
		{`line \d+00$`, SearchOptions{Regexp: true, From: 2801}, "2900:line 2900 3000:line 3000"},
		{"fehler", SearchOptions{IgnoreCase: true}, "3001:FEHLER"},
		{"hidden", SearchOptions{}, "3002:-"},
	} {
		if got := numbers(c.q, c.o); got != c.want {
			t.Errorf("Search(%q, %+v) = %s, want %s", c.q, c.o, got, c.want)
		}
	}
	for _, q := range []string{"", "a(", strings.Repeat("x", 5000)} {
		if _, err := l.Search(t.Context(), q, SearchOptions{Regexp: true}); !fault.Is(err, fault.Invalid) {
			t.Errorf("Search(%.10q): %v", q, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Search(ctx, "x", SearchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
