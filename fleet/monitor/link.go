package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// clock watches how far the machine's clock is from ours. Its value is positive when it is ahead.
type clock struct{}

func (clock) Name() string { return Clock }

func (clock) Judge(before fleet.Verdict, s fleet.Sample, limit fleet.Limit) (fleet.Verdict, error) {
	if unmeasured(s) {
		return before, errUnmeasured
	}
	limit.Action = cmp.Or(limit.Action, fleet.Warn)
	limit.Bad = cmp.Or(limit.Bad, 5000)
	off := s.Offset.Abs()
	v := fleet.Verdict{Value: milliseconds(s.Offset), Text: "in sync"}
	if off >= time.Millisecond {
		v.Text = span(off) + map[bool]string{true: " ahead", false: " behind"}[s.Offset > 0]
	}
	certain := max(0, off-s.RoundTrip/2) // the estimate may err by half the round trip
	v.State = []float64{settle(&v, before, s.At, above(milliseconds(certain), limit))}
	follow(&v, limit.Action, fmt.Sprintf("The clock is %s, which is more than %s.", v.Text, span(time.Duration(limit.Bad)*time.Millisecond)))
	return v, nil
}

const (
	window   = 5    // heartbeats of which response takes the mean, and time-outs in a row that are bad
	timedOut = 5000 // milliseconds that a time-out counts
)

// response watches how fast the agent answers. A time-out never stands in a Limit: five in a row are bad. Where that ends the
// connection, the first answer of the next one starts afresh.
//
// Its state is, after the time of recovery: the time-outs in a row, and the newest round trips, newest last.
type response struct{}

func (response) Name() string { return Response }

func (response) Judge(before fleet.Verdict, s fleet.Sample, limit fleet.Limit) (fleet.Verdict, error) {
	limit.Action = cmp.Or(limit.Action, fleet.Disconnect)
	if before.Action == fleet.Disconnect && !s.TimedOut {
		before = fleet.Verdict{}
	}
	row, trips := 0.0, []float64(nil)
	if len(before.State) >= 2 {
		row, trips = before.State[1], slices.Clone(before.State[2:])
	}
	if s.TimedOut {
		row++
		trips = append(trips, timedOut)
	} else {
		row = 0
		trips = append(trips, milliseconds(s.RoundTrip))
	}
	trips = trips[max(0, len(trips)-window):]
	v := fleet.Verdict{Value: mean(trips)}
	v.Text = span(time.Duration(v.Value * float64(time.Millisecond)))
	if n := count(trips); n > 0 {
		v.Text += fmt.Sprintf(", %d of the last %d timed out", n, len(trips))
	}
	trip := above(v.Value, limit)
	since := settle(&v, before, s.At, func(factor float64) fleet.Level {
		switch {
		case row >= window, factor > 1 && row > 0:
			return fleet.Bad
		case len(trips) < window:
			return fleet.Good
		}
		return trip(factor)
	})
	v.State = append([]float64{since, row}, trips...)
	cause := fmt.Sprintf("Timed out for last %d attempts", int(row))
	if row < window {
		cause = fmt.Sprintf("The response time is %s, which is more than %s.", v.Text, span(time.Duration(limit.Bad)*time.Millisecond))
		if limit.Bad == 0 {
			cause = "Timed out until a short time ago"
		}
	}
	follow(&v, limit.Action, cause)
	return v, nil
}

func mean(xs []float64) (sum float64) {
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

func count(trips []float64) (n int) {
	for _, x := range trips {
		if x == timedOut {
			n++
		}
	}
	return n
}

// architecture tells what a machine is. It never judges.
type architecture struct{}

func (architecture) Name() string { return Architecture }

func (architecture) Judge(before fleet.Verdict, s fleet.Sample, _ fleet.Limit) (fleet.Verdict, error) {
	if s.OS == "" {
		return before, errUnmeasured
	}
	name := s.OS
	switch s.OS {
	case "darwin":
		name = "macOS"
	default:
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	v := fleet.Verdict{Text: fmt.Sprintf("%s (%s)", name, s.Arch), Since: before.Since}
	if v.Text != before.Text {
		v.Since = s.At
	}
	return v, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
