package monitor

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// simulate feeds free GiB, sampled every ten seconds, and counts the samples with a forecast.
func simulate(samples int, free func(i int) float64) (alarms int, first int, last fleet.Verdict) {
	first = -1
	for i := range samples {
		s := well(start().Add(time.Duration(i) * 10 * time.Second))
		s.Vitals.Disk.Free, s.Vitals.Disk.Total = int64(free(i)*gib), 1000*gib
		last, _ = disk().Judge(last, s, fleet.Limit{})
		if !last.Full.IsZero() {
			alarms++
			if first < 0 {
				first = i
			}
		}
	}
	return alarms, first, last
}

func TestForecastOfAFillingDisk(t *testing.T) {
	for _, c := range []struct {
		name   string
		perMin float64 // GiB
		noise  float64 // of a step
	}{{"steady", 1, 0}, {"uneven", 1, 0.3}, {"fast", 5, 0.4}} {
		r := rand.New(rand.NewPCG(1, 2))
		free, levels := 20.0, map[fleet.Level]int{}
		var last fleet.Verdict
		worst := 0.0
		for i := 0; free > 1; i++ {
			s := well(start().Add(time.Duration(i) * 10 * time.Second))
			s.Vitals.Disk.Free = int64(free * gib)
			last, _ = disk().Judge(last, s, fleet.Limit{})
			levels[last.Level]++
			if truth := (free - 1) / c.perMin; i >= 12 {
				if last.Full.IsZero() {
					t.Fatalf("%s: no forecast after %d samples, %.1f min before it is full", c.name, i, truth)
				}
				if last.Level != fleet.Warning || !strings.Contains(last.Text, ", below 1.00 GiB in ") {
					t.Fatalf("%s: %+v", c.name, last)
				}
				if truth > 1 {
					worst = max(worst, math.Abs(last.Full.Sub(s.At).Minutes()/truth-1))
				}
			}
			free -= c.perMin / 6 * (1 + c.noise*r.NormFloat64())
		}
		if worst > 0.25+c.noise {
			t.Errorf("%s: a forecast was off by %.0f %%", c.name, worst*100)
		}
		t.Logf("%s: at worst off by %.0f %%", c.name, worst*100)
	}
}

// A leak of 1 GiB an hour on 20 GiB shows in hours, not in minutes of noise.
func TestForecastOfASlowLeak(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	_, first, last := simulate(6*60*3, func(i int) float64 { return 20 - float64(i)/360 + 0.0005*r.NormFloat64() })
	if first < 0 || last.Full.IsZero() {
		t.Fatal("no forecast")
	}
	left := last.Full.Sub(start().Add(3 * time.Hour)).Hours()
	if left < 14 || left > 18 {
		t.Errorf("below the threshold in %.1f h, want 16", left)
	}
	if last.Level != fleet.Good {
		t.Errorf("level %q, half a day before", last.Level)
	}
	t.Logf("seen after %d min", first/6)
}

func TestNoForecastOfNoise(t *testing.T) {
	const day = 8640
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 7))
		walk := 100.0
		for name, free := range map[string]func(i int) float64{
			"flat":  func(int) float64 { return 5 },
			"white": func(int) float64 { return 5 + r.NormFloat64() },
			"step":  func(i int) float64 { return 50 - float64(i/2000)*10 },
			"wave":  func(i int) float64 { return 20 + 8*math.Sin(float64(i)/2) + 0.5*r.NormFloat64() },
			"random walk": func(int) float64 {
				walk += 0.05 * r.NormFloat64()
				return walk
			},
			"short builds": func(i int) float64 { return 20 - float64(i%7) - 0.2*r.Float64() },
		} {
			if alarms, first, _ := simulate(day, free); alarms > 0 {
				t.Errorf("%s, seed %d: %d false alarms, the first after %d samples", name, seed, alarms, first)
			}
		}
	}
}

// When the disk is emptied the forecast is gone with the next sample.
func TestForecastEndsWhenEmptied(t *testing.T) {
	if _, _, v := simulate(60, func(i int) float64 { return 30 - 0.3*float64(i) }); v.Full.IsZero() {
		t.Fatal("no forecast")
	}
	if _, _, v := simulate(61, func(i int) float64 {
		if i == 60 {
			return 30
		}
		return 30 - 0.3*float64(i)
	}); !v.Full.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestForecastReadsAnyState(t *testing.T) {
	for _, state := range [][]float64{nil, {1}, {0, -1}, {0, 5}, {0, 1, 2}, {0, 1e18, 1, 1}, make([]float64, 500), {0, math.Inf(1)}, {0, math.NaN(), 1, 2}} {
		f := forecastOf(state)
		f.add(start(), 5)
		if _, ok := f.reaches(1); ok {
			t.Errorf("%v reaches", state)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	set := newSet(b, nil)
	var j Judgement
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		s := well(start().Add(time.Duration(i) * 10 * time.Second))
		s.Vitals.Disk.Free -= int64(i) << 10
		j = set.Judge(j.Verdicts, s, nil)
	}
}
