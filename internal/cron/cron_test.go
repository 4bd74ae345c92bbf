package cron

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, whatever the machine has

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/internal/fault"
)

func parse(t rapid.TB, text string, o Options) *Table {
	t.Helper()
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	table, err := Parse(text, o)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return table
}

func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func bitset(values ...int) (set uint64) {
	for _, v := range values {
		set |= 1 << v
	}
	return set
}

// all lists the values of a to b.
func all(a, b int) uint64 { return steps(a, b, 1) }

func TestFields(t *testing.T) {
	last := func(n int) int { return n - 1 }
	one := func(int) int { return 1 }
	for _, c := range []struct {
		text string
		hash Hash
		want [5]uint64
	}{
		{"* * * * *", nil, [5]uint64{all(0, 59), all(0, 23), all(1, 31), all(1, 12), all(0, 6)}},
		{"1,5,9-11 0-6/3 */10 jan,Mar-MAY 5-7", nil, [5]uint64{bitset(1, 5, 9, 10, 11), bitset(0, 3, 6), bitset(1, 11, 21, 31), bitset(1, 3, 4, 5), bitset(5, 6, 0)}},
		{"0 0 1 1 7", nil, [5]uint64{1, 1, 2, 2, 1}},
		{"0\t0  * * fri-sun", nil, [5]uint64{1, 1, all(1, 31), all(1, 12), bitset(5, 6, 0)}},
		{"*/90 * * * *", nil, [5]uint64{1, all(0, 23), all(1, 31), all(1, 12), all(0, 6)}},
		{"H H(5-8) H/3 H(1-10)/4 *", last, [5]uint64{bitset(59), bitset(8), bitset(3, 6, 9, 12, 15, 18, 21, 24, 27), bitset(4, 8), all(0, 6)}},
		{"H H(5-8) H/3 H(1-10)/4 *", one, [5]uint64{bitset(1), bitset(6), bitset(2, 5, 8, 11, 14, 17, 20, 23, 26), bitset(2, 6, 10), all(0, 6)}},
		{"H/1 * * * H", last, [5]uint64{bitset(59), all(0, 23), all(1, 31), all(1, 12), bitset(6)}},
		{"@yearly", last, [5]uint64{bitset(59), bitset(23), bitset(28), bitset(12), all(0, 6)}},
		{"@annually", nil, [5]uint64{1, 1, 2, 2, all(0, 6)}},
		{"@monthly", last, [5]uint64{bitset(59), bitset(23), bitset(28), all(1, 12), all(0, 6)}},
		{"@weekly", last, [5]uint64{bitset(59), bitset(23), all(1, 31), all(1, 12), bitset(6)}},
		{"@daily", last, [5]uint64{bitset(59), bitset(23), all(1, 31), all(1, 12), all(0, 6)}},
		{"@midnight", last, [5]uint64{bitset(59), bitset(2), all(1, 31), all(1, 12), all(0, 6)}},
		{"@hourly", last, [5]uint64{bitset(59), all(0, 23), all(1, 31), all(1, 12), all(0, 6)}},
	} {
		if got := parse(t, c.text, Options{Hash: c.hash}).lines[0].fields; got != c.want {
			t.Errorf("%s: got %b, want %b", c.text, got, c.want)
		}
	}
}

// The numbers that Jenkins' own hash gives these seeds.
func TestHashIsJenkins(t *testing.T) {
	from := time.Date(2013, 3, 21, 16, 21, 0, 0, time.UTC)
	for _, c := range []struct{ text, seed, want string }{
		{"H 17 * * *", "stuff", "21 17:56"},
		{"H * * * *", "stuff", "21 16:56"},
		{"@hourly", "stuff", "21 16:56"},
		{"@hourly", "junk", "21 17:20"},
		{"H/15 * * * *", "stuff", "21 16:26"},
		{"H H(12-13) * * *", "stuff", "22 13:56"},
	} {
		if got := parse(t, c.text, Options{Hash: HashOf(c.seed)}).Next(from).Format("2 15:04"); got != c.want {
			t.Errorf("%s with %q comes at %s, want %s", c.text, c.seed, got, c.want)
		}
	}
}

func TestHashSpreads(t *testing.T) {
	var minutes [60]int
	for i := range 6000 {
		minutes[HashOf("folder/job-"+string(rune('a'+i%26))+strings.Repeat("x", i/26))(60)]++
	}
	for m, n := range minutes {
		if n < 50 || n > 160 { // 100 ± 6 deviations
			t.Errorf("minute %d has %d of 6000 jobs", m, n)
		}
	}
}

