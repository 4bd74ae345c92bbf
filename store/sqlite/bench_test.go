package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/store"
)

// BenchmarkFsync is what the others are measured by: one write of 4 KiB and one fdatasync's worth of waiting.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	must(b, err)
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLedger(b *testing.B) *Ledger {
	l, err := Open(b.Context(), b.TempDir(), Config{})
	must(b, err)
	b.Cleanup(func() { l.Close() })
	must(b, l.Builds.PutJob(b.Context(), build.Job{Name: "j"}, true))
	return l
}

func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			l := benchLedger(b)
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range work {
						if _, err := acceptOne(context.Background(), l); err != nil {
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
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
		})
	}
}

func BenchmarkJournalAppend(b *testing.B) {
	l := benchLedger(b)
	id, err := acceptOne(b.Context(), l)
	must(b, err)
	data := make([]byte, 200)
	var took []time.Duration
	seq := uint64(0)
	for b.Loop() {
		seq++
		start := time.Now()
		if err := l.Runs.Append(b.Context(), id, []pipeline.Entry{{Seq: seq, Data: data}}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkBuildsOf100000(b *testing.B) {
	l := benchLedger(b)
	for range 100 {
		must(b, l.Write(b.Context(), func(tx store.Tx) error {
			for range 1000 {
				if err := insertFinished(tx); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	last, err := acceptOne(b.Context(), l)
	must(b, err)
	for name, f := range map[string]build.Filter{
		"newest100":  {},
		"page50":     {Job: "j", Before: 50_000, Limit: 50},
		"unfinished": {States: []build.State{build.Queued, build.Running}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if bs, err := l.Builds.Builds(b.Context(), f); err != nil || len(bs) == 0 {
					b.Fatal(len(bs), err)
				}
			}
		})
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Builds.Build(b.Context(), last); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func insertFinished(tx store.Tx) error {
	number := 0
	err := tx.Query("job.take_number", []any{"j"}, func(scan func(...any) error) error { return scan(&number) })
	if err != nil {
		return err
	}
	data := fmt.Sprintf(`{"id":{"job":"j","number":%d},"state":"finished","result":"SUCCESS","cause":{"kind":"user","user":"alice"},"accepted":"2026-11-21T04:00:00Z"}`, number)
	_, err = tx.Exec("build.insert", "j", number, "finished", data)
	return err
}
