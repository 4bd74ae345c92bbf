package monitor

import (
	"math"
	"slices"
	"time"
)

// forecast watches a quantity that may shrink, in two windows: the last minutes, and the last hours.
//
// A window sees it shrink only when it does so in most of its steps and evenly enough that chance is no explanation: noise
// around a level goes up as often as down, and one large file is a single step. How fast is the median over all pairs of
// points (Theil and Sen), which a few strange ones do not move. A window looks ahead 20 times as far as back.
type forecast struct{ windows [2]track }

// track is a window. A point is a time in seconds since 1970 and a value.
type track struct {
	spacing float64 // seconds from point to point at least
	points  [][2]float64
}

const (
	fewest = 8  // points that a window needs
	most   = 16 // points that a window keeps
	ahead  = 20 // times the length of the window
	sure   = 5  // standard errors between the mean step and none
)

// forecastOf unpacks what state packed.
func forecastOf(state []float64) *forecast {
	f := &forecast{[2]track{{spacing: 9}, {spacing: 300}}}
	if len(state) < 2 {
		return f
	}
	n, rest := int(state[1]), state[2:]
	if n < 0 || len(rest)%2 != 0 || 2*n > len(rest) || len(rest) > 4*most {
		return f
	}
	for i := 0; i < len(rest); i += 2 {
		w := &f.windows[0]
		if i >= 2*n {
			w = &f.windows[1]
		}
		w.points = append(w.points, [2]float64{rest[i], rest[i+1]})
	}
	return f
}

// state packs it: a number for the caller, the length of the first window, and the points of both.
func (f *forecast) state(first float64) []float64 {
	state := make([]float64, 0, 2+4*most)
	state = append(state, first, float64(len(f.windows[0].points)))
	for _, w := range f.windows {
		for _, p := range w.points {
			state = append(state, p[0], p[1])
		}
	}
	return state
}

func (f *forecast) add(at time.Time, value float64) {
	for i := range f.windows {
		f.windows[i].add(float64(at.UnixMilli())/1000, value)
	}
}

// add takes a point. After a pause, or when the clock went back, it starts afresh.
func (w *track) add(at, value float64) {
	if n := len(w.points); n > 0 {
		switch d := at - w.points[n-1][0]; {
		case d < 0 || d > 6*w.spacing:
			w.points = w.points[:0]
		case d < w.spacing:
			return
		}
	}
	w.points = append(w.points, [2]float64{at, value})
	w.points = w.points[max(0, len(w.points)-most):]
}

// reaches says when the newest value will have shrunk to a limit: the sooner of what the windows say. ok is false when it is
// there already or does not shrink.
func (f *forecast) reaches(limit float64) (left time.Duration, ok bool) {
	for _, w := range f.windows {
		slope, shrinks := w.slope()
		if !shrinks {
			continue
		}
		n := len(w.points)
		room := w.points[n-1][1] - limit
		seconds := room / -slope
		if room <= 0 || seconds > ahead*(w.points[n-1][0]-w.points[0][0]) {
			continue
		}
		if d := time.Duration(seconds * float64(time.Second)); !ok || d < left {
			left, ok = d, true
		}
	}
	return left, ok
}

// slope is how much the value changes in a second, if it shrinks.
func (w *track) slope() (slope float64, shrinks bool) {
	n := len(w.points)
	if n < fewest {
		return 0, false
	}
	var sum, squares float64
	down := 0
	for i := 1; i < n; i++ {
		d := (w.points[i][1] - w.points[i-1][1]) / (w.points[i][0] - w.points[i-1][0])
		sum += d
		squares += d * d
		if d < 0 {
			down++
		}
	}
	steps := float64(n - 1)
	average := sum / steps
	spread := math.Sqrt(max(0, squares-steps*average*average) / (steps - 1) / steps)
	if float64(down) < 0.75*steps || -average < sure*spread {
		return 0, false
	}
	slopes := make([]float64, 0, most*(most-1)/2)
	for i := range n {
		for j := i + 1; j < n; j++ {
			slopes = append(slopes, (w.points[j][1]-w.points[i][1])/(w.points[j][0]-w.points[i][0]))
		}
	}
	slices.Sort(slopes)
	slope = slopes[len(slopes)/2]
	return slope, slope < 0
}
