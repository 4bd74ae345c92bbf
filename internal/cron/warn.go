package cron

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Warning is what looks like a mistake in a table that can be read.
type Warning struct {
	Line int // from 1
	Text string
}

// Warnings says what looks like a mistake, in Jenkins' words, at most one a line. now is for what comes rarely or never.
func (t *Table) Warnings(now time.Time) (ws []Warning) {
	for _, l := range t.lines {
		if text := l.warning(); text != "" {
			ws = append(ws, Warning{l.number, text})
			continue
		}
		one := Table{lines: []line{l}, zone: t.zone, catchUp: t.catchUp}
		if at := one.Next(now); at.IsZero() || at.After(now.AddDate(2, 0, 0)) {
			ws = append(ws, Warning{l.number, "This cron expression will match dates only rarely (e.g. February 29) or never (e.g. June 31), so this job may be triggered very rarely, if at all."})
		}
	}
	return ws
}

func (l *line) warning() string {
	if strings.HasPrefix(l.text, "@") {
		return ""
	}
	if l.everyMinute() {
		_, rest, _ := strings.Cut(strings.Join(strings.Fields(l.text), " "), " ")
		return fmt.Sprintf("Do you really mean “every minute” when you say “%s”? Perhaps you meant “H %s” to poll once per hour", l.text, rest)
	}
	days := 0
	for d := 1; d < 31; d++ {
		days += int(l.fields[monthDay] >> d & 1)
	}
	if days > 5 && days < 28 {
		return "Short cycles in the day-of-month field will behave oddly near the end of a month"
	}
	if spread := hashify(l.text); spread != "" {
		return fmt.Sprintf("Spread load evenly by using ‘%s’ rather than ‘%s’", spread, l.text)
	}
	return ""
}

// everyMinute reports whether the minute says all, so that the line comes true 60 times in every hour it names.
func (l *line) everyMinute() bool { return l.fields[minute] == 1<<60-1 }

// hashify rewrites a line that makes everything start at once; "" when there is nothing to rewrite.
func hashify(text string) string {
	first, rest, _ := strings.Cut(strings.Join(strings.Fields(text), " "), " ")
	switch {
	case strings.Contains(text, "H"):
		return "" // who knows H means what stands there
	case strings.HasPrefix(first, "*/"):
		return "H" + first[1:] + " " + rest
	case regexp.MustCompile(`^\d+$`).MatchString(first):
		return "H " + rest
	}
	if tail, ok := strings.CutPrefix(first, "0,"); ok { // 0,15,30,45
		head, _, _ := strings.Cut(tail, ",")
		period, err := strconv.Atoi(head)
		if err != nil || period <= 0 {
			return ""
		}
		var even []string
		for i := period; i < 60; i += period {
			even = append(even, strconv.Itoa(i))
		}
		if strings.Join(even, ",") == tail {
			return fmt.Sprintf("H/%d %s", period, rest)
		}
	}
	return ""
}
