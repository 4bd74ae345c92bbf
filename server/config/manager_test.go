package config

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/store/sqlite"
	"github.com/outwork-build/outwork/wire"
)

// waiting is a launcher whose agents never dial; config.host must be set.
type waiting struct{ host bool }

func (waiting) AgentsDial() bool { return true }
func (waiting) Launch(ctx context.Context, _ fleet.Node, _ io.Writer) (wire.Link, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (w waiting) Check(n fleet.Node) error {
	if w.host && n.Launcher.Config["host"] == "" {
		return fault.New(fault.Invalid, "host is missing")
	}
	return nil
}

// faulty is a roster that fails on one node.
type faulty struct {
	*fleet.Roster
	mu  sync.Mutex
	bad fleet.NodeName
}

func (f *faulty) Put(ctx context.Context, n fleet.Node) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.Name == f.bad {
		return errors.New("no disk")
	}
	return f.Roster.Put(ctx, n)
}

// farm is a real ledger, roster and authority.
type farm struct {
	*Manager
	cfg    Config
	roster *faulty
	auth   *auth.Authority
	ledger *sqlite.Ledger
	limits map[string]fleet.Limit
	notify notify.Settings
}

func newFarm(t testing.TB, dir, file string) *farm {
	t.Helper()
	ledger, err := sqlite.Open(t.Context(), filepath.Join(dir, "ledger"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	kinds := Kinds{"inbound": waiting{}, "ssh": waiting{true}, "command": waiting{}, "local": waiting{}}
	roster, err := fleet.New(fleet.Config{Store: ledger.Tables.Nodes, Launchers: kinds, Connect: func(context.Context, wire.Link, fleet.Node) (fleet.Conn, error) { return nil, errors.New("none") }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- roster.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	f := &farm{ledger: ledger, roster: &faulty{Roster: roster}, auth: auth.New(auth.Config{Store: ledger.Tables.Auth, Now: time.Now, Hash: &auth.HashCost{MemoryKiB: 8, Time: 1, Threads: 1}})}
	f.cfg = Config{Dir: filepath.Join(dir, "config"), File: file, Kinds: kinds, Nodes: f.roster, Users: f.auth, Jobs: ledger.Tables.Builds, Secrets: secret.Env{},
		Limits: func(l map[string]fleet.Limit) { f.limits = l }, Notify: func(s notify.Settings) { f.notify = s }}
	f.again(t)
	return f
}

// again is a restart of the Manager alone.
func (f *farm) again(t testing.TB) {
	t.Helper()
	m, err := New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Manager = m
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f *farm) apply(t testing.TB, text string) api.ConfigPlan {
	t.Helper()
	p, err := f.Apply(t.Context(), api.ConfigText{File: "farm.yaml", Text: "version: 1\n" + text}, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *farm) export(t testing.TB) string {
	t.Helper()
	s, err := f.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func said(p api.ConfigPlan) string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, c.Action+" "+c.Kind+" "+c.Name)
	}
	return strings.Join(out, ", ")
}

const full = `
farm:
  executors: 2
  monitors: {disk: {action: offline, bad: 2GiB}}
notify:
  smtp: {host: mail.example.org, from: f@example.org, to: a@example.org;b@example.org}
nodes:
  - name: a
    labels: linux docker
    launcher: {ssh: {host: a.example.org}}
    retention: {demand: {idleDelay: 5m}}
    monitors: {disk: {bad: 5GiB}}
    tools: {jdk: /opt/jdk}
  - {name: b, mode: exclusive, executors: 3, remoteRoot: /srv/b, env: {LANG: C.UTF-8}}
jobs:
  - {name: team/app, git: {url: "https://git.example.org/app", ref: main}}
  - name: hello
    script: |
      pipeline {
        agent any
      }
users:
  - {name: alice, role: admin, password: "env:ALICE"}
`

func TestAFileMakesAFarm(t *testing.T) {
	t.Setenv("ALICE", "alice-alice")
	f := newFarm(t, t.TempDir(), "")
	text := api.ConfigText{File: "farm.yaml", Text: "version: 1\n" + full}
	planned, err := f.Plan(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if got := said(planned); got != "change farm , change notify , create node a, create node b, create node built-in, create job team/app, create job hello, create user alice" {
		t.Errorf("planned %s", got)
	}
	if len(f.roster.Snapshot()) != 0 {
		t.Fatal("a plan made nodes")
	}
	if got := f.apply(t, full); said(got) != said(planned) {
		t.Errorf("did %s", said(got))
	}
	a, _ := f.roster.Node("a")
	if n := a.Node; n.Launcher.Config["host"] != "a.example.org" || n.Retention.Kind != "demand" || n.Monitors["disk"].Bad != 5<<30 || n.Tools["jdk"] != "/opt/jdk" || strings.Join(n.Labels, " ") != "linux docker" {
		t.Errorf("%+v", n)
	}
	if f.limits["disk"].Bad != 2<<30 || f.notify.SMTP == nil || len(f.notify.SMTP.To) != 2 || !f.Manages("a") || f.Manages("c") {
		t.Errorf("limits %v, notify %+v", f.limits, f.notify)
	}
	if _, _, err := f.auth.Login(t.Context(), "alice", "alice-alice", "test"); err != nil {
		t.Error(err)
	}
	if got := said(f.apply(t, full)); got != "" {
		t.Errorf("the second time it did %s", got)
	}
	f.again(t)
	if f.limits["disk"].Bad != 2<<30 || f.notify.SMTP == nil || !f.Manages("a") {
		t.Error("a restart forgot the settings")
	}
}

func TestOnlyWhatTheFileMadeGoesWithIt(t *testing.T) {
	t.Setenv("P", "password")
	f := newFarm(t, t.TempDir(), "")
	if err := f.roster.Put(t.Context(), fleet.Node{Name: "old", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "inbound"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.roster.Put(t.Context(), fleet.Node{Name: "other", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "inbound"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.auth.CreateUser(t.Context(), "root", "password", "admin"); err != nil {
		t.Fatal(err)
	}
	f.apply(t, "nodes: [{name: old, executors: 4}, {name: new}]\njobs: [{name: built, script: x}, {name: unbuilt, script: x}]\nusers: [{name: bob, password: \"env:P\"}]")
	if _, err := f.ledger.Tables.Builds.Accept(t.Context(), build.Build{ID: build.ID{Job: "built"}, State: build.Queued}); err != nil {
		t.Fatal(err)
	}
	if got := said(f.apply(t, "")); got != "delete node new, disable job built, delete job unbuilt, disable user bob" {
		t.Errorf("did %s", got)
	}
	if _, ok := f.roster.Node("old"); !ok {
		t.Error("a node that the file did not make went")
	}
	if len(f.State().Managed) != 0 {
		t.Errorf("it still looks after %v", f.State().Managed)
	}
	if got := said(f.apply(t, "")); got != "" {
		t.Errorf("then it did %s", got)
	}
}

func TestUndo(t *testing.T) {
	t.Setenv("ALICE", "alice-alice")
	f := newFarm(t, t.TempDir(), "")
	if err := f.roster.Put(t.Context(), fleet.Node{Name: "a", Executors: 7, Launcher: fleet.LauncherSpec{Kind: "inbound"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.roster.SetOffline(t.Context(), "a", fleet.ByUser("carol", "disk")); err != nil {
		t.Fatal(err)
	}
	if err := f.auth.CreateUser(t.Context(), "root", "password", "admin"); err != nil {
		t.Fatal(err)
	}
	before := f.export(t)
	f.apply(t, full)
	st, _ := f.roster.Node("a")
	if st.Node.Offline == nil {
		t.Error("an apply put a node online that a person took offline")
	}
	f.again(t)
	if _, err := f.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.export(t); got != before {
		t.Errorf("after undo\n%s\nbefore\n%s", got, before)
	}
	if f.notify.SMTP != nil || len(f.State().Managed) != 0 {
		t.Error("settings stayed")
	}
	if _, err := f.Undo(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second undo: %v", err)
	}
}

func TestAFailureHalfWayIsTakenBack(t *testing.T) {
	f := newFarm(t, t.TempDir(), "")
	f.apply(t, "nodes: [{name: a}]")
	before := f.export(t)
	f.roster.bad = "z"
	if _, err := f.Apply(t.Context(), api.ConfigText{Text: "version: 1\nnodes: [{name: a, executors: 9}, {name: b}, {name: z}]\nnotify: {webhooks: [{name: x, url: \"https://x.example\"}]}"}, ""); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Fatal(err)
	}
	if got := f.export(t); got != before {
		t.Errorf("left\n%s\nwas\n%s", got, before)
	}
	if !f.State().Undo {
		t.Error("the apply before cannot be undone any more")
	}
}

func TestACrashHalfWayIsTakenBack(t *testing.T) {
	f := newFarm(t, t.TempDir(), "")
	f.apply(t, "nodes: [{name: a}]")
	before := f.export(t)
	d, err := Parse("f", "version: 1\nnodes: [{name: a, executors: 9}, {name: b}]", f.cfg.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.plan(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	begun := f.state
	begun.Pending = f.record(p)
	if err := f.keep(begun); err != nil {
		t.Fatal(err)
	}
	if err := f.do(t.Context(), d, p, nil); err != nil { // and here the controller is killed
		t.Fatal(err)
	}
	f.again(t)
	if got := f.export(t); got != before {
		t.Errorf("left\n%s\nwas\n%s", got, before)
	}
}

func TestNothingIsAppliedWhenAnythingIsWrong(t *testing.T) {
	f := newFarm(t, t.TempDir(), "")
	for text, want := range map[string]string{
		"nodes: [{name: a}, {name: b, launcher: ssh}]":                             "host is missing",
		"nodes: [{name: a}, {name: b, launcher: {tellnet: {}}}]":                   "expected one of command, inbound, local, ssh",
		"nodes: [{name: a}]\nusers: [{name: x}]":                                   "user x is new",
		"nodes: [{name: a}]\nusers: [{name: x, password: \"env:NOT_SET_AT_ALL\"}]": "NOT_SET_AT_ALL",
	} {
		if _, err := f.Apply(t.Context(), api.ConfigText{Text: "version: 1\n" + text}, ""); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if n := len(f.roster.Snapshot()); n > 0 {
		t.Errorf("%d nodes were made", n)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	f := newFarm(t, t.TempDir(), "")
	if err := f.auth.CreateUser(t.Context(), "root", "password", "admin"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Apply(t.Context(), api.ConfigText{Text: "version: 1\nusers: [{name: root, role: viewer}]"}, ""); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
}

func TestTheControllersOwnFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "farm.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version: 1\nnodes: [{name: a}]")
	f := newFarm(t, dir, file)
	if _, ok := f.roster.Node("a"); !ok {
		t.Fatal("the start did not apply it")
	}
	if _, err := f.Apply(t.Context(), api.ConfigText{Text: "version: 1"}, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("another file was taken: %v", err)
	}
	write("version: 1\nnodes: [{name: b}]")
	if p, err := f.Reload(t.Context(), ""); err != nil || said(p) != "create node b, delete node a" {
		t.Errorf("reload: %s: %v", said(p), err)
	}
	write("version: 1\nnode: []")
	if _, err := f.Reload(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "farm.yaml:2:1: node: ") {
		t.Errorf("reload of a wrong file: %v", err)
	}
	if _, ok := f.roster.Node("b"); !ok {
		t.Error("a wrong file took the node away")
	}
	if _, err := New(f.cfg); !fault.Is(err, fault.Invalid) {
		t.Errorf("a start with a wrong file: %v", err)
	}
}

// TestApplyingWhatWasExportedChangesNothing: whatever the farm is.
func TestApplyingWhatWasExportedChangesNothing(t *testing.T) {
	f := newFarm(t, t.TempDir(), "")
	t.Setenv("PASSWORD", "password")
	if err := f.auth.CreateUser(t.Context(), "root", "password", "admin"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		d := anyDocument(rt)
		for i := range d.Users {
			d.Users[i].Password = "env:PASSWORD"
		}
		for i := range d.Nodes {
			if d.Nodes[i].Launcher.Kind == "ssh" {
				d.Nodes[i].Launcher.Config = map[string]string{"host": "h"}
			}
		}
		if _, err := f.Manager.apply(t.Context(), d, "made", ""); err != nil {
			rt.Fatal(err)
		}
		text := f.export(t)
		p, err := f.Apply(t.Context(), api.ConfigText{Text: text}, "")
		if err != nil || len(p.Changes) > 0 {
			rt.Fatalf("changes %+v: %v\n%s", p.Changes, err, text)
		}
		if again := f.export(t); again != text {
			rt.Fatalf("exported\n%s\nand then\n%s", text, again)
		}
	})
}
