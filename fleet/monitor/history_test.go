package monitor

import (
	"math"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
)

func TestHistoryOfADay(t *testing.T) {
	var h History
	if h.Series(DiskFree, start()) != nil {
		t.Error("an empty history has points")
	}
	const samples = 26 * 360
	at := func(i int) time.Time { return start().Add(time.Duration(i) * 10 * time.Second) }
	for i := range samples {
		s := well(at(i))
		s.Vitals.Disk.Free = int64(i%6+1) * gib
		s.Offset = -time.Duration(i%6) * time.Second
		h.Add(s)
	}
	now := at(samples - 1)
	for _, c := range []struct {
		back  time.Duration
		count int
		step  time.Duration
	}{{time.Hour, 60, time.Minute}, {24*time.Hour - time.Minute, 287, 5 * time.Minute}, {100 * time.Hour, 288, 5 * time.Minute}} {
		ps := h.Series(DiskFree, now.Add(-c.back))
		if len(ps) < c.count || len(ps) > c.count+1 {
			t.Errorf("%d points of the last %v, want %d", len(ps), c.back, c.count)
		}
		for i, p := range ps {
			if p.Min != gib || p.Max != 6*gib || math.Abs(p.Avg/gib-3.5) > 0.02 {
				t.Fatalf("point %d: %+v", i, p)
			}
			if i > 0 && p.At.Sub(ps[i-1].At) != c.step {
				t.Fatalf("point %d at %v, the one before at %v", i, p.At, ps[i-1].At)
			}
		}
	}
	if p := h.Series(ClockOffset, now.Add(-10*time.Minute))[0]; math.Abs(p.Min+5000) > 25 || p.Max != 0 {
		t.Errorf("%+v", p)
	}
	if h.Series("colour", start()) != nil {
		t.Error("points of an unknown quantity")
	}
}

func TestHistoryHasGaps(t *testing.T) {
	var h History
	h.Add(well(start()))
	s := well(start().Add(30 * time.Minute))
	s.Vitals = agent.Vitals{}
	h.Add(s)
	h.Add(well(start().Add(40 * time.Minute)))
	h.Add(well(start().Add(39 * time.Minute))) // late
	if got := len(h.Series(DiskFree, start())); got != 2 {
		t.Errorf("%d points of the disk, want 2", got)
	}
	if got := len(h.Series(ResponseTime, start())); got != 3 {
		t.Errorf("%d points of the response time, want 3", got)
	}
	h.Add(well(start().Add(1000 * time.Hour)))
	if got := len(h.Series(DiskFree, time.Time{})); got != 1 {
		t.Errorf("%d points after a long pause, want 1", got)
	}
}

// Every point holds what was added in its time, and nothing else.
func TestHistoryHoldsWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h History
		now := start()
		byMinute := map[int64][]float64{}
		for range rapid.IntRange(1, 200).Draw(t, "samples") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "seconds")) * time.Second)
			trip := time.Duration(rapid.IntRange(0, 5_000_000).Draw(t, "trip")) * time.Microsecond
			h.Add(fleet.Sample{At: now, RoundTrip: trip})
			byMinute[now.Unix()/60] = append(byMinute[now.Unix()/60], milliseconds(trip))
		}
		since := now.Add(-time.Hour)
		seen := map[int64]bool{}
		for _, p := range h.Series(ResponseTime, since) {
			xs := byMinute[p.At.Unix()/60]
			if len(xs) == 0 || p.At.Before(since) {
				t.Fatalf("a point of nothing: %+v", p)
			}
			seen[p.At.Unix()/60] = true
			low, high, sum := math.Inf(1), math.Inf(-1), 0.0
			for _, x := range xs {
				low, high, sum = min(low, x), max(high, x), sum+x
			}
			for _, c := range [][2]float64{{p.Min, low}, {p.Avg, sum / float64(len(xs))}, {p.Max, high}} {
				if math.Abs(c[0]-c[1]) > 0.005*c[1] {
					t.Fatalf("got %+v of %v", p, xs)
				}
			}
			if p.Min > p.Avg || p.Avg > p.Max {
				t.Fatalf("out of order: %+v", p)
			}
		}
		for m := range byMinute {
			if m*60 >= since.Unix() && !seen[m] {
				t.Fatalf("minute %d has no point", m)
			}
		}
	})
}

func TestHistoryIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	farm := make([]*History, 1000)
	for i := range farm {
		farm[i] = new(History)
		farm[i].Add(well(start()))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 20_000_000 {
		t.Errorf("1000 nodes take %d bytes", got)
	} else {
		t.Logf("1000 nodes take %.1f MB", float64(got)/1e6)
	}
	runtime.KeepAlive(farm)
}

func BenchmarkHistoryAdd(b *testing.B) {
	var h History
	i := 0
	for b.Loop() {
		i++
		h.Add(well(start().Add(time.Duration(i) * 10 * time.Second)))
	}
}
