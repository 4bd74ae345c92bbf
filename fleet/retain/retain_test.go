package retain

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, whatever the machine has

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// noon is a Wednesday.
func noon() time.Time { return time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC) }

func make1(t rapid.TB, kind string, config ...string) fleet.Retention {
	t.Helper()
	spec := fleet.RetentionSpec{Kind: kind, Config: map[string]string{}}
	for i := 0; i < len(config); i += 2 {
		spec.Config[config[i]] = config[i+1]
	}
	r, err := New(spec)
	if err != nil {
		t.Fatalf("New(%v): %v", spec, err)
	}
	return r
}

func TestErrorsNameTheSetting(t *testing.T) {
	for _, c := range []struct {
		kind, config, says string
	}{
		{"sometimes", "", `kind "sometimes": expected always, demand`},
		{"always", "idleDelay=5", "retention always: idleDelay: there are no settings"},
		{"demand", "idleDelay=0", "retention demand: idleDelay: 0s: expected at least 1m"},
		{"demand", "inDemandDelay=-1", "inDemandDelay: -1m0s: expected at least 0s"},
		{"demand", "idleDelay=soon", `idleDelay: "soon": expected a time`},
		{"demand", "idleDelay=NaN", "idleDelay: "},
		{"demand", "idleDelay=99999999", "at most ten years"},
		{"demand", "idle=5", "idle: no such setting: expected idleDelay, inDemandDelay"},
		{"cloud", "idle=0", "idle: 0s"},
		{"once", "idle=1;idleMinutes=1", "idleMinutes: the same as idle"},
		{"schedule", "upTime=60", "start: missing"},
		{"schedule", "start=0 8 * * *", "upTime: missing"},
		{"schedule", "start=0 8 * *;upTime=60", "retention schedule: start: line 1, column 8: expected the day of week"},
		{"schedule", "startTimeSpec=0 8 31 6 *;upTimeMins=60", `startTimeSpec: "0 8 31 6 *" never comes`},
		{"schedule", "start=0 8 * * *;upTime=60;keepWhenActive=maybe", `keepWhenActive: "maybe": expected true or false`},
		{"schedule", "start=0 8 * * *;upTime=60;timeZone=Mars/Base", `timeZone: "Mars/Base": expected a time zone`},
		{"schedule", "start=TZ=UTC\n0 8 * * *;upTime=60;timeZone=UTC", "timeZone: start begins with TZ="},
	} {
		spec := fleet.RetentionSpec{Kind: c.kind, Config: map[string]string{}}
		for _, pair := range strings.Split(c.config, ";") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				spec.Config[k] = v
			}
		}
		_, err := New(spec)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("New(%v) = %v, want …%s…", spec, err, c.says)
		}
	}
}

func check(t *testing.T, name string, got, want fleet.Stay) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got): %s", name, d)
	}
}

// S1-81
func TestAlways(t *testing.T) {
	for _, s := range []fleet.Occupation{{}, {Connected: true}, {Connected: true, Busy: 3}} {
		check(t, "always", make1(t, "").Decide(noon(), s), fleet.Stay{Connect: true, Accept: true})
	}
}

// S1-82
func TestDemand(t *testing.T) {
	r := make1(t, "demand", "inDemandDelay", "1", "idleDelay", "10")
	at := func(minutes float64) time.Time { return noon().Add(time.Duration(minutes * float64(time.Minute))) }
	idle := func(when time.Time) *fleet.OfflineCause {
		return &fleet.OfflineCause{Kind: "idle", Text: "Offline because computer was idle; it will be relaunched when needed.", When: when}
	}
	off := fleet.Occupation{Since: at(-60)}
	check(t, "nobody wants it", r.Decide(noon(), off), fleet.Stay{Accept: true, Cause: idle(at(-60))})
	off.WantedSince = at(-0.5)
	check(t, "wanted for half a minute", r.Decide(noon(), off), fleet.Stay{Accept: true, Cause: idle(at(-60)), Again: at(0.5)})
	off.WantedSince = at(-1)
	check(t, "wanted for a minute", r.Decide(noon(), off), fleet.Stay{Connect: true, Accept: true})

	on := fleet.Occupation{Connected: true, Since: at(-5)}
	check(t, "never had work", r.Decide(noon(), on), fleet.Stay{Connect: true, Accept: true, Again: at(5)})
	on.IdleSince = at(-2)
	check(t, "idle for two minutes", r.Decide(noon(), on), fleet.Stay{Connect: true, Accept: true, Again: at(8)})
	on.Since, on.IdleSince = at(-60), at(-10)
	check(t, "idle for ten minutes", r.Decide(noon(), on), fleet.Stay{Cause: idle(noon())})
	on.WantedSince = at(-0.1)
	check(t, "work has just come", r.Decide(noon(), on), fleet.Stay{Connect: true, Accept: true})
	check(t, "busy", r.Decide(noon(), fleet.Occupation{Connected: true, Since: at(-60), Busy: 1}), fleet.Stay{Connect: true, Accept: true})
}

