package host

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/outwork-build/outwork/agent"
)

const (
	vitalsEvery = 5 * time.Second        // measured no more often
	vitalsWait  = 250 * time.Millisecond // for a measurement that has just begun
)

// Gauge measures how this computer feels. What it cannot measure in time, a file system that hangs for one, keeps its last
// value; see agent.Space.Age. It may be used concurrently and needs no end: it runs only while something is measured.
type Gauge struct {
	disk, temp *probe[agent.Space]
	rest       *probe[agent.Vitals] // without Disk and Temp
}

// NewGauge makes a Gauge of the computer, with Disk the file system of root.
func NewGauge(root string) *Gauge {
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	return newGauge(spaceOf(root), spaceOf(os.TempDir()), newPulse().feel)
}

func newGauge(disk, temp func() agent.Space, rest func() agent.Vitals) *Gauge {
	now := time.Now()
	none := agent.Space{Free: -1, Total: -1}
	return &Gauge{
		disk: &probe[agent.Space]{measure: disk, value: none, at: now},
		temp: &probe[agent.Space]{measure: temp, value: none, at: now},
		rest: &probe[agent.Vitals]{measure: rest, value: numb(), at: now},
	}
}

// numb is the rest of Vitals with nothing measured.
func numb() agent.Vitals {
	return agent.Vitals{Memory: -1, MemoryAll: -1, Swap: -1, SwapAll: -1, Load: -1, CPUs: runtime.NumCPU(), Uptime: -1, Agent: -1}
}

// Read says how the computer feels. It waits a quarter of a second at most, and measures no more often than every five
// seconds; Clock is always the time of this call.
func (g *Gauge) Read() agent.Vitals {
	now := time.Now()
	begun := []<-chan struct{}{g.disk.refresh(now), g.temp.refresh(now), g.rest.refresh(now)}
	timer := time.NewTimer(vitalsWait)
	defer timer.Stop()
wait:
	for _, done := range begun {
		if done == nil {
			continue
		}
		select {
		case <-done:
		case <-timer.C:
			break wait
		}
	}
	v, _ := g.rest.last()
	now = time.Now()
	v.Clock = now
	v.Disk, v.Temp = aged(g.disk, now), aged(g.temp, now)
	return v
}

func aged(p *probe[agent.Space], now time.Time) agent.Space {
	s, at := p.last()
	s.Age = now.Sub(at)
	return s
}

// probe keeps the newest value of something that may take forever to measure.
type probe[T any] struct {
	measure func() T // at most one runs

	mu    sync.Mutex
	value T
	at    time.Time     // of value
	begun time.Time     // of the newest measurement
	busy  chan struct{} // closed when the one under way ends; nil when none is
}

// refresh begins to measure if the value is old. The channel is closed when what has just begun has ended; it is nil when
// there is nothing worth waiting for.
func (p *probe[T]) refresh(now time.Time) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy != nil {
		if now.Sub(p.begun) < vitalsWait {
			return p.busy
		}
		return nil // it hangs
	}
	if !p.begun.IsZero() && now.Sub(p.at) < vitalsEvery {
		return nil
	}
	p.begun = now
	done := make(chan struct{})
	p.busy = done
	go func() {
		value := p.measure()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.value, p.at, p.busy = value, time.Now(), nil
		close(done)
	}()
	return done
}

func (p *probe[T]) last() (T, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value, p.at
}

// spaceOf measures the file system of a folder.
func spaceOf(path string) func() agent.Space {
	return func() agent.Space {
		u, err := disk.Usage(path)
		if err != nil {
			return agent.Space{Path: path, Free: -1, Total: -1}
		}
		return agent.Space{Path: path, Free: int64(u.Free), Total: int64(u.Total)}
	}
}

// feel measures all but the file systems. What fails is -1.
func (p *pulse) feel() agent.Vitals {
	v := numb()
	if m, err := mem.VirtualMemory(); err == nil {
		v.Memory, v.MemoryAll = int64(m.Available), int64(m.Total)
		v.Swap, v.SwapAll = swapOf(m)
	}
	v.Load = p.load()
	v.Uptime = uptime()
	v.Agent = resident()
	return v
}
