package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is a Machine that answers what a test has put in and keeps what it was asked.
type told struct {
	mu    sync.Mutex
	got   []any
	desc  agent.Description
	work  agent.Workspace
	open  []agent.Lease
	feels agent.Vitals
	out   []agent.Output
	exit  agent.Exit
	file  []byte
	info  agent.FileInfo
	list  []agent.FileInfo
	pack  agent.Packed
	err   error
}

func (m *told) heard(args ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = args
	return m.err
}

func (m *told) Describe(context.Context) (agent.Description, error) { return m.desc, m.heard() }
func (m *told) Open(_ context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	return m.work, m.heard(r)
}
func (m *told) Renew(_ context.Context, held []agent.Lease, answered agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	return m.open, 7, m.feels, m.heard(held, answered)
}
func (m *told) Close(_ context.Context, l agent.Lease) error        { return m.heard(l) }
func (m *told) Start(_ context.Context, r agent.StartRequest) error { return m.heard(r) }
func (m *told) Stop(_ context.Context, r agent.StopRequest) error   { return m.heard(r) }
func (m *told) Forget(_ context.Context, l agent.Lease, s agent.StepID) error {
	return m.heard(l, s)
}
func (m *told) Follow(_ context.Context, l agent.Lease, s agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	for _, o := range m.out {
		if err := sink(o); err != nil {
			return agent.Exit{}, err
		}
	}
	return m.exit, m.heard(l, s, offset)
}
func (m *told) ReadFile(_ context.Context, l agent.Lease, path string, limit int64) ([]byte, error) {
	return m.file, m.heard(l, path, limit)
}
func (m *told) WriteFile(_ context.Context, l agent.Lease, path string, data []byte, mode fs.FileMode) error {
	return m.heard(l, path, data, mode)
}
func (m *told) Stat(_ context.Context, l agent.Lease, path string) (agent.FileInfo, error) {
	return m.info, m.heard(l, path)
}
func (m *told) Remove(_ context.Context, l agent.Lease, path string) error { return m.heard(l, path) }
func (m *told) Glob(_ context.Context, r agent.GlobRequest) ([]agent.FileInfo, error) {
	return m.list, m.heard(r)
}
func (m *told) Pack(_ context.Context, r agent.GlobRequest) (agent.Packed, error) {
	return m.pack, m.heard(r)
}
func (m *told) Unpack(_ context.Context, l agent.Lease, root cas.Digest, dir string) error {
	return m.heard(l, root, dir)
}

func pipes(t testing.TB) (near, far wire.Link) {
	a, b, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return stdio.New(a, d, "far"), stdio.New(c, b, "near")
}

func connect(t testing.TB, m agent.Machine) (*remote.Conn, *remote.Served) {
	near, far := pipes(t)
	answered := make(chan *remote.Served, 1)
	go func() {
		s, err := remote.Answer(t.Context(), far, m, remote.Options{Name: "agent", Version: "1", Features: []string{"f"}})
		if err != nil {
			t.Error(err)
		}
		answered <- s
	}()
	conn, err := remote.Connect(t.Context(), near, remote.Options{Name: "controller", Version: "2"})
	served := <-answered
	if err != nil || served == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); served.Close() })
	return conn, served
}

var (
	lease = agent.Lease{Item: "item/1 é", Epoch: 7}
	when  = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	hash  = cas.Of([]byte("x"))
)

