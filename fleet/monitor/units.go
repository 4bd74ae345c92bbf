package monitor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// ParseLimit reads a limit as people write it: {"action": "offline", "bad": "1GiB", "warn": "2GiB"} for disk, temp and swap,
// {"bad": "5s"} for clock and response. A number without a unit is bytes or milliseconds. An error is fault.Invalid.
func ParseLimit(monitor string, config map[string]string) (l fleet.Limit, err error) {
	for key, text := range config {
		switch key {
		case "action":
			l.Action = fleet.Action(text)
			if rank(l.Action) < 1 {
				err = fmt.Errorf("%q: expected ignore, warn, offline or disconnect", text)
			}
		case "bad":
			l.Bad, err = parse(monitor, text)
		case "warn":
			l.Warn, err = parse(monitor, text)
		default:
			err = fmt.Errorf("no such setting: expected action, bad or warn")
		}
		if err != nil {
			return l, fault.New(fault.Invalid, "monitors.%s.%s: %w", monitor, key, err)
		}
	}
	return l, nil
}

func parse(monitor, text string) (int64, error) {
	switch monitor {
	case Disk, Temp, Swap:
		return ParseBytes(text)
	case Clock, Response:
		return parseMilliseconds(text)
	}
	return 0, fmt.Errorf("the monitor has no limits")
}

// ParseBytes reads a size: 500MB, 1GiB, 1.5 G, 4096. kB, MB, GB and TB count in thousands; KiB to TiB, and the letters alone,
// in 1024s.
func ParseBytes(text string) (int64, error) {
	s := strings.TrimSpace(text)
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(s)
	}
	unit := strings.ToLower(strings.TrimSpace(s[i:]))
	factor := 1.0
	if unit != "" && unit != "b" {
		power := strings.IndexByte("kmgt", unit[0]) + 1
		switch rest := unit[1:]; {
		case power > 0 && rest == "b":
			factor = math.Pow(1000, float64(power))
		case power > 0 && (rest == "" || rest == "ib" || rest == "i"):
			factor = math.Pow(1024, float64(power))
		default:
			return 0, fault.New(fault.Invalid, "%q: expected a size such as 1GiB or 500MB", text)
		}
	}
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil || n*factor >= 1<<62 {
		return 0, fault.New(fault.Invalid, "%q: expected a size such as 1GiB or 500MB", text)
	}
	return int64(n * factor), nil
}

func parseMilliseconds(text string) (int64, error) {
	s := strings.TrimSpace(text)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: expected a time such as 5s or 500ms", text)
	}
	return d.Milliseconds(), nil
}

// show prints a limit of a monitor.
func show(monitor string, n int64) string {
	switch monitor {
	case Clock, Response:
		return span(time.Duration(n) * time.Millisecond)
	}
	return size(n)
}

// size prints bytes for people.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1024, 0
	for ; x >= 1024 && unit < 4; unit++ {
		x /= 1024
	}
	return fmt.Sprintf("%.2f %ciB", x, "KMGTP"[unit])
}

// span prints a time for people.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		if d < time.Second {
			return fmt.Sprintf("%d ms", d.Milliseconds())
		}
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
