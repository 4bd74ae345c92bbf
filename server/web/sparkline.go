package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

const (
	graphWidth  = 220
	graphHeight = 34
)

// sparkline draws points between two times: the average as a line, least to most as a band. Where there was no sample for long
// the line is broken. No points draw nothing.
func sparkline(ps []fleet.Point, since, now time.Time) template.HTML {
	if len(ps) == 0 {
		return ""
	}
	if first := ps[0].At; first.After(since) { // what is younger than a day fills the width
		since = first
	}
	low, high := ps[0].Min, ps[0].Max
	for _, p := range ps {
		low, high = min(low, p.Min), max(high, p.Max)
	}
	x := func(t time.Time) float64 {
		return 1 + (graphWidth-2)*float64(t.Sub(since))/float64(max(now.Sub(since), time.Minute))
	}
	y := func(v float64) float64 {
		if high == low {
			return graphHeight / 2
		}
		return 2 + (graphHeight-4)*(high-v)/(high-low)
	}
	var line, band, back strings.Builder
	var last time.Time
	for i, p := range ps {
		move := "L"
		if i == 0 || p.At.Sub(last) > 11*time.Minute {
			move = "M"
		}
		last = p.At
		fmt.Fprintf(&line, "%s%.1f %.1f", move, x(p.At), y(p.Avg))
		fmt.Fprintf(&band, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x(p.At), y(p.Max))
	}
	for _, p := range slices.Backward(ps) {
		fmt.Fprintf(&back, "L%.1f %.1f", x(p.At), y(p.Min))
	}
	fmt.Fprintf(&line, "L%.1f %.1f", x(now), y(ps[len(ps)-1].Avg))
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="last %s"><path class="band" d="%s%sZ"/><path class="line" d="%s"/></svg>`,
		graphWidth, graphHeight, took(now.Sub(since)), band.String(), back.String(), line.String()))
}
