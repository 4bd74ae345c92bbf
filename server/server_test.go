package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/websocket"
)

func TestMain(m *testing.M) {
	servertest.Main()
	os.Exit(m.Run())
}

const hello = `pipeline { agent any
  stages { stage('Hello') { steps { echo 'hello'; sh 'echo from a step; echo text > f.txt'; archiveArtifacts 'f.txt' } } } }`

func TestPortInUseSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := servertest.Config(t)
	cfg.Listen = l.Addr().String()
	_, err = server.New(t.Context(), cfg)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), cfg.Listen) || !strings.Contains(err.Error(), "--listen") {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Data); !os.IsNotExist(err) {
		t.Errorf("the data folder was touched: %v", err)
	}
}

func TestFolderOfANewerVersionIsRefused(t *testing.T) {
	cfg := servertest.Config(t)
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	db, err := sql.Open("sqlite", filepath.Join(cfg.Data, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	_, err = server.New(t.Context(), cfg)
	if !fault.Is(err, fault.Incompatible) || !strings.Contains(err.Error(), "newer Outwork") || !strings.Contains(err.Error(), cfg.Data) {
		t.Fatal(err)
	}
}

func TestASecondControllerIsRefused(t *testing.T) {
	f := servertest.New(t)
	cfg := f.Config
	cfg.Listen = "127.0.0.1:0"
	_, err := server.New(t.Context(), cfg)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), cfg.Data) {
		t.Fatal(err)
	}
	if _, err := f.Client.Jobs(f.Context()); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
}

