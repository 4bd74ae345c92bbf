package config

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/server/notify"
)

func TestEverythingWrongIsSaidAtOnceWithItsPlace(t *testing.T) {
	_, err := Parse("farm.yaml", `version: 1
nodes:
  - name: "a/b"
    executers: 4
  - name: n2
    executors: many
    mode: lazy
    retention: {demand: {idleDelay: soon}}
    monitors: {disk: {bad: 5 parsecs}}
    setup: {files: relative, timeout: soon}
  - name: n2
jobs:
  - name: app
users:
  - name: alice
    role: boss
    password: s3cret
notify:
  smtp: {host: mail, from: x, to: "a@x;b@y"}
farms: {}
`, nil)
	if !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"farm.yaml:4:5: nodes[0].executers: there is no key \"executers\" here: did you mean executors?\n    4 |     executers: 4\n      |     ^",
		"farm.yaml:3:11: nodes[0].name: node name \"a/b\"", "farm.yaml:6:16: nodes[1].executors: \"many\": expected a whole number",
		"farm.yaml:7:11: nodes[1].mode: \"lazy\": expected normal or exclusive", "farm.yaml:8:", "farm.yaml:9:16: nodes[1].monitors.disk: ",
		"farm.yaml:10:12: nodes[1].setup: setup.files", "farm.yaml:10:39: nodes[1].setup.timeout: \"soon\"", "farm.yaml:11:11: nodes[2].name: node \"n2\" stands at nodes[1] already", "farm.yaml:13:", "expected script or git", "farm.yaml:16:11: users[0].role: \"boss\"",
		"farm.yaml:17:15: users[0].password: ", "notify.smtp.from", "farm.yaml:20:1: farms: there is no key \"farms\" here: did you mean farm?", "14 problems: nothing was applied",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %q", want)
		}
	}
	if strings.Contains(strings.ReplaceAll(err.Error(), "password: s3cret", ""), "s3cret") {
		t.Error("a message repeats the secret")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestWhatIsNoFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "the file is empty",
		"version: 2":                        "expected version: 1",
		"nodes: []":                         "expected version: 1",
		"- a":                               "expected a mapping",
		"version: 1\n---\nversion: 1":       "expected one document",
		"version: 1\nnodes: {a: b":          ":2:",
		"version: 1\nnodes: *x":             "no anchor &x",
		"version: 1\nnodes: 5":              "expected a list",
		"version: 1\nversion: 1":            "version",
		"version: 1\nfarm: {executors: -2}": "0 or more",
		"version: 1\nnodes: [{name: a, launcher: {ssh: {}, command: {}}}]": "one kind",
		"version: 1\n" + strings.Repeat("#", maxText):                      "at most",
	} {
		if _, err := Parse("f", text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, expected %q", text, err, want)
		}
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	d, err := Parse("f", `version: 1
definitions:
  linux: &linux
    labels: linux docker
    executors: 4
    env: {LANG: C.UTF-8}
nodes:
  - {<<: *linux, name: a}
  - {<<: *linux, name: b, executors: 8}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Nodes) != 2 || d.Nodes[0].Executors != 4 || d.Nodes[1].Executors != 8 || strings.Join(d.Nodes[1].Labels, ",") != "linux,docker" || d.Nodes[0].Env["LANG"] != "C.UTF-8" {
		t.Fatalf("%+v", d.Nodes)
	}
}

func TestAliasesOfAliasesEnd(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\ndefinitions:\n  a0: &a0 [{name: x}]\n")
	prev := "a0"
	for _, n := range []string{"a1", "a2", "a3", "a4", "a5", "a6"} {
		b.WriteString("  " + n + ": &" + n + " [*" + prev + strings.Repeat(", *"+prev, 20) + "]\n")
		prev = n
	}
	b.WriteString("nodes: *" + prev + "\n")
	if _, err := Parse("f", b.String(), nil); err == nil {
		t.Fatal("it was taken")
	}
}

func TestAFileThatIsWrongAllOverIsNotDescribedInFull(t *testing.T) {
	_, err := Parse("f", "version: 1\nnodes:\n"+strings.Repeat("  - {nam: a}\n", 50_000), nil)
	if err == nil || len(err.Error()) > 50_000 || !strings.Contains(err.Error(), "100 problems") {
		t.Fatalf("%.500v", err)
	}
}

// anyText are texts that YAML is known to misread.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"no", "1", "1e3", "0x1f", "~", "null", "a: b", "- x", "#x", "a #b", "*a", "&a", "!t", "%p", "@a", "`a", "'", "\"", "{}", "[]", "|", ">", "a\nb",
		"a\nb\n", "line\n\n", " lead", "trail ", "\ttab", "a\n\tb\nc\n", "2026-11-21", "12:30:45", "ü ß €", "😀", "\u2028", "\u0085", "\x07", "a\r\nb", "<<", "=", "pipeline {\n  agent any\n}\n", "a\n  b\n # c\n", "---\n...\nx\n"}),
		rapid.StringN(1, 20, 60))
}

func words(t *rapid.T, name string) map[string]string {
	return rapid.MapOfN(anyText(), anyText(), 0, 3).Draw(t, name)
}

