package cron

import (
	"math/bits"
	"time"
)

// horizon is how far Next and Prev look. 29 February falls on a given weekday every 40 years at the least.
const horizon = 41 * 366 * 24 * time.Hour

const (
	aMinute = 60
	anHour  = 60 * aMinute
	aDay    = 24 * anHour
)

// span is a time in which a zone keeps one offset. Times are in seconds since 1970; those of a wall clock as if it hung in
// Greenwich.
type span struct {
	start, end int64 // end is not in it
	offset     int64
}

func (t *Table) spanAt(at int64) span {
	local := time.Unix(at, 0).In(t.zone)
	_, offset := local.Zone()
	s := span{start: at - int64(2*horizon/time.Second), end: at + int64(2*horizon/time.Second), offset: int64(offset)}
	from, to := local.ZoneBounds()
	if !from.IsZero() {
		s.start = min(from.Unix(), at)
	}
	if !to.IsZero() {
		s.end = to.Unix()
	}
	if s.end <= at { // ZoneBounds takes leap years after 2037 to be a day shorter; nothing changes on that day
		s.end = at + aDay
	}
	return s
}

// Next returns the first minute after a time that matches; zero when none comes in the next 40 years. It is in the table's
// zone.
func (t *Table) Next(after time.Time) time.Time {
	from := after.Unix() + 1
	limit := from + int64(horizon/time.Second)
	for s := t.spanAt(from); from < limit; {
		wall := ceil(from + s.offset)
		if m, ok := t.first(wall, min(s.end, limit)+s.offset); ok {
			return t.at(m - s.offset)
		}
		last := s
		from = s.end
		s = t.spanAt(from)
		if t.catchesUp(last, s) {
			return t.at(ceil(from+s.offset) - s.offset)
		}
	}
	return time.Time{}
}

// Prev returns the last minute before a time that matches; zero when there was none in the last 40 years.
func (t *Table) Prev(before time.Time) time.Time {
	to := before.Unix() // the last second that may match
	if before.Nanosecond() == 0 {
		to--
	}
	newest, limit := to, to-int64(horizon/time.Second)
	for s := t.spanAt(to); to > limit; {
		wall := floor(to + s.offset)
		if m, ok := t.last(wall, max(s.start, limit)+s.offset); ok {
			return t.at(m - s.offset)
		}
		next := s
		to = s.start - 1
		s = t.spanAt(to)
		if at := ceil(next.start+next.offset) - next.offset; at <= newest && t.catchesUp(s, next) {
			return t.at(at)
		}
	}
	return time.Time{}
}

// Matches reports whether the minute of a time matches.
func (t *Table) Matches(at time.Time) bool {
	s := t.spanAt(at.Unix())
	wall := floor(at.Unix() + s.offset)
	if _, ok := t.first(wall, wall+1); ok {
		return true
	}
	start := ceil(s.start + s.offset)
	return wall == start && t.catchesUp(t.spanAt(s.start-1), s)
}

// catchesUp reports whether the change from one span to the next leaves out a minute that matches, and that counts.
func (t *Table) catchesUp(from, to span) bool {
	if !t.catchUp || from.offset >= to.offset {
		return false
	}
	_, ok := t.first(ceil(to.start+from.offset), to.start+to.offset)
	return ok
}

func (t *Table) at(unix int64) time.Time { return time.Unix(unix, 0).In(t.zone) }

// first returns the first matching minute of the wall clock in from … to, without to. from is a full minute.
func (t *Table) first(from, to int64) (best int64, ok bool) {
	for i := range t.lines {
		if m, found := t.lines[i].first(from, to); found {
			best, ok = m, true
			to = m // an earlier one of another line
		}
	}
	return best, ok
}

// last returns the last matching minute of the wall clock in down … from, both included. from is a full minute.
func (t *Table) last(from, down int64) (best int64, ok bool) {
	for i := range t.lines {
		if m, found := t.lines[i].last(from, down); found {
			best, ok = m, true
			down = m + 1
		}
	}
	return best, ok
}

func (l *line) first(from, to int64) (int64, bool) {
	day, second := divide(from)
	for day*aDay < to {
		y, m, d := time.Unix(day*aDay, 0).UTC().Date()
		if l.fields[month]>>m&1 == 0 {
			day, second = time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Unix()/aDay, 0
			continue
		}
		if l.onDay(day, d) {
			if at, ok := l.firstOf(int(second)); ok {
				at += day * aDay
				return at, at < to
			}
		}
		day, second = day+1, 0
	}
	return 0, false
}

func (l *line) last(from, down int64) (int64, bool) {
	day, second := divide(from)
	for day*aDay+aDay > down {
		y, m, d := time.Unix(day*aDay, 0).UTC().Date()
		if l.fields[month]>>m&1 == 0 {
			day, second = floorDiv(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix(), aDay)-1, aDay-aMinute
			continue
		}
		if l.onDay(day, d) {
			if at, ok := l.lastOf(int(second)); ok {
				at += day * aDay
				return at, at >= down
			}
		}
		day, second = day-1, aDay-aMinute
	}
	return 0, false
}

// onDay takes the day's number since 1970, a Thursday, and its number in the month.
func (l *line) onDay(day int64, d int) bool {
	week := (day%7 + 7 + 4) % 7
	return l.fields[monthDay]>>d&1 != 0 && l.fields[weekDay]>>week&1 != 0
}

// firstOf returns the first matching second of the day that is not before this one.
func (l *line) firstOf(second int) (int64, bool) {
	h, m := second/anHour, second%anHour/aMinute
	if l.fields[hour]>>h&1 != 0 {
		if m, ok := above(l.fields[minute], m); ok {
			return int64(h*anHour + m*aMinute), true
		}
	}
	h, ok := above(l.fields[hour], h+1)
	m, has := above(l.fields[minute], 0)
	return int64(h*anHour + m*aMinute), ok && has
}

// lastOf returns the last matching second of the day that is not after this one.
func (l *line) lastOf(second int) (int64, bool) {
	h, m := second/anHour, second%anHour/aMinute
	if l.fields[hour]>>h&1 != 0 {
		if m, ok := below(l.fields[minute], m); ok {
			return int64(h*anHour + m*aMinute), true
		}
	}
	h, ok := below(l.fields[hour], h-1)
	m, has := below(l.fields[minute], 59)
	return int64(h*anHour + m*aMinute), ok && has
}

// above returns the lowest bit of set from i on.
func above(set uint64, i int) (int, bool) {
	set = set >> i << i
	return bits.TrailingZeros64(set), set != 0
}

// below returns the highest bit of set up to i, which may be -1.
func below(set uint64, i int) (int, bool) {
	set &= 1<<(i+1) - 1
	return bits.Len64(set) - 1, set != 0
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// divide splits seconds into days and the second of the day.
func divide(at int64) (day, second int64) {
	day = floorDiv(at, aDay)
	return day, at - day*aDay
}

func floor(at int64) int64 { return floorDiv(at, aMinute) * aMinute }
func ceil(at int64) int64  { return floor(at + aMinute - 1) }
