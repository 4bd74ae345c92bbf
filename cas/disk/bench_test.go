package disk_test

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
)

func BenchmarkBatch(b *testing.B) {
	s := open(b, disk.Config{})
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			var blobs []cas.Blob
			for range 100 {
				data := fmt.Appendf(make([]byte, 1000), "%d", n.Add(1))
				blobs = append(blobs, cas.Blob{Digest: cas.Of(data), Data: data})
			}
			for _, err := range s.PutBatch(b.Context(), blobs) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "blobs/s")
}

func BenchmarkGetSmall(b *testing.B) {
	s := open(b, disk.Config{})
	ds := putMany(b, s, 0, 1000, 1024)
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, err := s.Get(b.Context(), ds[n.Add(1)%1000], 0)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, r)
			r.Close()
		}
	})
}

// Durable blobs of 1 KiB from 64 writers.
func BenchmarkPut64(b *testing.B) {
	s := open(b, disk.Config{})
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := cas.PutBytes(b.Context(), s, castest.Bytes(uint64(i), 1024)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
}