// S1-83
func TestSchedule(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 3, 11, hour, minute, 0, 0, time.UTC) }
	tomorrow := at(8, 0).AddDate(0, 0, 1)
	open := fleet.Stay{Connect: true, Accept: true, Again: at(18, 0)}
	closed := func(connect bool, text string, when, again time.Time) fleet.Stay {
		return fleet.Stay{Connect: connect, Cause: &fleet.OfflineCause{Kind: "schedule", Text: text, When: when}, Again: again}
	}
	const finished, off = "Computer has finished its scheduled uptime", "Offline according to schedule"
	keep := make1(t, "schedule", "startTimeSpec", "0 8 * * 1-5", "upTimeMins", "600", "keepUpWhenActive", "true", "timeZone", "UTC")
	cut := make1(t, "schedule", "start", "TZ=UTC\n0 8 * * 1-5", "upTime", "10h")
	for _, c := range []struct {
		name string
		r    fleet.Retention
		now  time.Time
		s    fleet.Occupation
		want fleet.Stay
	}{
		{"before", cut, at(7, 59), fleet.Occupation{Since: at(1, 0)}, closed(false, off, at(1, 0), at(8, 0))},
		{"at the start", cut, at(8, 0), fleet.Occupation{}, open},
		{"at the last moment", cut, at(18, 0).Add(-1), fleet.Occupation{Connected: true}, open},
		{"at the end, idle", cut, at(18, 0), fleet.Occupation{Connected: true}, closed(false, finished, at(18, 0), tomorrow)},
		{"at the end, busy", cut, at(18, 0), fleet.Occupation{Connected: true, Busy: 1}, closed(false, finished, at(18, 0), tomorrow)},
		{"kept while busy", keep, at(18, 0), fleet.Occupation{Connected: true, Busy: 1}, closed(true, finished, at(18, 0), tomorrow)},
		{"kept no longer", keep, at(18, 1), fleet.Occupation{Connected: true}, closed(false, finished, at(18, 1), tomorrow)},
		{"over the weekend", cut, at(20, 0).AddDate(0, 0, 2), fleet.Occupation{Since: at(19, 0)}, closed(false, off, at(19, 0), at(8, 0).AddDate(0, 0, 5))},
	} {
		got := c.r.Decide(c.now, c.s)
		got.Again = got.Again.UTC()
		check(t, c.name, got, c.want)
	}
}

// S1-83: the hours of a day on which the clocks change.
func TestScheduleOverSummerTime(t *testing.T) {
	for _, c := range []struct {
		name, start, up, day string
		want                 string // changes in UTC
	}{
		{"spring gap", "30 2 * * *", "60", "2026-03-29", "+01:00 -02:00"},               // 3:00 to 4:00 in summer time
		{"across the gap", "0 1 * * *", "180", "2026-03-29", "+00:00 -03:00"},           // three hours stay three hours
		{"autumn repeats the start", "30 2 * * *", "60", "2026-10-25", "+00:30 -02:30"}, // both, which meet
		{"summer day", "0 8 * * *", "60", "2026-07-01", "+06:00 -07:00"},
		{"winter day", "0 8 * * *", "60", "2026-01-15", "+07:00 -08:00"},
	} {
		r := make1(t, "schedule", "start", c.start, "upTime", c.up, "timeZone", "Europe/Berlin")
		day, err := time.Parse("2006-01-02", c.day)
		if err != nil {
			t.Fatal(err)
		}
		var changes []string
		now, on := day.Add(-time.Minute), false
		for now.Before(day.Add(20 * time.Hour)) {
			stay := r.Decide(now, fleet.Occupation{Connected: on})
			if stay.Connect != on {
				changes = append(changes, map[bool]string{true: "+", false: "-"}[stay.Connect]+now.UTC().Format("15:04"))
			}
			on, now = stay.Connect, stay.Again
		}
		if got := strings.Join(changes, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// S1-84
func TestCloud(t *testing.T) {
	r := make1(t, "cloud", "idleMinutes", "3")
	on := fleet.Occupation{Connected: true, Since: noon(), IdleSince: noon()}
	check(t, "on its way", r.Decide(noon(), fleet.Occupation{}), fleet.Stay{Connect: true, Accept: true})
	check(t, "fresh", r.Decide(noon(), on), fleet.Stay{Connect: true, Accept: true, Again: noon().Add(3 * time.Minute)})
	end := noon().Add(3 * time.Minute)
	got := r.Decide(end, on)
	if !got.Remove || got.Connect || got.Accept || got.Cause == nil || !got.Again.IsZero() {
		t.Errorf("idle: %+v", got)
	}
	on.WantedSince = end
	check(t, "wanted at the end", r.Decide(end, on), fleet.Stay{Connect: true, Accept: true})
}

func TestOnce(t *testing.T) {
	r := make1(t, "once")
	on := fleet.Occupation{Connected: true, Since: noon(), IdleSince: noon()}
	check(t, "fresh", r.Decide(noon(), on), fleet.Stay{Connect: true, Accept: true, Again: noon().Add(10 * time.Minute)})
	busy := r.Decide(noon(), fleet.Occupation{Connected: true, Since: noon(), Busy: 1})
	if !busy.Connect || busy.Accept || busy.Remove || busy.Cause == nil {
		t.Errorf("busy: %+v", busy)
	}
	for _, connected := range []bool{true, false} {
		if done := r.Decide(noon(), fleet.Occupation{Connected: connected, Done: 1}); !done.Remove || done.Connect || done.Accept {
			t.Errorf("done, connected %v: %+v", connected, done)
		}
	}
	if unused := r.Decide(noon().Add(10*time.Minute), on); !unused.Remove {
		t.Errorf("unused: %+v", unused)
	}
}