func TestNextAndPrev(t *testing.T) {
	for _, c := range []struct{ text, at, next, prev string }{
		{"* * * * *", "2024-02-28 23:59", "2024-02-29 00:00", "2024-02-28 23:58"},
		{"0 0 29 2 *", "2024-03-01 00:00", "2028-02-29 00:00", "2024-02-29 00:00"},
		{"0 0 29 2 mon", "2096-03-01 00:00", "2124-02-28 00:00", "2072-02-29 00:00"},
		{"0 0 31 6 *", "2024-03-01 00:00", "", ""},
		{"", "2024-03-01 00:00", "", ""},
		{"0 8 * * 1-5", "2024-03-01 08:00", "2024-03-04 08:00", "2024-02-29 08:00"},
		{"30 7 13 * 5", "2024-03-01 00:00", "2024-09-13 07:30", "2023-10-13 07:30"}, // both day fields
		{"0 0 1 1 *\n# then\n\n5 4 3 2 *", "2024-01-01 00:00", "2024-02-03 04:05", "2023-02-03 04:05"},
		{"59 23 31 12 *", "1970-01-01 00:00", "1970-12-31 23:59", "1969-12-31 23:59"},
	} {
		table := parse(t, c.text, Options{})
		at, err := time.Parse("2006-01-02 15:04", c.at)
		if err != nil {
			t.Fatal(err)
		}
		show := func(x time.Time) string {
			if x.IsZero() {
				return ""
			}
			return x.Format("2006-01-02 15:04")
		}
		if c.text == "0 0 29 2 mon" {
			for _, x := range []time.Time{table.Next(at), table.Prev(at)} {
				if x.Weekday() != time.Monday || x.Day() != 29 || x.Month() != time.February {
					t.Errorf("%s: %v", c.text, x)
				}
			}
			continue
		}
		if got := show(table.Next(at)); got != c.next {
			t.Errorf("%q after %s comes at %q, want %q", c.text, c.at, got, c.next)
		}
		if got := show(table.Prev(at)); got != c.prev {
			t.Errorf("%q before %s came at %q, want %q", c.text, c.at, got, c.prev)
		}
	}
}

func TestSummerTime(t *testing.T) {
	const form = "01-02 15:04 MST"
	for _, c := range []struct {
		name, text, from string
		catchUp          bool
		want             []string
	}{
		{"the gap is left out", "30 2 * * *", "2026-03-28T12:00:00Z", false, []string{"03-30 02:30 CEST"}},
		{"the gap is caught up", "30 2 * * *", "2026-03-28T12:00:00Z", true, []string{"03-29 03:00 CEST", "03-30 02:30 CEST"}},
		{"once, whatever is in the gap", "*/10 2,3 * * *", "2026-03-29T00:59:00Z", true, []string{"03-29 03:00 CEST", "03-29 03:10 CEST"}},
		{"every hour goes on", "0 * * * *", "2026-03-29T00:00:00Z", false, []string{"03-29 03:00 CEST", "03-29 04:00 CEST"}},
		{"autumn comes twice", "30 2 * * *", "2026-10-24T12:00:00Z", false, []string{"10-25 02:30 CEST", "10-25 02:30 CET", "10-26 02:30 CET"}},
		{"every hour goes on in autumn", "0 * * * *", "2026-10-24T23:30:00Z", false, []string{"10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := parse(t, "TZ=Europe/Berlin\n"+c.text, Options{CatchUp: c.catchUp})
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			var forth, back []string
			at := from
			for range c.want {
				at = table.Next(at)
				forth = append(forth, at.Format(form))
			}
			at = at.Add(time.Second)
			for range c.want {
				at = table.Prev(at)
				back = append([]string{at.Format(form)}, back...)
			}
			if d := cmp.Diff(c.want, forth); d != "" {
				t.Errorf("forth (-want +got): %s", d)
			}
			if d := cmp.Diff(c.want, back); d != "" {
				t.Errorf("back (-want +got): %s", d)
			}
		})
	}
}

// Far in the future a zone follows a rule, not a list of changes.
func TestFarFuture(t *testing.T) {
	at := time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, z := range []string{"Europe/Berlin", "America/New_York", "Australia/Sydney"} {
		if never := parse(t, "TZ="+z+"\n0 0 31 6 *", Options{}); !never.Next(at).IsZero() || !never.Prev(at.AddDate(40, 0, 0)).IsZero() {
			t.Errorf("%s: 31 June comes", z)
		}
		yearly := parse(t, "TZ="+z+"\n30 12 31 12 *", Options{})
		for next, year := at, 2037; year < 2070; year++ {
			next = yearly.Next(next)
			if got := next.Format("2006-01-02 15:04"); got != time.Date(year, 12, 31, 12, 30, 0, 0, time.UTC).Format("2006-01-02 15:04") {
				t.Fatalf("%s: %s in %d", z, got, year)
			}
			if back := yearly.Prev(next.Add(time.Hour)); !back.Equal(next) {
				t.Fatalf("%s: forth to %v, back to %v", z, next, back)
			}
		}
	}
}