// Every field of every message arrives as it was sent, both ways.
func TestEveryFieldArrives(t *testing.T) {
	ctx := t.Context()
	m := &told{
		desc: agent.Description{Version: "v", OS: "linux", Arch: "amd64", Hostname: "h", CPUs: 8, Root: "/r", Boot: "b", PID: 9,
			Shells: []string{"sh", "pwsh"}, Git: true, Env: map[string]string{"A": "b"}},
		work: agent.Workspace{Path: "/w", Tmp: "/w@tmp", Home: "/h"},
		open: []agent.Lease{lease, {Item: "b", Epoch: 1}},
		feels: agent.Vitals{Clock: when, Disk: agent.Space{Path: "/r", Free: 1 << 40, Total: 1 << 41, Age: time.Second}, Temp: agent.Space{Path: "/tmp", Free: -1, Total: -1},
			Memory: 5, MemoryAll: 6, Swap: 7, SwapAll: 8, Load: 0.25, CPUs: 8, Uptime: -1, Agent: 10},
		out:  []agent.Output{{Offset: 5, Data: []byte("abc")}, {Offset: 8, Data: []byte("d")}},
		exit: agent.Exit{Code: -3, Signal: "killed", Stopped: true, Lost: true, Reason: "r", Stdout: []byte("captured"), Output: 9, Dropped: 2, Started: when, Ended: when.Add(1)},
		file: []byte("content"),
		info: agent.FileInfo{Path: ".", Size: 4, Mode: fs.ModeDir | fs.ModeSetuid | 0o755, ModTime: when},
		list: []agent.FileInfo{{Path: "a/b", Size: 1 << 40, Mode: 0o600, ModTime: when}, {Path: "c"}},
		pack: agent.Packed{Root: hash, Files: []agent.PackedFile{{Path: "a", Digest: hash, Mode: 0o755}}, Uploaded: 3},
	}
	conn, _ := connect(t, m)
	far := conn.Machine()
	same := func(name string, got, want any, err error, asked ...any) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s answered otherwise (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(asked, m.got); len(asked) > 0 && d != "" {
			t.Errorf("%s asked otherwise (-want +got):\n%s", name, d)
		}
	}
	d, err := far.Describe(ctx)
	same("Describe", d, m.desc, err)
	or := agent.OpenRequest{Lease: lease, Job: "j", Workspace: "w", Build: "b", Env: map[string]string{"K": "v=1"}, Policy: agent.Kill, TTL: 90 * time.Second}
	w, err := far.Open(ctx, or)
	same("Open", w, m.work, err, or)
	open, at, feels, err := far.Renew(ctx, []agent.Lease{lease}, 5)
	same("Renew", open, m.open, err, []agent.Lease{lease}, agent.Heard(5))
	same("Renew's moment", at, agent.Heard(7), err, []agent.Lease{lease}, agent.Heard(5))
	same("Renew's vitals", feels, m.feels, err, []agent.Lease{lease}, agent.Heard(5))
	same("Close", nil, nil, far.Close(ctx, lease), lease)
	sr := agent.StartRequest{Lease: lease, Step: "s", Interpreter: "sh", Script: []byte{0, 1, 0xff}, Argv: []string{"a", ""}, Dir: "d", Env: map[string]string{"PATH+X": "/x"}, Capture: true, MaxOutput: 5}
	same("Start", nil, nil, far.Start(ctx, sr), sr)
	st := agent.StopRequest{Lease: lease, Step: "s", Grace: -time.Millisecond, Reason: "why"}
	same("Stop", nil, nil, far.Stop(ctx, st), st)
	same("Forget", nil, nil, far.Forget(ctx, lease, "s"), lease, agent.StepID("s"))
	var out []agent.Output
	e, err := far.Follow(ctx, lease, "s", 5, func(o agent.Output) error { out = append(out, o); return nil })
	same("Follow", e, m.exit, err, lease, agent.StepID("s"), int64(5))
	same("Follow's output", out, m.out, nil)
	b, err := far.ReadFile(ctx, lease, "p", 100)
	same("ReadFile", b, m.file, err, lease, "p", int64(100))
	same("WriteFile", nil, nil, far.WriteFile(ctx, lease, "p", []byte("data"), 0o640), lease, "p", []byte("data"), fs.FileMode(0o640))
	i, err := far.Stat(ctx, lease, "p")
	same("Stat", i, m.info, err, lease, "p")
	same("Remove", nil, nil, far.Remove(ctx, lease, "p"), lease, "p")
	g := agent.GlobRequest{Lease: lease, Dir: "d", Includes: "**/*.go", Excludes: "x", DefaultExcludes: true, CaseInsensitive: true}
	l, err := far.Glob(ctx, g)
	same("Glob", l, m.list, err, g)
	p, err := far.Pack(ctx, g)
	same("Pack", p, m.pack, err, g)
	same("Unpack", nil, nil, far.Unpack(ctx, lease, hash, "d"), lease, hash, "d")
}

// What is longer than a message arrives whole.
func TestLongAnswers(t *testing.T) {
	ctx := t.Context()
	m := &told{file: random(9 << 20), exit: agent.Exit{Stdout: random(16 << 20)}}
	for i := range 60_000 {
		path := fmt.Sprintf("%s/%d", strings.Repeat("d", 100), i)
		m.list = append(m.list, agent.FileInfo{Path: path})
		m.pack.Files = append(m.pack.Files, agent.PackedFile{Path: path, Digest: hash})
	}
	m.pack.Root = hash
	for at := 0; at < 3<<20; at += 64 << 10 {
		m.out = append(m.out, agent.Output{Offset: int64(at), Data: make([]byte, 64<<10)})
	}
	conn, _ := connect(t, m)
	far := conn.Machine()
	if b, err := far.ReadFile(ctx, lease, "p", 0); err != nil || !bytes.Equal(b, m.file) {
		t.Errorf("ReadFile: %d bytes, %v", len(b), err)
	}
	if err := far.WriteFile(ctx, lease, "p", m.file, 0); err != nil || !bytes.Equal(m.got[2].([]byte), m.file) {
		t.Errorf("WriteFile: %v", err)
	}
	if l, err := far.Glob(ctx, agent.GlobRequest{Lease: lease}); err != nil || !reflect.DeepEqual(l, m.list) {
		t.Errorf("Glob: %d files, %v", len(l), err)
	}
	if p, err := far.Pack(ctx, agent.GlobRequest{Lease: lease}); err != nil || !reflect.DeepEqual(p, m.pack) {
		t.Errorf("Pack: %d files, %v", len(p.Files), err)
	}
	total := 0
	e, err := far.Follow(ctx, lease, "s", 0, func(o agent.Output) error { total += len(o.Data); return nil })
	if err != nil || total != 3<<20 || !bytes.Equal(e.Stdout, m.exit.Stdout) {
		t.Errorf("Follow: %d bytes, stdout %d bytes, %v", total, len(e.Stdout), err)
	}
}

