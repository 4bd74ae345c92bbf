package web

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet"
)

// A node reads back from its form as it was, whatever stands in it.
func TestANodeReadsBackFromItsForm(t *testing.T) {
	words := rapid.StringMatching(`[A-Za-z0-9 ._:/\\%&<>"'äß-]{0,12}`)
	key := rapid.StringMatching(`[A-Za-z][A-Za-z0-9.+_-]{0,8}`)
	value := rapid.StringMatching(`[ -~\n]{0,12}`)
	pairs := rapid.MapOfN(key, value, 1, 4)
	config := func(t *rapid.T, k kind) map[string]string {
		var c map[string]string
		for _, s := range k.Settings {
			if rapid.Bool().Draw(t, s.Key) {
				if c == nil {
					c = map[string]string{}
				}
				c[s.Key] = rapid.StringMatching(`[!-~]{1,9}`).Draw(t, "value")
			}
		}
		return c
	}
	limit := rapid.Custom(func(t *rapid.T) fleet.Limit {
		return fleet.Limit{Action: rapid.SampledFrom([]fleet.Action{fleet.Ignore, fleet.Warn, fleet.TakeOff, fleet.Disconnect}).Draw(t, "action"), Bad: rapid.Int64Range(0, 1<<42).Draw(t, "bad"), Warn: rapid.Int64Range(0, 1<<42).Draw(t, "warn")}
	})
	rapid.Check(t, func(t *rapid.T) {
		launcher := rapid.SampledFrom(launcherKinds()).Draw(t, "launcher")
		retention := rapid.SampledFrom(retentionKinds()[1:]).Draw(t, "retention")
		n := fleet.Node{Name: "n", Description: text(words.Draw(t, "description")), Executors: rapid.IntRange(0, 10_000).Draw(t, "executors"), Mode: rapid.SampledFrom([]fleet.Mode{fleet.Normal, fleet.Exclusive}).Draw(t, "mode"),
			RemoteRoot: text(words.Draw(t, "root")), Env: pairs.Draw(t, "env"), Tools: pairs.Draw(t, "tools"), Labels: rapid.SliceOfNDistinct(rapid.StringMatching(`[!-~ä][!-~ä ]{0,8}`), 1, 4, rapid.ID).Draw(t, "labels"),
			Launcher:  fleet.LauncherSpec{Kind: launcher.Name, Config: config(t, launcher)},
			Retention: fleet.RetentionSpec{Kind: retention.Name, Config: config(t, retention)},
			Monitors:  map[string]fleet.Limit{rapid.SampledFrom([]string{"disk", "temp", "swap"}).Draw(t, "monitor"): limit.Draw(t, "limit"), "clock": limit.Draw(t, "limit")}}
		if rapid.Bool().Draw(t, "setup") {
			n.Setup = &fleet.Setup{Files: "/" + text(words.Draw(t, "files")), Command: text(value.Draw(t, "command")), Timeout: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "timeout"))}
		}
		v := nodeValues(n)
		got, problems := readNode(v, fleet.Node{Name: "n"})
		if len(problems) > 0 {
			t.Fatalf("%+v", problems)
		}
		if d := cmp.Diff(n, got); d != "" {
			t.Error(d)
		}
		again, problems := readNode(v, n) // and over what it was
		if d := cmp.Diff(n, again); d != "" || len(problems) > 0 {
			t.Error(d, problems)
		}
	})
}

// Settings that Jenkins names otherwise are shown where they belong, and go with the kind that is left.
func TestOtherNamesAndKinds(t *testing.T) {
	v := nodeValues(fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Kind: "inbound"}, Retention: fleet.RetentionSpec{Kind: "schedule", Config: map[string]string{"startTimeSpec": "0 8 * * *", "upTimeMins": "600"}}})
	if v.Get("retention.schedule.start") != "0 8 * * *" || v.Get("retention.schedule.upTime") != "600" {
		t.Errorf("%v", v)
	}
	v.Set("launcher", "command")
	v.Set("launcher.command.command", "x")
	v.Set("retention", "always")
	n, ps := readNode(v, fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Kind: "ssh", Config: map[string]string{"host": "h"}}})
	if d := cmp.Diff(fleet.LauncherSpec{Kind: "command", Config: map[string]string{"command": "x"}}, n.Launcher); d != "" || n.Retention.Kind != "" || len(ps) > 0 {
		t.Error(d, n.Retention, ps)
	}
	if n, _ := readNode(map[string][]string{"executors": {"1"}}, fleet.Node{Launcher: fleet.LauncherSpec{Kind: "ssh"}, Env: map[string]string{"A": "b"}}); n.Launcher.Kind != "ssh" || n.Env["A"] != "b" {
		t.Errorf("what the form does not have was changed: %+v", n)
	}
}
