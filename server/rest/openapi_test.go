package rest_test

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/server/servertest"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

func TestMain(m *testing.M) {
	servertest.Main()
	os.Exit(m.Run())
}

// document is what the tests look at of an OpenAPI document.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]operation
}

type operation struct {
	ID         string `json:"operationId"`
	Summary    string
	Tags       []string
	Security   []map[string][]string
	Parameters []struct {
		Name, In, Description string
		Required              bool
		Schema                map[string]any
	}
	RequestBody *struct {
		Content map[string]struct{ Schema map[string]any }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema map[string]any }
	}
}

func fetch(t testing.TB, f *servertest.Farm) ([]byte, document) {
	t.Helper()
	resp, err := http.Get(f.URL() + "/api/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return b, d
}

// each calls f for every operation.
func (d document) each(f func(method, path string, o operation)) {
	for path, methods := range d.Paths {
		for method, o := range methods {
			f(strings.ToUpper(method), path, o)
		}
	}
}

// The document in docs is the one that is served; go test ./server/rest -update writes it.
func TestTheCommittedDocumentIsTheServedOne(t *testing.T) {
	f := servertest.New(t)
	b, d := fetch(t, f)
	var whole map[string]any
	if err := json.Unmarshal(b, &whole); err != nil {
		t.Fatal(err)
	}
	whole["info"].(map[string]any)["version"] = "v1"
	want, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	file := filepath.Join("..", "..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("docs/openapi.json is not what the API says: go test ./server/rest -update (%v)", err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title != "Outwork" {
		t.Errorf("%s %+v", d.OpenAPI, d.Info)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	_, d := fetch(t, servertest.New(t))
	inPath := regexp.MustCompile(`\{([^}.]+)[^}]*\}`)
	open := map[string]bool{"info": true, "login": true, "join": true}
	ids := map[string]bool{}
	d.each(func(method, path string, o operation) {
		at := method + " " + path
		if o.ID == "" || o.Summary == "" || len(o.Tags) != 1 || ids[o.ID] {
			t.Errorf("%s: id %q, summary %q, tags %q", at, o.ID, o.Summary, o.Tags)
		}
		ids[o.ID] = true
		if !strings.HasPrefix(path, "/api/v1/") {
			t.Errorf("%s is outside of /api/v1", at)
		}
		if (len(o.Security) == 0) != open[o.ID] {
			t.Errorf("%s: security %v", at, o.Security)
		}
		documented := map[string]bool{}
		for _, p := range o.Parameters {
			if p.Description == "" || p.Schema == nil {
				t.Errorf("%s: parameter %s is not described", at, p.Name)
			}
			if p.In == "path" {
				documented[p.Name] = p.Required
			}
		}
		for _, m := range inPath.FindAllStringSubmatch(path, -1) {
			if !documented[m[1]] {
				t.Errorf("%s: path parameter %s is not documented", at, m[1])
			}
			delete(documented, m[1])
		}
		if len(documented) > 0 {
			t.Errorf("%s documents path parameters it does not have: %v", at, documented)
		}
		success := 0
		for code, r := range o.Responses {
			if r.Description == "" {
				t.Errorf("%s: response %s is not described", at, code)
			}
			switch {
			case code == "204":
				success++
			case strings.HasPrefix(code, "2"):
				success++
				if len(r.Content) == 0 {
					t.Errorf("%s: response %s says nothing of its content", at, code)
				}
			default:
				if ref, _ := r.Content["application/json"].Schema["$ref"].(string); ref != "#/components/schemas/Failure" {
					t.Errorf("%s: response %s is %v, not a Failure", at, code, r.Content)
				}
			}
		}
		if success != 1 {
			t.Errorf("%s has %d successful responses", at, success)
		}
		if writes := method == "POST" || method == "PATCH"; !writes && o.RequestBody != nil {
			t.Errorf("%s has a body", at)
		}
	})
	if len(ids) < 35 {
		t.Errorf("only %d operations", len(ids))
	}
}

// calls pairs the operations with the methods of the Go client: neither can come or go alone.
var calls = map[string]string{
	"info": "Info", "login": "Login", "logout": "Logout", "whoami": "WhoAmI", "set-password": "SetPassword",
	"list-tokens": "Tokens", "create-token": "CreateToken", "revoke-token": "RevokeToken", "list-users": "Users", "create-user": "CreateUser",
	"revoke-tokens": "RevokeTokens", "update-user": "UpdateUser", "delete-user": "DeleteUser", "reset-password": "ResetPassword",
	"list-user-tokens": "UserTokens", "revoke-user-tokens": "RevokeUserTokens",
	"list-jobs": "Jobs", "create-job": "CreateJob", "get-job": "Job", "update-job": "UpdateJob", "delete-job": "DeleteJob",
	"list-builds": "Builds", "start-build": "StartBuild", "get-build": "Build", "delete-build": "DeleteBuild", "abort-build": "Abort", "rebuild": "Rebuild",
	"list-stages": "Stages", "list-artifacts": "Artifacts", "get-artifact": "Artifact",
	"get-log": "Log", "list-log-lines": "LogLines", "search-log": "SearchLog",
	"list-nodes": "Nodes", "get-node": "Node", "update-node": "UpdateNode", "delete-node": "DeleteNode", "node-offline": "NodeOffline",
	"create-node": "CreateNode", "node-disconnect": "DisconnectNode", "node-reconnect": "ReconnectNode", "order-nodes": "OrderNodes",
	"list-node-records": "NodeHistory", "get-node-series": "NodeSeries", "examine-node": "ExamineNode", "test-node": "TestNode",
	"list-node-host-keys": "NodeHostKeys", "approve-node": "ApproveNode", "list-node-logins": "NodeLogins", "authorize-key": "AuthorizedKeys",
	"node-online": "NodeOnline", "get-node-log": "NodeLog", "list-queue": "Queue", "why": "Why", "explain": "Explain",
	"list-tools": "Tools", "sync-tools": "SyncTools",
	"get-config": "ConfigState", "export-config": "ConfigExport", "plan-config": "ConfigPlan", "apply-config": "ConfigApply", "reload-config": "ConfigReload", "undo-config": "ConfigUndo",
	"create-join-token": "CreateJoinToken", "join": "Join", "check-pipeline": "Check", "backup": "Backup", "events": "Events",
}

func TestEveryOperationHasItsClientMethod(t *testing.T) {
	_, d := fetch(t, servertest.New(t))
	methods := map[string]bool{}
	for c, i := reflect.TypeFor[*client.Client](), 0; i < c.NumMethod(); i++ {
		methods[c.Method(i).Name] = true
	}
	delete(methods, "Address")
	delete(methods, "FollowNodeLog") // NodeLog, as it grows
	paired := map[string]bool{}
	d.each(func(_, path string, o operation) {
		m, ok := calls[o.ID]
		if !ok || !methods[m] {
			t.Errorf("operation %s (%s) has no method of the client", o.ID, path)
		}
		paired[m] = true
	})
	for m := range methods {
		if !paired[m] {
			t.Errorf("the client's %s calls no operation", m)
		}
	}
}