func random(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * i >> 3)
	}
	return p
}

// Kinds of the machine's errors arrive, with the text of the machine.
func TestErrorsKeepTheirKind(t *testing.T) {
	m := &told{}
	conn, _ := connect(t, m)
	far, ctx := conn.Machine(), t.Context()
	for _, k := range []fault.Kind{fault.Stale, fault.Conflict, fault.NotFound, fault.Exhausted, fault.Invalid, fault.Internal} {
		m.err = fault.New(k, "the machine says %s", k)
		_, open := far.Open(ctx, agent.OpenRequest{Lease: lease})
		_, follow := far.Follow(ctx, lease, "s", 0, nil)
		_, read := far.ReadFile(ctx, lease, "p", 0)
		_, pack := far.Pack(ctx, agent.GlobRequest{Lease: lease})
		for i, err := range []error{open, follow, read, pack, far.Close(ctx, lease), far.WriteFile(ctx, lease, "p", make([]byte, 1<<20), 0)} {
			if !fault.Is(err, k) || !strings.Contains(err.Error(), "the machine says "+k.String()) {
				t.Errorf("call %d, %v: came as %v: %v", i, k, fault.Of(err), err)
			}
		}
	}
}

func TestSinkError(t *testing.T) {
	m := &told{out: []agent.Output{{Data: []byte("a")}, {Offset: 1, Data: []byte("b")}}}
	conn, _ := connect(t, m)
	full := fault.New(fault.Exhausted, "no room")
	if _, err := conn.Machine().Follow(t.Context(), lease, "s", 0, func(agent.Output) error { return full }); err != full {
		t.Errorf("%v", err)
	}
}

// Followers that do not read hold up neither each other nor other calls (F11).
func TestSlowFollowersHoldUpNobody(t *testing.T) {
	m := &told{}
	for at := 0; at < 8<<20; at += 64 << 10 {
		m.out = append(m.out, agent.Output{Offset: int64(at), Data: make([]byte, 64<<10)})
	}
	conn, _ := connect(t, m)
	const slow = 20
	entered, release := make(chan struct{}, slow), make(chan struct{})
	var all sync.WaitGroup
	for range slow {
		all.Go(func() {
			total := 0
			_, err := conn.Machine().Follow(t.Context(), lease, "s", 0, func(o agent.Output) error {
				if total == 0 {
					entered <- struct{}{}
					<-release
				}
				total += len(o.Data)
				return nil
			})
			if err != nil || total != 8<<20 {
				t.Errorf("%d bytes, %v", total, err)
			}
		})
	}
	for range slow {
		<-entered
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 100 {
		if _, err := conn.Machine().Describe(ctx); err != nil {
			t.Fatalf("beside followers that do not read: %v", err)
		}
	}
	close(release)
	all.Wait()
}

func TestBothSidesKnowEachOther(t *testing.T) {
	conn, served := connect(t, &told{})
	if h := conn.Hello(); h.Name != "agent" || h.Version != "1" || len(h.Features) != 1 {
		t.Errorf("%+v", h)
	}
	if h := served.Hello(); h.Name != "controller" || h.Version != "2" {
		t.Errorf("%+v", h)
	}
	if time.Since(conn.LastHeard()) > time.Minute {
		t.Errorf("last heard %v", conn.LastHeard())
	}
	if err := conn.Drain(t.Context(), time.Second, "upgrade"); err != nil {
		t.Fatal(err)
	}
	if d := <-served.Drained(); d.RetryAfter != time.Second || d.Reason != "upgrade" {
		t.Errorf("%+v", d)
	}
	if err := conn.Drain(t.Context(), -time.Second, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	served.Close()
	<-conn.Done()
	if err := conn.Err(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if err := served.Err(); err != nil {
		t.Errorf("%v", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	conn, _ := connect(b, &told{})
	for b.Loop() {
		if err := conn.Machine().Close(b.Context(), lease); err != nil {
			b.Fatal(err)
		}
	}
}
