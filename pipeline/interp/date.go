package interp

import (
	"fmt"
	"strings"
	"time"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// date is java.util.Date, in UTC as the controller keeps all times.
type date struct{ ms int64 }

func (t *Thread) newDate(a []value.Value) (value.Value, error) {
	if len(a) == 1 && value.IsNumber(a[0]) {
		return &date{value.ToInt(a[0])}, nil
	}
	if len(a) > 0 {
		return nil, t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: java.util.Date(%s)", typeNames(a))
	}
	ms, err := t.now()
	return &date{ms}, err
}

func (d *date) time() time.Time { return time.UnixMilli(d.ms).UTC() }

// TypeName implements value.Object.
func (*date) TypeName() string { return "java.util.Date" }

// Text implements value.Stringer.
func (d *date) Text() string { return d.time().Format("Mon Jan 02 15:04:05 MST 2006") }

// Key implements value.Keyer.
func (d *date) Key() any { return *d }

// CompareTo implements value.Ordered.
func (d *date) CompareTo(o value.Value) (int, bool) {
	e, ok := o.(*date)
	if !ok {
		return 0, false
	}
	return value.CompareNumbers(value.Long(d.ms), value.Long(e.ms)), true
}

// Property implements value.Object.
func (d *date) Property(name string) (value.Value, bool, error) {
	switch name {
	case "time":
		return value.Long(d.ms), true, nil
	case "year":
		return int64(d.time().Year() - 1900), true, nil
	case "month":
		return int64(d.time().Month()) - 1, true, nil
	case "date":
		return int64(d.time().Day()), true, nil
	case "hours":
		return int64(d.time().Hour()), true, nil
	case "minutes":
		return int64(d.time().Minute()), true, nil
	case "seconds":
		return int64(d.time().Second()), true, nil
	case "day":
		return int64(d.time().Weekday()), true, nil
	}
	return nil, false, nil
}

// SetProperty implements value.Object.
func (d *date) SetProperty(name string, v value.Value) error {
	if name == "time" {
		d.ms = value.ToInt(v)
		return nil
	}
	return &value.Exception{Class: "groovy.lang.ReadOnlyPropertyException", Message: "Cannot set readonly property: " + name + " for class: java.util.Date"}
}

// Invoke implements value.Object.
func (d *date) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "format" && len(a) >= 1:
		return d.format(value.String(a[0])), true, nil
	case (name == "plus" || name == "minus") && len(a) == 1:
		if e, ok := a[0].(*date); ok && name == "minus" {
			return int64((d.ms - e.ms) / 86_400_000), true, nil
		}
		days := value.ToInt(a[0])
		if name == "minus" {
			days = -days
		}
		return &date{d.ms + days*86_400_000}, true, nil
	case name == "before" && len(a) == 1:
		c, _ := d.CompareTo(a[0])
		return c < 0, true, nil
	case name == "after" && len(a) == 1:
		c, _ := d.CompareTo(a[0])
		return c > 0, true, nil
	case name == "clearTime" && len(a) == 0:
		d.ms -= d.ms % 86_400_000
		return d, true, nil
	case name == "getTime" && len(a) == 0:
		return value.Long(d.ms), true, nil
	case name == "toTimestamp" || name == "toInstant":
		return d, true, nil
	case strings.HasPrefix(name, "get") && len(a) == 0:
		return d.Property(uncapital(strings.TrimPrefix(name, "get")))
	}
	return nil, false, nil
}

// format writes a date by a pattern of SimpleDateFormat.
func (d *date) format(pattern string) string {
	t := d.time()
	var b strings.Builder
	eachField(pattern, func(letter byte, n int, text string) {
		if letter == 0 {
			b.WriteString(text)
			return
		}
		b.WriteString(dateField(t, letter, n))
	})
	return b.String()
}

