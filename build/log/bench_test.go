package log

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/build"
)

func chunkOfLines(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%08d compiling some/package/of/the/tree with the usual flags -O2 -g\n", i)
	}
	return b.Bytes()[: size-1 : size-1]
}

// TestHundredMegabytes writes 100 MB while one follower reads and another is stuck, and counts the memory that takes.
func TestHundredMegabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	l := openLog(t, openStore(t, t.TempDir(), Config{}), one)
	s := l.Stream("a", "")
	chunk := append(chunkOfLines(64<<10), '\n')
	want, got := fnv.New64a(), fnv.New64a()
	stuck, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 2)
	go func() {
		done <- l.Follow(t.Context(), 0, func(_ int64, p []byte) error { _, err := got.Write(p); return err })
	}()
	go func() {
		first := true
		done <- l.Follow(t.Context(), 0, func(int64, []byte) error {
			if first {
				first = false
				close(stuck)
				<-release
			}
			return nil
		})
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := 0; n < 100_000_000; n += len(chunk) {
		if _, err := s.Write(chunk); err != nil {
			t.Fatal(err)
		}
		want.Write(chunk)
	}
	<-stuck
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("100 MB of log took %d bytes of memory", grown)
	}
	must(t, l.Finish())
	close(release)
	must(t, <-done)
	must(t, <-done)
	if want.Sum64() != got.Sum64() {
		t.Error("the follower read other bytes than were written")
	}
}

func BenchmarkAppendWithFollower(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := Open(b.TempDir(), Config{MaxSize: 1 << 50})
			must(b, err)
			defer s.Close()
			l, err := s.Build(one)
			must(b, err)
			defer l.Release()
			st := l.Stream("a", "")
			chunk := append(chunkOfLines(size), '\n')
			done := make(chan error, 1)
			go func() {
				done <- l.Follow(b.Context(), 0, func(_ int64, p []byte) error { _, err := io.Discard.Write(p); return err })
			}()
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := st.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			must(b, l.Finish())
			must(b, <-done)
		})
	}
}

func millionLines(b *testing.B) *Log {
	s, err := Open(b.TempDir(), Config{})
	must(b, err)
	b.Cleanup(func() { s.Close() })
	l, err := s.Build(one)
	must(b, err)
	st := l.Stream("a", "")
	for i := range 1_000_000 {
		if _, err := fmt.Fprintf(st, "%08d a line of an ordinary length, as compilers write them\n", i); err != nil {
			b.Fatal(err)
		}
	}
	must(b, l.Finish())
	return l
}

func BenchmarkMillionLines(b *testing.B) {
	l := millionLines(b)
	defer l.Release()
	b.Run("Range100InTheMiddle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if lines, err := l.Range(b.Context(), 500_000, 100); err != nil || len(lines) != 100 {
				b.Fatal(len(lines), err)
			}
		}
	})
	b.Run("LineAt", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.LineAt(l.Size() / 2); err != nil {
				b.Fatal(err)
			}
		}
	})
	for q, o := range map[string]SearchOptions{"text": {}, "regexp": {Regexp: true}, "ignorecase": {IgnoreCase: true}} {
		b.Run("Search/"+q, func(b *testing.B) {
			b.SetBytes(l.Size())
			for b.Loop() {
				if ms, err := l.Search(b.Context(), "00999999", o); err != nil || len(ms) != 1 {
					b.Fatal(len(ms), err)
				}
			}
		})
	}
	b.Run("Stages", func(b *testing.B) {
		for b.Loop() {
			l.stages = stageRuns{}
			if _, err := l.Stages(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSync is a line written and synced, by many callers on logs of their own.
func BenchmarkSync(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			s, err := Open(b.TempDir(), Config{})
			must(b, err)
			defer s.Close()
			work := make(chan struct{})
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					l, err := s.Build(build.ID{Job: "j", Number: i + 1})
					if err != nil {
						b.Error(err)
						return
					}
					defer l.Release()
					st := l.Stream("a", "")
					for range work {
						if _, err := st.Write([]byte("a line\n")); err != nil {
							b.Error(err)
						}
						if err := st.Sync(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
		})
	}
}