func anyDocument(t *rapid.T) Document {
	var d Document
	limits := map[string]fleet.Limit{}
	if rapid.Bool().Draw(t, "limits") {
		limits["disk"] = fleet.Limit{Action: fleet.Warn, Bad: rapid.Int64Range(0, 1<<40).Draw(t, "bad")}
		limits["clock"] = fleet.Limit{Bad: rapid.Int64Range(0, 1<<30).Draw(t, "clock")}
	}
	d.Farm.Monitors = limits
	d.Farm.Scheduling = rapid.SampledFrom([]*queue.Policy{nil, {Pack: true, Long: 90 * time.Second}, {Weights: queue.Weights{Last: -1, Free: 0.25}, Limits: map[string]int{"a && b": 0, "licence": 3},
		Allow: map[fleet.NodeName][]string{"x": {"team/**", "a b"}}}}).Draw(t, "scheduling")
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9 .é-]{0,8}[a-z0-9]`), 0, 4, rapid.ID).Draw(t, "nodes") {
		n := fleet.Node{Name: fleet.NodeName(name), Executors: rapid.IntRange(0, 9).Draw(t, "executors"), Mode: rapid.SampledFrom([]fleet.Mode{fleet.Normal, fleet.Exclusive}).Draw(t, "mode"),
			Description: rapid.OneOf(rapid.Just(""), anyText()).Draw(t, "description"), RemoteRoot: rapid.OneOf(rapid.Just(""), anyText()).Draw(t, "root"), Env: words(t, "env"), Tools: words(t, "tools"),
			Launcher: fleet.LauncherSpec{Kind: rapid.SampledFrom([]string{"inbound", "ssh", "command"}).Draw(t, "launcher"), Config: words(t, "config")}, Monitors: limits}
		for _, l := range rapid.SliceOfN(rapid.StringMatching(`[a-z0-9:#.é"' -]{1,8}`), 0, 3).Draw(t, "labels") {
			n.Labels = append(n.Labels, l)
		}
		n.Retention = rapid.SampledFrom([]fleet.RetentionSpec{{}, {Kind: "demand", Config: map[string]string{"idleDelay": "5m"}}, {Kind: "schedule", Config: map[string]string{"start": "0 8 * * 1-5", "upTime": "8h"}}}).Draw(t, "retention")
		n.Setup = rapid.SampledFrom([]*fleet.Setup{nil, {Files: "/srv/x y"}, {Command: "#!/bin/sh\necho a: b # c\n", Prepare: "x", Timeout: 90 * time.Second}}).Draw(t, "setup")
		n.Probes = rapid.SampledFrom([]map[string]fleet.Probe{nil, {"docker-ok": {Command: "docker info # x", Interval: 90 * time.Second}},
			{"gpu": {Command: "a", Value: `t: "([0-9]+)"`, Below: true, Limit: fleet.Limit{Action: fleet.Warn, Bad: 5, Warn: 9}}}}).Draw(t, "probes")
		d.Nodes = append(d.Nodes, n)
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,5}(/[a-z0-9é ]{0,4}[a-z])?`), 0, 3, rapid.ID).Draw(t, "jobs") {
		j := Job{Name: build.JobName(name), Priority: rapid.IntRange(-3, 3).Draw(t, "priority"), Disabled: rapid.Bool().Draw(t, "disabled"), Source: build.Source{Script: anyText().Draw(t, "script")}}
		if rapid.Bool().Draw(t, "git") {
			j.Source = build.Source{Git: &build.GitSource{URL: anyText().Draw(t, "url"), Ref: rapid.OneOf(rapid.Just(""), anyText()).Draw(t, "ref")}}
		}
		d.Jobs = append(d.Jobs, j)
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9.@-]{0,8}`), 0, 3, rapid.ID).Draw(t, "users") {
		d.Users = append(d.Users, User{Name: name, Role: rapid.SampledFrom([]string{"admin", "user", "viewer"}).Draw(t, "role"), Disabled: rapid.Bool().Draw(t, "disabled")})
	}
	if rapid.Bool().Draw(t, "smtp") {
		d.Notify.SMTP = &notify.SMTP{Host: "mail.example.org", From: "f@example.org", To: []string{"a@example.org", "b@example.org"}, TLS: notify.StartTLS, Username: anyText().Draw(t, "username"),
			Password: secret.Ref("env:" + anyText().Draw(t, "env")), Interest: notify.Interest{Nodes: rapid.SampledFrom([][]string{nil, {"offline"}, {"online"}, {"offline", "online"}}).Draw(t, "news")}}
	}
	if rapid.Bool().Draw(t, "hook") {
		d.Notify.Webhooks = []notify.Webhook{{Name: anyText().Draw(t, "hook name"), URL: "https://x.example/y", AllowPrivate: []string{"10.0.0.0/8"},
			Interest: notify.Interest{Builds: rapid.SampledFrom([]*notify.BuildFilter{nil, {}, {Jobs: []string{"a/*"}, Results: []build.Result{build.Failure}, OnChange: true}}).Draw(t, "builds")}}}
	}
	return d
}

// TestWhatIsWrittenIsReadBack: Parse undoes Write, whatever stands in the texts.
func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDocument(t)
		text := d.Write()
		got, err := Parse("f", text, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if again := got.Write(); again != text {
			t.Fatalf("written\n%s\nread and written\n%s", text, again)
		}
		if cs := compare(d, got); len(cs) > 0 {
			t.Fatalf("%+v\n%s", cs, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("version: 1\nnodes: [{name: a, launcher: {ssh: {host: x}}}]")
	f.Add("version: 1\nnotify: {smtp: {host: m, from: a@b, to: 'a@b;c@d'}}")
	f.Add("a: &a [*a]")
	f.Add("? {}\n: x")
	f.Add(jcascFile)
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := Import("f", text); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		d, err := Parse("f", text, nil)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if _, err := Parse("f", d.Write(), nil); err != nil {
			t.Fatalf("%v\n%s", err, d.Write())
		}
	})
}
