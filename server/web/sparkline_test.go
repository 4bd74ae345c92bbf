package web

import (
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// A graph has a line that breaks where nothing was heard, stays within its box, and is nothing without points.
func TestSparkline(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	since := now.Add(-24 * time.Hour)
	if g := sparkline(nil, since, now); g != "" {
		t.Errorf("%s", g)
	}
	var ps []fleet.Point
	for i := range 48 {
		if i > 20 && i < 30 {
			continue
		}
		v := float64(i * 7 % 13)
		ps = append(ps, fleet.Point{At: since.Add(time.Duration(i*5) * time.Minute), Min: v - 1, Avg: v, Max: v + 1})
	}
	g := string(sparkline(ps, since, now))
	line := g[strings.LastIndex(g, `d="`):]
	if strings.Count(line, "M") != 2 || strings.Contains(g, "NaN") || strings.Contains(line, "-") || !strings.Contains(g, `aria-label="last 24 h 00 min"`) {
		t.Error(g)
	}
	if flat := string(sparkline(ps[:1], since, now)); strings.Contains(flat, "NaN") || !strings.Contains(flat, "17.0") {
		t.Error(flat)
	}
}
