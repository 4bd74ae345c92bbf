package cron

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fieldText draws one field that parses.
func fieldText(f field) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		value := rapid.IntRange(f.low, f.top)
		term := func() string {
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			a, b = min(a, b), max(a, b)
			step := rapid.IntRange(1, b-a+1).Draw(t, "step")
			return rapid.SampledFrom([]string{
				"*", "*", "H", fmt.Sprint(a), fmt.Sprintf("%d-%d", a, b), fmt.Sprintf("%d-%d/%d", a, b, step), fmt.Sprintf("*/%d", step),
				fmt.Sprintf("H(%d-%d)", a, b), fmt.Sprintf("H(%d-%d)/%d", a, b, step),
			}).Draw(t, "term")
		}
		terms := []string{term()}
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			terms = append(terms, term())
		}
		return strings.Join(terms, ",")
	})
}

func tableText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var lines []string
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			var words []string
			for _, f := range fields() {
				words = append(words, fieldText(f).Draw(t, f.name))
			}
			lines = append(lines, strings.Join(words, " "))
		}
		return strings.Join(lines, "\n")
	})
}

// asJenkins says whether a minute matches as Jenkins' timer asks it: what the wall clock shows, field by field.
func asJenkins(table *Table, at time.Time) bool {
	at = at.In(table.zone)
	shown := [5]int{at.Minute(), at.Hour(), at.Day(), int(at.Month()), int(at.Weekday())}
	for _, l := range table.lines {
		ok := true
		for i, v := range shown {
			ok = ok && l.fields[i]>>v&1 == 1
		}
		if ok {
			return true
		}
	}
	return false
}

// Next, Prev and Matches agree with a walk through every minute of days around a change of the clocks.
func TestAgreesWithAWalk(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo"}
	changes := []time.Time{
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), // Berlin
		time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), // New York
		time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC), // Lord Howe: half an hour
		time.Date(2011, 12, 30, 10, 0, 0, 0, time.UTC), // Apia leaves a day out
		time.Date(2018, 11, 4, 3, 0, 0, 0, time.UTC),   // São Paulo has no midnight
		time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		table := parse(t, tableText().Draw(t, "table"), Options{
			Hash: HashOf(rapid.String().Draw(t, "seed")), Zone: zone(t, rapid.SampledFrom(zones).Draw(t, "zone")),
		})
		start := rapid.SampledFrom(changes).Draw(t, "change").Add(time.Duration(rapid.IntRange(-1500, 1500).Draw(t, "minutes")) * time.Minute)
		const minutes = 1600
		var walked []time.Time
		for i := range minutes {
			at := start.Add(time.Duration(i) * time.Minute)
			ok := asJenkins(table, at)
			if got := table.Matches(at.Add(time.Duration(i%60) * time.Second)); got != ok {
				t.Fatalf("Matches(%v) = %v, the wall clock says %v", at.In(table.zone), got, ok)
			}
			if ok {
				walked = append(walked, at)
			}
		}
		end := start.Add(minutes * time.Minute)
		at := start.Add(-time.Nanosecond)
		for _, want := range walked {
			if at = table.Next(at); !at.Equal(want) {
				t.Fatalf("next is %v, walked to %v", at, want.In(table.zone))
			}
		}
		if at = table.Next(at); !at.IsZero() && at.Before(end) {
			t.Fatalf("next is %v, walked to nothing before %v", at, end)
		}
		at = end
		for i := len(walked) - 1; i >= 0; i-- {
			if at = table.Prev(at); !at.Equal(walked[i]) {
				t.Fatalf("previous is %v, walked to %v", at, walked[i].In(table.zone))
			}
		}
		if at = table.Prev(at); !at.IsZero() && !at.Before(start) {
			t.Fatalf("previous is %v, walked to nothing after %v", at, start)
		}
	})
}

// With CatchUp, Next and Prev visit the same minutes, and all that come without it.
func TestCatchUpGoesBackAsForth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := tableText().Draw(t, "table")
		z := zone(t, rapid.SampledFrom([]string{"Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"}).Draw(t, "zone"))
		with, without := parse(t, text, Options{Zone: z, CatchUp: true}), parse(t, text, Options{Zone: z})
		at := time.Date(rapid.IntRange(2009, 2030).Draw(t, "year"), 3, 1, 0, 0, 0, 0, time.UTC)
		for range 40 {
			next := with.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) || !with.Matches(next) {
				t.Fatalf("after %v comes %v", at, next)
			}
			if strict := without.Next(at); !strict.IsZero() && strict.Before(next) {
				t.Fatalf("after %v comes %v, without CatchUp already %v", at, next, strict)
			}
			if between := with.Prev(next); between.After(at) {
				t.Fatalf("between %v and %v, which Next finds, Prev finds %v", at, next, between)
			}
			if back := with.Prev(next.Add(time.Nanosecond)); !back.Equal(next) {
				t.Fatalf("Next finds %v, Prev just after it %v", next, back)
			}
			at = next
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"H H * * *", "TZ=Europe/Berlin\n# x\n1-5/2,H(3-9)/2 */3 H jan-mar sun-sat\r\n@daily", "* * * *", "@x", "H(", "5/5", "ä ö * * *"} {
		f.Add(s, "seed")
	}
	f.Fuzz(func(t *testing.T, text, seed string) {
		table, err := Parse(text, Options{Hash: HashOf(seed), Zone: time.UTC})
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		table.Warnings(now)
		if next := table.Next(now); !next.IsZero() && (!next.After(now) || !table.Matches(next) || !table.Prev(next.Add(1)).Equal(next)) {
			t.Fatalf("%q: next after %v is %v", text, now, next)
		}
		for _, l := range table.lines {
			for i, set := range l.fields {
				if set == 0 {
					t.Fatalf("%q: line %d has no %s", text, l.number, fields()[i].name)
				}
			}
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, c := range []string{"H/15 * * * *", "0 8 * * 1-5", "0 0 29 2 *", "0 0 31 6 *"} {
		b.Run(c, func(b *testing.B) {
			table := parse(b, "TZ=Europe/Berlin\n"+c, Options{})
			at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				table.Next(at)
			}
		})
	}
}