func TestABadAddressIsRefused(t *testing.T) {
	for _, listen := range []string{"nowhere", "127.0.0.1:99999", "256.1.1.1:80"} {
		cfg := servertest.Config(t)
		cfg.Listen = listen
		if _, err := server.New(t.Context(), cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), listen) {
			t.Errorf("%s: %v", listen, err)
		}
	}
	if _, err := server.New(t.Context(), server.Config{}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// A heartbeat has leases count from the one before it: without room for two they would all run out.
func TestAShortLeaseIsRefused(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Heartbeat, cfg.LeaseTTL = 10*time.Second, 20*time.Second
	if _, err := server.New(t.Context(), cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "twice the heartbeat") {
		t.Error(err)
	}
}

// A controller that ends leaves nothing behind in its process, however soon it ends.
func TestStartAndStopManyTimes(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg := servertest.Config(t)
	cfg.Log = nil
	cfg.Nodes = []server.Local{{Name: "n1", Labels: []string{"linux"}, Executors: 1}}
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	for i := range rounds {
		s, err := server.New(context.Background(), cfg)
		if err != nil {
			t.Fatal(i, err)
		}
		if i%6 == 5 { // never ran
			s.Close()
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		switch i % 6 {
		case 0: // at once
		case 1, 2: // when it answers
			resp, err := http.Get(s.URL() + "/healthz")
			if err != nil {
				t.Fatal(i, err)
			}
			resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
		default: // when its agent is there
			changed, cancel := s.Roster().Subscribe()
			for {
				if st, ok := s.Roster().Node("n1"); ok && st.State == fleet.Online {
					break
				}
				<-changed
			}
			cancel()
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(i, err)
		}
	}
}

// Followers and event streams do not hold up the end, and are told of it by the end of their stream.
func TestStopWhileStreamsAreOpen(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("long", `node { sh 'echo begun; while ! test -e go; do sleep 0.05; done' }`)
	b := f.Build("long")
	log, err := f.Client.Log(f.Context(), "long", b.Number, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var text strings.Builder
	for !strings.Contains(text.String(), "\nbegun\n") {
		p := make([]byte, 4096)
		n, err := log.Read(p)
		if text.Write(p[:n]); err != nil {
			t.Fatal(err)
		}
	}
	open := func(path string) io.ReadCloser {
		req, _ := http.NewRequestWithContext(f.Context(), "GET", f.URL()+path, nil)
		req.Header.Set("Authorization", "Bearer "+f.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", path, err, resp)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.Body
	}
	streams := []io.Reader{log, open("/api/v1/events"), open("/jobs/long/1/live")}
	began := time.Now()
	f.Stop()
	if took := time.Since(began); took > servertest.Patience/2 { // streams that are not told of the end stay for ever
		t.Errorf("the end took %v", took)
	}
	for i, s := range streams {
		if _, err := io.Copy(io.Discard, s); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("stream %d: %v", i, err)
		}
	}
	f.Start() // and the build is still running
	f.Await("the build again", func() bool {
		got, err := f.Client.Build(f.Context(), "long", b.Number)
		return err == nil && got.State == "running"
	})
	if err := f.Client.Abort(f.Context(), "long", b.Number); err != nil {
		t.Fatal(err)
	}
	if got := f.Ended(b); got.Result != "ABORTED" {
		t.Errorf("%+v", got)
	}
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestHealth(t *testing.T) {
	f := servertest.New(t)
	if code, body := get(t, f.URL()+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	// Every room has read what it needs to start: without a ledger it would not.
	f.Run("first", `echo 'all is up'`)
	f.Queue().Quieted()
	if _, _, err := f.Roster().WaitMachine(f.Context(), "none"); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	f.Ledger().Close()
	if code, body := get(t, f.URL()+"/healthz"); code != 503 || !strings.Contains(body, "ledger") {
		t.Errorf("with a closed ledger: %d %q", code, body)
	}
}

func TestMetrics(t *testing.T) {
	f := servertest.New(t)
	code, body := get(t, f.URL()+"/metrics")
	if code != 200 || !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "outwork_") {
		t.Errorf("%d\n%s", code, body)
	}
	for _, h := range []string{"X-Forwarded-For", "Forwarded"} {
		if code, body := get(t, f.URL()+"/metrics", h, "for=10.0.0.1"); code != 401 || strings.Contains(body, "go_goroutines") {
			t.Errorf("through a proxy (%s): %d", h, code)
		}
		if code, _ := get(t, f.URL()+"/metrics", h, "for=10.0.0.1", "Authorization", "Bearer "+f.Token); code != 200 {
			t.Errorf("through a proxy (%s) with a token: %d", h, code)
		}
	}
}

func TestTheMachinesNodesFollowTheConfiguration(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Executors = 2
	cfg.Nodes = []server.Local{{Name: "gone", Labels: []string{"x"}, Executors: 1}, {Name: "stays", Labels: []string{"old"}, Executors: 1}}
	f := servertest.Start(t, cfg)
	f.Online()
	f.Await("the built-in node", func() bool { st, ok := f.Roster().Node("built-in"); return ok && st.State == fleet.Online })
	if err := f.Client.NodeOffline(f.Context(), "stays", api.NodeOffline{Reason: "new disk"}); err != nil {
		t.Fatal(err)
	}
	if b := f.Run("here", `node('built-in') { sh 'true' }`); b.Result != "SUCCESS" {
		t.Errorf("%+v", b)
	}
	f.Stop()
	f.Config.Executors = 5
	f.Config.Nodes = []server.Local{{Name: "stays", Labels: []string{"new"}, Executors: 3}}
	f.Start()
	f.Await("the nodes of the second start", func() bool {
		_, gone := f.Roster().Node("gone")
		in, _ := f.Roster().Node("built-in")
		stays, _ := f.Roster().Node("stays")
		return !gone && in.Node.Executors == 5 && stays.Node.Executors == 3 && fmt.Sprint(stays.Node.Labels) == "[new]"
	})
	if st, _ := f.Roster().Node("stays"); st.Node.Offline == nil || st.Node.Offline.Text == "" {
		t.Error("a node that was taken offline came back with the next start")
	}
	f.Stop()
	f.Config.Executors = 0
	f.Start()
	f.Await("the built-in node to go", func() bool { _, found := f.Roster().Node("built-in"); return !found })
}

// tree is the names of all files below dir.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestBackupRestores(t *testing.T) {
	f := servertest.New(t, "linux")
	if b := f.Run("team/hello", hello); b.Result != "SUCCESS" {
		t.Fatalf("%+v", b)
	}
	if err := os.WriteFile(filepath.Join(f.Config.Data, "config", "kept.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := f.Client.Backup(f.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	copied, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	f.Job("later", hello) // not in the copy
	f.Stop()
	if left, _ := filepath.Glob(filepath.Join(f.Config.Data, "backup-*")); len(left) > 0 {
		t.Errorf("the backup left %v", left)
	}
	if _, err := server.Restore(bytes.NewReader(copied), f.Config.Data); !fault.Is(err, fault.Conflict) {
		t.Fatalf("over a ledger: %v", err)
	}
	for _, file := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "lease-ttl"} {
		os.Remove(filepath.Join(f.Config.Data, file))
	}
	before := tree(t, f.Config.Data)
	for name, broken := range map[string][]byte{"half": copied[:len(copied)/2], "without its end": copied[:len(copied)-1], "something else": []byte("SQLite format 3\x00"), "nothing": nil} {
		if names, err := server.Restore(bytes.NewReader(broken), f.Config.Data); !fault.Is(err, fault.Invalid) || !slices.Equal(tree(t, f.Config.Data), before) {
			t.Errorf("%s: %v, %v", name, names, err)
		}
	}
	names, err := server.Restore(bytes.NewReader(copied), f.Config.Data)
	for _, want := range []string{"ledger.db", "lease-ttl", filepath.Join("config", "kept.json")} {
		if _, e := os.Stat(filepath.Join(f.Config.Data, want)); e != nil || !slices.Contains(names, want) {
			t.Errorf("%v %v of %q, %v", want, e, names, err)
		}
	}
	f.Start()
	if jobs, err := f.Client.Jobs(f.Context()); err != nil || len(jobs) != 1 || jobs[0].Name != "team/hello" {
		t.Errorf("%+v, %v", jobs, err)
	}
	b, err := f.Client.Build(f.Context(), "team/hello", 1)
	if err != nil || b.Result != "SUCCESS" {
		t.Errorf("%+v, %v", b, err)
	}
	a, err := f.Client.Artifact(f.Context(), "team/hello", 1, "f.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if text, err := io.ReadAll(a); err != nil || string(text) != "text\n" {
		t.Errorf("%q, %v", text, err)
	}
	if b := f.Ended(f.Build("team/hello")); b.Number != 2 || b.Result != "SUCCESS" {
		t.Errorf("%+v", b)
	}
}

// agentOf runs a whole agent in this process and returns how it ended.
func agentOf(t *testing.T, f *servertest.Farm, name, token string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Patience)
	defer cancel()
	var cfg serve.Config
	cfg.URL, cfg.Token, cfg.Name, cfg.Root, cfg.Version = f.URL(), token, name, filepath.Join(t.TempDir(), name), "test"
	cfg.Logger = slog.New(slog.DiscardHandler)
	return serve.Run(ctx, cfg)
}

func TestTokensThatDoNotJoin(t *testing.T) {
	f := servertest.New(t)
	token := func(j api.JoinTokenCreate) string {
		tok, err := f.Client.CreateJoinToken(f.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		return tok.Secret
	}
	used, other := token(api.JoinTokenCreate{}), token(api.JoinTokenCreate{Node: "other"})
	if _, err := f.Auth().Join(t.Context(), used, "first", false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Client.Join(t.Context(), api.Join{Token: token(api.JoinTokenCreate{}), Name: "taken"}); err != nil {
		t.Fatal(err)
	}
	short := token(api.JoinTokenCreate{TTL: "1ns"})
	for _, c := range []struct{ name, token, says string }{
		{"wrong", "owj_" + strings.Repeat("A", 43), "token"},
		{"notajointoken", f.Token, "token"},
		{"used", used, "used"},
		{"expired", short, "expired"},
		{"otherwise", other, "other"},
		{"taken", token(api.JoinTokenCreate{}), "outwork node token --node taken"},
	} {
		err := agentOf(t, f, c.name, c.token)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; expected it to say %q", c.name, err, c.says)
		}
		if code := serve.ExitCode(err); code != serve.ExitRefused {
			t.Errorf("%s: %v (%v) gives exit code %d", c.name, err, fault.Of(err), code)
		}
		if _, found := f.Roster().Node(fleet.NodeName(c.name)); found && c.name != "taken" {
			t.Errorf("%s: there is a node now", c.name)
		}
	}
}

func TestAnAgentOfAnIncompatibleVersionIsRefused(t *testing.T) {
	f := servertest.New(t)
	tok, err := f.Client.CreateJoinToken(f.Context(), api.JoinTokenCreate{})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := f.Client.Join(f.Context(), api.Join{Token: tok.Secret, Name: "future"})
	if err != nil {
		t.Fatal(err)
	}
	link, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: f.URL() + "/api/v1/agents/connect", Header: http.Header{"Authorization": {"Bearer " + joined.Credential}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wire.Handshake(t.Context(), link, wire.Hello{Protocol: 99, MinProtocol: 99, Version: "v99.0.0", Name: "future"})
	if !fault.Is(err, fault.Incompatible) || !strings.Contains(err.Error(), "99") {
		t.Fatal(err)
	}
	f.Await("the node's log to name both versions", func() bool {
		log, err := f.Client.NodeLog(f.Context(), "future")
		return err == nil && strings.Contains(log, "v99.0.0") && strings.Contains(log, "99")
	})
	if n, err := f.Client.Node(f.Context(), "future"); err != nil || n.State == "online" {
		t.Errorf("%+v, %v", n, err)
	}
}