// eachField takes a pattern apart into fields (a letter and how often) and literal text (letter 0).
func eachField(pattern string, f func(letter byte, n int, text string)) {
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(pattern[i+1:], '\'')
			switch {
			case end == 0:
				f(0, 0, "'")
			case end < 0:
				f(0, 0, pattern[i+1:])
				return
			default:
				f(0, 0, pattern[i+1:i+1+end])
			}
			i += end + 2
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			f(c, n, "")
			i += n
		default:
			f(0, 0, string(c))
			i++
		}
	}
}

func dateField(t time.Time, letter byte, n int) string {
	num := func(v int) string { return fmt.Sprintf("%0*d", n, v) }
	switch letter {
	case 'y', 'Y', 'u':
		if letter == 'Y' {
			y, _ := t.ISOWeek()
			t = time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC)
		}
		if n == 2 {
			return fmt.Sprintf("%02d", t.Year()%100)
		}
		return num(t.Year())
	case 'M', 'L':
		switch {
		case n >= 4:
			return t.Month().String()
		case n == 3:
			return t.Month().String()[:3]
		}
		return num(int(t.Month()))
	case 'd':
		return num(t.Day())
	case 'D':
		return num(t.YearDay())
	case 'H':
		return num(t.Hour())
	case 'k':
		return num((t.Hour()+23)%24 + 1)
	case 'K':
		return num(t.Hour() % 12)
	case 'h':
		return num((t.Hour()+11)%12 + 1)
	case 'm':
		return num(t.Minute())
	case 's':
		return num(t.Second())
	case 'S':
		return num(t.Nanosecond() / 1_000_000)
	case 'E':
		if n >= 4 {
			return t.Weekday().String()
		}
		return t.Weekday().String()[:3]
	case 'a':
		return t.Format("PM")
	case 'w':
		_, w := t.ISOWeek()
		return num(w)
	case 'z':
		return "UTC"
	case 'Z':
		return "+0000"
	case 'X':
		return "Z"
	}
	return strings.Repeat(string(letter), n)
}

// parseDate reads a date by a pattern; the fields y M d H h m s S a Z X are known.
func (t *Thread) parseDate(pattern, s string) (value.Value, error) {
	var layout strings.Builder
	eachField(pattern, func(letter byte, n int, text string) {
		switch {
		case letter == 0:
			layout.WriteString(text)
		case letter == 'y' && n == 2:
			layout.WriteString("06")
		case letter == 'M' && n >= 3:
			layout.WriteString("Jan")
		default:
			layout.WriteString(map[byte]string{'y': "2006", 'M': "01", 'd': "02", 'H': "15", 'h': "03", 'm': "04", 's': "05", 'S': "000", 'a': "PM",
				'Z': "-0700", 'X': "Z07", 'z': "MST", 'E': "Mon"}[letter])
		}
	})
	at, err := time.Parse(layout.String(), s)
	if err != nil {
		return nil, t.throwf("java.text.ParseException", "Unparseable date: \"%s\"", s)
	}
	return &date{at.UnixMilli()}, nil
}

// dateFormat is java.text.SimpleDateFormat.
type dateFormat struct{ pattern string }

// TypeName implements value.Object.
func (*dateFormat) TypeName() string { return "java.text.SimpleDateFormat" }

// Property implements value.Object.
func (*dateFormat) Property(string) (value.Value, bool, error) { return nil, false, nil }

// SetProperty implements value.Object: the time zone stays UTC.
func (*dateFormat) SetProperty(string, value.Value) error { return nil }

// Invoke implements value.Object.
func (f *dateFormat) Invoke(string, []value.Value) (value.Value, bool, error) { return nil, false, nil }

// InvokeIn implements Invoker.
func (f *dateFormat) InvokeIn(th step.Thread, name string, a []value.Value) (value.Value, bool, error) {
	t := th.(*Thread)
	switch {
	case name == "format" && len(a) == 1:
		d, ok := a[0].(*date)
		if !ok {
			d = &date{value.ToInt(a[0])}
		}
		return d.format(f.pattern), true, nil
	case name == "parse" && len(a) == 1:
		v, err := t.parseDate(f.pattern, value.String(a[0]))
		return v, true, err
	case name == "setTimeZone" || name == "setLenient":
		return nil, true, nil
	}
	return nil, false, nil
}
