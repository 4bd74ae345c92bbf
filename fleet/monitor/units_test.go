package monitor

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestParseLimit(t *testing.T) {
	for _, c := range []struct {
		monitor, key, text string
		want               fleet.Limit
	}{
		{Disk, "bad", "1GiB", fleet.Limit{Bad: 1 << 30}},
		{Disk, "bad", "500MB", fleet.Limit{Bad: 500e6}},
		{Temp, "warn", "1.5 G", fleet.Limit{Warn: 3 << 29}},
		{Swap, "bad", "256 MiB", fleet.Limit{Bad: 256 << 20}},
		{Disk, "bad", "4096", fleet.Limit{Bad: 4096}},
		{Disk, "bad", "7 b", fleet.Limit{Bad: 7}},
		{Disk, "bad", "2kB", fleet.Limit{Bad: 2000}},
		{Disk, "bad", "2Ki", fleet.Limit{Bad: 2048}},
		{Disk, "bad", "1tib", fleet.Limit{Bad: 1 << 40}},
		{Clock, "bad", "5s", fleet.Limit{Bad: 5000}},
		{Response, "warn", "250ms", fleet.Limit{Warn: 250}},
		{Clock, "bad", "800", fleet.Limit{Bad: 800}},
		{Architecture, "action", "ignore", fleet.Limit{Action: fleet.Ignore}},
	} {
		if got, err := ParseLimit(c.monitor, map[string]string{c.key: c.text}); err != nil || got != c.want {
			t.Errorf("%s %s %q: %+v, %v", c.monitor, c.key, c.text, got, err)
		}
	}
	for _, c := range [][3]string{
		{Disk, "bad", "5s"}, {Disk, "bad", ""}, {Disk, "bad", "-1GB"}, {Disk, "bad", "GiB"}, {Disk, "bad", "1.2.3G"}, {Disk, "bad", "9999999TiB"},
		{Clock, "bad", "1GiB"}, {Clock, "bad", "-5s"}, {Architecture, "bad", "1"}, {Disk, "worst", "1"}, {Disk, "action", "panic"}, {Disk, "action", ""},
		{Disk, "bad", "1Gb/s"}, {Disk, "bad", "1µ"},
	} {
		if got, err := ParseLimit(c[0], map[string]string{c[1]: c[2]}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %+v, %v", c, got, err)
		}
	}
}

func TestSpanAndSize(t *testing.T) {
	for want, got := range map[string]string{
		"3 ms": span(3 * time.Millisecond), "1.5 s": span(1500 * time.Millisecond), "42 s": span(42 * time.Second), "12 min": span(12 * time.Minute),
		"5 h": span(5 * time.Hour), "3 days": span(73 * time.Hour), "512 B": size(512), "1.00 KiB": size(1024), "2048.00 PiB": size(1 << 61),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	f.Add("1GiB")
	f.Add("1.5 k")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := ParseBytes(text); err == nil && n < 0 {
			t.Fatalf("%q is %d", text, n)
		}
	})
}