func TestZoneOfTheTable(t *testing.T) {
	table := parse(t, "TZ=Asia/Kathmandu\n0 8 * * *", Options{Zone: time.UTC})
	if z, named := table.Zone(); z.String() != "Asia/Kathmandu" || !named {
		t.Errorf("zone %v, named %v", z, named)
	}
	if got := table.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).UTC().Format("15:04"); got != "02:15" {
		t.Errorf("8:00 in Kathmandu is %s in Greenwich", got)
	}
	if z, named := parse(t, "0 8 * * *", Options{Zone: time.UTC}).Zone(); z != time.UTC || named {
		t.Errorf("zone %v, named %v", z, named)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		says         string
	}{
		{"* * * *", 1, 8, "expected the day of week here"},
		{"\n  60 * * * *", 2, 3, "60 is an invalid value. Must be within 0 and 59"},
		{"0 24 * * *", 1, 3, "Must be within 0 and 23"},
		{"0 0 0 * *", 1, 5, "Must be within 1 and 31"},
		{"0 0 * 13 *", 1, 7, "Must be within 1 and 12"},
		{"0 0 * * 8", 1, 9, "Must be within 0 and 7"},
		{"0 17-8 * * *", 1, 6, "You mean 8-17?"},
		{"*/0 * * * *", 1, 3, "step must be positive, but found 0"},
		{"H/90 * * * *", 1, 3, "90 is an invalid value. Must be within 1 and 60"},
		{"H(0-9)/11 * * * *", 1, 8, "Must be within 1 and 10"},
		{"H(9-0) * * * *", 1, 5, "You mean 0-9?"},
		{"H(1) * * * *", 1, 4, "expected -"},
		{"H(1-2 * * * *", 1, 6, "expected )"},
		{"5/10 * * * *", 1, 2, "a step needs a range before it: 5-59/"},
		{"1,,2 * * * *", 1, 3, `expected a number in the minute, found ","`},
		{"1, * * * *", 1, 3, "found the end of the field"},
		{"0 0 * foo *", 1, 7, `"foo" is no month`},
		{"0 0 L * *", 1, 5, `"L" is no day of month`},
		{"0 0 ? * *", 1, 5, `found "?"`},
		{"0 0 * * mon#2", 1, 12, `unexpected "#" in the day of week`},
		{"0 0 0 0 0 0", 1, 11, "expected 5 fields"},
		{"0 0 1 1 0 2026", 1, 11, "expected 5 fields"},
		{"99999999999999999999 * * * *", 1, 1, "invalid value"},
		{"@reboot", 1, 1, "@reboot is unknown"},
		{"@daily 5", 1, 8, "expected nothing after @daily"},
		{"TZ=Europe/Atlantis\n* * * * *", 1, 4, "unsupported timezone 'Europe/Atlantis'"},
		{"TZ=../etc/passwd\n", 1, 4, "unsupported timezone"},
		{"* * * * *\nTZ=UTC", 2, 1, "first line only"},
		{strings.Repeat("#", 1<<17), 1, 1, "at most"},
	} {
		_, err := Parse(c.text, Options{})
		var e *Error
		if !errors.As(err, &e) || !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%.40q) = %v, want an *Error that is invalid", c.text, err)
			continue
		}
		if e.Line != c.line || e.Column != c.column || !strings.Contains(e.Error(), c.says) {
			t.Errorf("Parse(%.40q): %v, want line %d, column %d: …%s…", c.text, e, c.line, c.column, c.says)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"* * * * *", "Do you really mean “every minute” when you say “* * * * *”? Perhaps you meant “H * * * *” to poll once per hour"},
		{"* 5 * * *", "Do you really mean “every minute” when you say “* 5 * * *”? Perhaps you meant “H 5 * * *” to poll once per hour"},
		{"*/15 * * * *", "Spread load evenly by using ‘H/15 * * * *’ rather than ‘*/15 * * * *’"},
		{"0 8 * * 1-5", "Spread load evenly by using ‘H 8 * * 1-5’ rather than ‘0 8 * * 1-5’"},
		{"0,15,30,45 * * * *", "Spread load evenly by using ‘H/15 * * * *’ rather than ‘0,15,30,45 * * * *’"},
		{"0,15,30,46 * * * *", ""},
		{"H H H/3 * *", "Short cycles in the day-of-month field will behave oddly near the end of a month"},
		{"H H * * *", ""},
		{"@daily", ""},
		{"1,5 0 31 6 *", "This cron expression will match dates only rarely (e.g. February 29) or never (e.g. June 31), so this job may be triggered very rarely, if at all."},
		{"H 0 29 2 *", "This cron expression will match dates only rarely (e.g. February 29) or never (e.g. June 31), so this job may be triggered very rarely, if at all."},
	} {
		ws := parse(t, "# first\n"+c.text, Options{}).Warnings(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
		var want []Warning
		if c.want != "" {
			want = []Warning{{2, c.want}}
		}
		if d := cmp.Diff(want, ws); d != "" {
			t.Errorf("%s (-want +got): %s", c.text, d)
		}
	}
}
