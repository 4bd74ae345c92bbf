package web

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
)

// took says a duration as people do.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func (s *site) ago(t time.Time) string {
	d := s.Now().Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// since says how long something lasts.
func (s *site) since(t time.Time) string {
	d := max(0, s.Now().Sub(t))
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return took(d)
}

// count says how many of something there are. what is one of them; its plural ends in s.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// until says when something will be.
func (s *site) until(t time.Time) string {
	d := t.Sub(s.Now())
	if d < time.Minute {
		return "in a moment"
	}
	return "in " + took(d.Round(time.Minute))
}

// size says bytes as people do.
func size(n int64) string {
	switch f := float64(n); {
	case n < 1<<10:
		return count(int(n), "byte")
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", f/(1<<30))
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
func iso(t time.Time) string   { return t.UTC().Format(time.RFC3339) }

// points writes a score, or a part of one with its sign.
func points(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// shellWord writes a word for a POSIX shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func lower(v any) string { return strings.ToLower(fmt.Sprint(v)) }

func jobPath(n build.JobName) template.URL {
	return template.URL("/jobs/" + url.PathEscape(string(n)))
}

func buildPath(id build.ID) template.URL {
	return jobPath(id.Job) + template.URL("/"+strconv.Itoa(id.Number))
}

func nodePath(n fleet.NodeName) template.URL {
	return template.URL("/nodes/" + url.PathEscape(string(n)))
}
