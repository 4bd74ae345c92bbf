package flow

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/pipeline/value"
)

// Span writes a duration as Jenkins does: its two largest units, the smaller one only while the larger is below ten.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	units := []struct {
		length time.Duration
		name   string
	}{{365 * day, "yr"}, {30 * day, "mo"}, {day, "day"}, {time.Hour, "hr"}, {time.Minute, "min"}, {time.Second, "sec"}}
	for i, u := range units[:len(units)-1] {
		if d < u.length {
			continue
		}
		n := int64(d / u.length)
		text := amount(n, u.name)
		if n < 10 {
			small := units[i+1]
			text += " " + amount(int64(d%u.length/small.length), small.name)
		}
		return text
	}
	ms := d.Milliseconds()
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%d sec", ms/1000)
	case ms >= 1000:
		return decimal(float64(ms/100)/10) + " sec"
	case ms >= 100:
		return decimal(float64(ms/10)/100) + " sec"
	}
	return fmt.Sprintf("%d ms", ms)
}

func amount(n int64, unit string) string {
	if unit == "day" && n != 1 {
		unit = "days"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// duration multiplies a number of units; one that is negative or longer than a century is refused.
func duration(n int64, unit string) (time.Duration, error) {
	lengths := map[string]time.Duration{"NANOSECONDS": 1, "MICROSECONDS": time.Microsecond, "MILLISECONDS": time.Millisecond,
		"SECONDS": time.Second, "MINUTES": time.Minute, "HOURS": time.Hour, "DAYS": 24 * time.Hour}
	length, ok := lengths[strings.ToUpper(unit)]
	if !ok {
		return 0, illegal("No enum constant java.util.concurrent.TimeUnit.%s", unit)
	}
	if n < 0 || n > int64(100*365*24*time.Hour/length) {
		return 0, illegal("a time of %d %s is out of range", n, strings.ToLower(unit))
	}
	return time.Duration(n) * length, nil
}

func illegal(format string, args ...any) *value.Exception {
	return &value.Exception{Class: "java.lang.IllegalArgumentException", Message: fmt.Sprintf(format, args...)}
}
