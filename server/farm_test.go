package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/servertest"
)

// TestAControllerWithAFile: what stands in the file is there after the start, builds, and tells; a restart changes nothing.
func TestAControllerWithAFile(t *testing.T) {
	told := make(chan notify.Message, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m notify.Message
		if json.Unmarshal(b, &m) == nil {
			told <- m
		}
	}))
	defer hook.Close()
	cfg := servertest.Config(t)
	cfg.ConfigFile = filepath.Join(t.TempDir(), "farm.yaml")
	write := func(text string) {
		if err := os.WriteFile(cfg.ConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "version: 1\nfarm: {executors: 1}\nnotify: {webhooks: [{name: x, url: \"" + hook.URL + "\", allowPrivate: [127.0.0.0/8], builds: {results: [FAILURE]}}]}\n" +
		"nodes: [{name: far, labels: linux}]\njobs: [{name: broken, script: \"node { error 'no' }\"}]\n"
	write(text)
	f := servertest.Start(t, cfg)
	online := func() bool {
		st, ok := f.Roster().Node("built-in")
		return ok && st.State == "online"
	}
	f.Await("the built-in node", online)
	f.Await("the file", func() bool {
		s, err := f.Client.ConfigState(f.Context())
		return err == nil && len(s.Managed) == 3
	})
	if b := f.Ended(f.Build("broken")); b.Result != "FAILURE" {
		t.Fatal(b.Result, b.Message)
	}
	select {
	case m := <-told:
		if m.Build == nil || m.Build.Job != "broken" || m.Build.URL != f.URL()+"/jobs/broken/1" {
			t.Errorf("told %+v", m)
		}
	case <-time.After(servertest.Patience):
		t.Fatal("nobody was told")
	}
	f.Stop()
	f.Start()
	f.Client = f.As(f.Token)
	f.Await("the built-in node again", online)
	if _, ok := f.Roster().Node("far"); !ok {
		t.Error("a restart lost a node")
	}

	write("version: 1\nnodes: [{name: other, executers: 1}]")
	if _, err := f.Client.ConfigReload(f.Context()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "did you mean executors?\n    2 | ") {
		t.Errorf("a wrong file: %v", err)
	}
	write("version: 1\nfarm: {executors: 1}\nnodes: [{name: other}]")
	if err := f.Reload(f.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Roster().Node("far"); ok {
		t.Error("a node stayed that went from the file")
	}
	if _, err := f.Client.ConfigApply(f.Context(), api.ConfigText{Text: "version: 1"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("another file beside the controller's own: %v", err)
	}
}

func TestAControllerDoesNotStartWithAWrongFile(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.ConfigFile = filepath.Join(t.TempDir(), "farm.yaml")
	if err := os.WriteFile(cfg.ConfigFile, []byte("version: 1\nnode: []\njbos: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg)
	if err == nil {
		s.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "did you mean nodes?") || !strings.Contains(err.Error(), "did you mean jobs?") {
		t.Error(err)
	}
}

// TestTheFarmOverTheAPI: plan, apply, export, undo, by an administrator only.
func TestTheFarmOverTheAPI(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	text := api.ConfigText{File: "farm.yaml", Text: "version: 1\nnodes: [{name: far, executors: 3}]\n"}
	if p, err := f.Client.ConfigPlan(f.Context(), text); err != nil || len(p.Changes) != 1 || p.Changes[0].Action != "create" {
		t.Fatalf("%+v: %v", p, err)
	}
	if _, err := f.Client.ConfigApply(f.Context(), text); err != nil {
		t.Fatal(err)
	}
	st, ok := f.Roster().Node("far")
	if !ok || st.Node.Executors != 3 {
		t.Fatalf("%+v", st.Node)
	}
	exported, err := f.Client.ConfigExport(f.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Client.ConfigPlan(f.Context(), api.ConfigText{Text: exported}); err != nil || len(p.Changes) != 0 {
		t.Errorf("applying what was exported: %+v: %v", p, err)
	}
	if _, err := f.Client.ConfigUndo(f.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Roster().Node("far"); ok {
		t.Error("undo left the node")
	}
	if _, ok := f.Roster().Node("n1"); !ok {
		t.Error("undo took another node")
	}
	if _, err := f.Client.CreateUser(f.Context(), api.UserCreate{Name: "bob", Password: "bob-bob-bob", Role: "user"}); err != nil {
		t.Fatal(err)
	}
	bob := f.As(f.Login("bob", "bob-bob-bob").Secret)
	if _, err := bob.ConfigExport(f.Context()); !fault.Is(err, fault.Denied) {
		t.Errorf("a user exported the farm: %v", err)
	}
	if _, err := bob.ConfigApply(f.Context(), text); !fault.Is(err, fault.Denied) {
		t.Errorf("a user applied a file: %v", err)
	}
}
