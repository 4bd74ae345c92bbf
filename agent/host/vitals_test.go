package host

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// S3-04: what is measured of this computer is what it is.
func TestVitalsOfThisComputer(t *testing.T) {
	root := t.TempDir()
	before := time.Now()
	v := NewGauge(root).Read()
	free, err := freeBytes(root)
	if err != nil {
		t.Fatal(err)
	}
	if v.Disk.Path != root || v.Temp.Path != os.TempDir() || v.Disk.Total <= 0 || v.Disk.Free > v.Disk.Total {
		t.Errorf("disk %+v, temp %+v", v.Disk, v.Temp)
	}
	if off := v.Disk.Free - free; max(off, -off) > v.Disk.Total/10 {
		t.Errorf("%d bytes free, the system says %d", v.Disk.Free, free)
	}
	if v.Memory <= 0 || v.MemoryAll < v.Memory || v.SwapAll < v.Swap {
		t.Errorf("memory %d of %d, swap %d of %d", v.Memory, v.MemoryAll, v.Swap, v.SwapAll)
	}
	if v.Swap < 0 && runtime.GOOS != "windows" { // Wine does not count its page file
		t.Errorf("swap %d of %d", v.Swap, v.SwapAll)
	}
	if v.CPUs != runtime.NumCPU() || v.Uptime <= 0 || v.Agent < 1<<20 || v.Agent > v.MemoryAll {
		t.Errorf("%+v", v)
	}
	if runtime.GOOS != "windows" && v.Load < 0 {
		t.Errorf("load %v", v.Load)
	}
	if v.Clock.Before(before) || v.Clock.After(time.Now()) {
		t.Errorf("clock %v", v.Clock)
	}
}

func TestVitalsOfAMissingFolder(t *testing.T) {
	v := NewGauge(t.TempDir() + "/missing").Read()
	if v.Disk.Free != -1 || v.Disk.Total != -1 || v.Temp.Total <= 0 {
		t.Errorf("%+v", v)
	}
}

// A file system that hangs stops nothing: its last value is told, and how old it is.
func TestVitalsWhileAFileSystemHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Pointer[chan struct{}]
		var measured, begun atomic.Int64
		g := newGauge(
			func() agent.Space {
				begun.Add(1)
				if c := hang.Load(); c != nil {
					<-*c
				}
				return agent.Space{Path: "/srv", Free: measured.Add(1), Total: 100}
			},
			func() agent.Space { return agent.Space{Path: "/tmp", Free: 7, Total: 8} },
			func() agent.Vitals { return agent.Vitals{Memory: measured.Load()} },
		)
		if v := g.Read(); v.Disk != (agent.Space{Path: "/srv", Free: 1, Total: 100}) || !v.Clock.Equal(time.Now()) {
			t.Errorf("%+v", v)
		}
		stuck := make(chan struct{})
		hang.Store(&stuck)
		for i := range 20 {
			time.Sleep(10 * time.Second)
			began := time.Now()
			v := g.Read()
			took := time.Since(began)
			if most := vitalsWait; i > 0 && took > 0 || took > most {
				t.Fatalf("read %d took %v", i, took)
			}
			age := time.Duration(i+1)*10*time.Second + vitalsWait
			if v.Disk.Free != 1 || v.Disk.Age != age || v.Temp.Age != 0 && i > 0 || v.Clock != time.Now() {
				t.Fatalf("read %d: %+v, want an age of %v", i, v, age)
			}
			if n := begun.Load(); n != 2 {
				t.Fatalf("%d measurements, want the first and the one that hangs", n)
			}
		}
		hang.Store(nil)
		close(stuck)
		synctest.Wait()
		if v := g.Read(); v.Disk.Free != 2 || v.Disk.Age != 0 {
			t.Errorf("%+v", v)
		}
	})
}

func TestVitalsThatHangFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		g := newGauge(func() agent.Space { <-stuck; return agent.Space{Free: 1, Total: 1} }, spaceOf("/"), numb)
		g.Read()
		time.Sleep(time.Minute)
		if v := g.Read(); v.Disk.Free != -1 || v.Disk.Age < time.Minute {
			t.Errorf("%+v", v.Disk)
		}
		close(stuck)
		synctest.Wait()
	})
}

func TestVitalsAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var measured atomic.Int64
		g := newGauge(func() agent.Space { return agent.Space{Free: measured.Add(1), Total: 9} }, spaceOf("/"), numb)
		for range 61 {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if v := g.Read(); v.Disk.Free < 1 || v.Disk.Age >= vitalsEvery {
						t.Errorf("%+v", v)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
		}
		if n := measured.Load(); n != 13 {
			t.Errorf("measured %d times in a minute, want 13", n)
		}
	})
}

// BenchmarkVitals measures anew each time.
func BenchmarkVitals(b *testing.B) {
	root, p := b.TempDir(), newPulse()
	b.ReportAllocs()
	for b.Loop() {
		spaceOf(root)()
		spaceOf(os.TempDir())()
		p.feel()
	}
}

func BenchmarkVitalsCached(b *testing.B) {
	g := NewGauge(b.TempDir())
	for b.Loop() {
		g.Read()
	}
}
