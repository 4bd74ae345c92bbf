package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/servertest"
)

const hello = `pipeline { agent any
  parameters { string(name: 'WHO', defaultValue: 'world', description: 'whom to greet') }
  stages { stage('Hello') { steps { echo "hello ${params.WHO}"
    sh 'mkdir -p "out dir/ä#?%"; echo text > "out dir/ä#?%/f.txt"; echo "<script>alert(1)</script>" > page.html; echo "<svg/>" > p.svg; echo x > noext'
    archiveArtifacts '**' } } } }`

// ask sends one raw request.
func ask(t testing.TB, f *servertest.Farm, method, path, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// failed checks that an answer is an api.Failure of a kind.
func failed(t testing.TB, what string, resp *http.Response, body string, status int, kind fault.Kind) {
	t.Helper()
	var e api.Failure
	if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != status || e.Kind != kind.String() || e.Message == "" ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: %d %s; expected %d and the kind %s", what, resp.StatusCode, body, status, kind)
	}
}

// Who shows no token, a wrong one, or one without the scope learns nothing, not even whether the request was well formed.
func TestNobodyGetsInWithoutTheScope(t *testing.T) {
	f := servertest.New(t)
	if _, err := f.Client.CreateUser(f.Context(), api.UserCreate{Name: "viewer", Password: "a password", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Client.CreateUser(f.Context(), api.UserCreate{Name: "user", Password: "a password"}); err != nil {
		t.Fatal(err)
	}
	viewer, user := f.Login("viewer", "a password").Secret, f.Login("user", "a password").Secret
	credential, err := f.Auth().IssueAgent(f.Context(), "some-node")
	if err != nil {
		t.Fatal(err)
	}
	need := map[string]string{}
	_, d := fetch(t, f)
	paths := strings.NewReplacer("{job}", "j", "{number}", "1", "{node}", "n", "{item}", "i", "{id}", "x", "{user}", "u", "{path...}", "a", "{path}", "a")
	d.each(func(method, path string, o operation) {
		at := paths.Replace(path)
		if len(o.Security) == 0 {
			return
		}
		resp, body := ask(t, f, method, at, "", "not JSON")
		failed(t, "nobody: "+o.ID, resp, body, 401, fault.Unauthenticated)
		resp, body = ask(t, f, method, at, "owt_"+strings.Repeat("x", 43), "{}")
		failed(t, "a wrong token: "+o.ID, resp, body, 401, fault.Unauthenticated)
		resp, body = ask(t, f, method, at, credential, "{}")
		failed(t, "an agent: "+o.ID, resp, body, 403, fault.Denied)
		for _, c := range []struct{ who, token, may string }{{"a viewer", viewer, "read"}, {"a user", user, "read write"}} {
			if o.ID == "events" { // it would not end
				return
			}
			scope := ""
			resp, body := ask(t, f, method, at, c.token, "not JSON") // what gets past the guard fails later
			if resp.StatusCode != 403 {
				scope = "may"
			} else {
				failed(t, c.who+": "+o.ID, resp, body, 403, fault.Denied)
			}
			need[o.ID] += scope + "/"
			if o.ID == "logout" && scope == "may" { // it has worked: log in again
				viewer, user = f.Login("viewer", "a password").Secret, f.Login("user", "a password").Secret
			}
		}
	})
	admin := []string{"create-node", "order-nodes", "node-disconnect", "node-reconnect", "examine-node", "test-node", "list-node-host-keys", "approve-node", "list-node-logins", "authorize-key", "update-node", "delete-node", "node-offline", "node-online", "create-join-token", "list-users", "create-user", "update-user", "delete-user", "reset-password",
		"list-user-tokens", "revoke-user-tokens", "backup", "sync-tools",
		"get-config", "export-config", "plan-config", "apply-config", "reload-config", "undo-config"}
	write := []string{"create-job", "update-job", "delete-job", "start-build", "delete-build", "abort-build", "rebuild"}
	for id, got := range need {
		want := "may/may/"
		if slices.Contains(admin, id) {
			want = "//"
		} else if slices.Contains(write, id) {
			want = "/may/"
		}
		if got != want && id != "events" && id != "logout" {
			t.Errorf("%s: viewer/user %q, expected %q", id, got, want)
		}
	}
}

func TestWhatTheAPIDoesNotHave(t *testing.T) {
	f := servertest.New(t)
	for _, c := range []struct{ method, path string }{{"GET", "/api/v1/nothing"}, {"PUT", "/api/v1/jobs"}, {"GET", "/api/"}, {"DELETE", "/api/v1/users/x"}} {
		resp, body := ask(t, f, c.method, c.path, f.Token, "")
		failed(t, c.method+" "+c.path, resp, body, 404, fault.NotFound)
	}
	resp, body := ask(t, f, "GET", "/api/v1/agents/connect", f.Token, "")
	failed(t, "a user as an agent", resp, body, 401, fault.Unauthenticated)
}

func TestRequestsThatAreNotWellFormed(t *testing.T) {
	f := servertest.New(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		kind               fault.Kind
		says               string
	}{
		{"POST", "/jobs", "{", 400, fault.Invalid, ""},
		{"POST", "/jobs", `{"name":"x"}`, 422, fault.Invalid, "source"},
		{"POST", "/jobs", `{"name":"x","source":{"script":"x"},"colour":"red"}`, 422, fault.Invalid, "colour"},
		{"POST", "/jobs", `{"name":"x","source":{"script":"` + strings.Repeat("x", 2<<20) + `"}}`, 413, fault.Exhausted, ""},
		{"POST", "/jobs", `{"name":"x","priority":1000,"source":{"script":"x"}}`, 422, fault.Invalid, "priority"},
		{"POST", "/login", `{"user":"admin","password":"` + strings.Repeat("x", 1<<16) + `"}`, 413, fault.Exhausted, ""},
		{"POST", "/pipeline/check", `{"script":"` + strings.Repeat("x", 2<<20) + `"}`, 413, fault.Exhausted, ""},
		{"GET", "/builds?limit=0", "", 422, fault.Invalid, "limit"},
		{"GET", "/builds?state=odd", "", 422, fault.Invalid, "state"},
		{"GET", "/jobs/x/builds/zero", "", 422, fault.Invalid, "number"},
		{"GET", "/jobs/x/builds/0", "", 422, fault.Invalid, "number"},
		{"POST", "/agents/join", `{"token":"` + strings.Repeat("x", 1<<17) + `","name":"x"}`, 413, fault.Exhausted, ""},
	} {
		what := c.method + " " + c.path + " " + c.body[:min(len(c.body), 60)]
		resp, body := ask(t, f, c.method, "/api/v1"+c.path, f.Token, c.body)
		failed(t, what, resp, body, c.status, c.kind)
		if !strings.Contains(body, c.says) {
			t.Errorf("%s: %s does not say %q", what, body, c.says)
		}
	}
}

// expect checks the kind of an error; fault.Internal stands for none.
func expect(t testing.TB, what string, err error, kind fault.Kind, says ...string) {
	t.Helper()
	if kind == fault.Internal {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v (%v), expected %v", what, err, fault.Of(err), kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q does not say %q", what, err, s)
		}
	}
}

const none = fault.Internal // no error

func TestJobs(t *testing.T) {
	f := servertest.New(t)
	c, ctx := f.Client, f.Context()
	if js, err := c.Jobs(ctx); err != nil || js == nil || len(js) != 0 {
		t.Errorf("%v, %v", js, err)
	}
	script := api.Source{Script: "node { }"}
	for _, name := range []string{"plain", "team/app", "a/b/c", "späße and spaces", "1+1=2", "(x),y~z", "日本", "a//b", "../up", "-x", "a#1", "a%2Fb", "<b>", "q?", "a.", ""} {
		j, err := c.CreateJob(ctx, api.JobCreate{Name: name, Description: "d", Source: script, Priority: 3})
		if strings.ContainsAny(name, `?*\%!@#$^&|<>[]:;"'`) || slices.Contains([]string{"", "a//b", "../up", "-x", "a."}, name) {
			expect(t, name, err, fault.Invalid, name)
			continue
		}
		got, rerr := c.Job(ctx, name)
		if err != nil || rerr != nil || j.Name != name || got.Name != name || got.Description != "d" || got.Priority != 3 || got.Source != script {
			t.Errorf("%s: %+v %+v, %v, %v", name, j, got, err, rerr)
		}
		if b, err := c.StartBuild(ctx, name, api.BuildCreate{}); err != nil || b.Job != name || !strings.HasPrefix(b.URL, f.URL()+"/jobs/") {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
		expect(t, "again "+name, second(c.CreateJob(ctx, api.JobCreate{Name: name, Source: script})), fault.Conflict, name)
	}
	for what, src := range map[string]api.Source{"found neither": {}, "found both": {Script: "x", Git: &api.GitSource{URL: "u"}}, "outwork run": {Dir: "/etc"}} {
		expect(t, what, second(c.CreateJob(ctx, api.JobCreate{Name: "src", Source: src})), fault.Invalid, what)
	}
	git := api.Source{Git: &api.GitSource{URL: "https://git.example.org/x.git", Ref: "main", Path: "ci/Jenkinsfile"}}
	text, off, low := "changed", true, -7
	j, err := c.UpdateJob(ctx, "team/app", api.JobUpdate{Description: &text, Source: &git, Disabled: &off, Priority: &low})
	if err != nil || j.Description != text || *j.Source.Git != *git.Git || !j.Disabled || j.Priority != low {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err := c.UpdateJob(ctx, "team/app", api.JobUpdate{}); err != nil || j.Description != text || !j.Disabled {
		t.Errorf("an empty change: %+v, %v", j, err)
	}
	expect(t, "build a disabled job", second(c.StartBuild(ctx, "team/app", api.BuildCreate{})), fault.Conflict, "disabled")
	expect(t, "update nothing", second(c.UpdateJob(ctx, "no", api.JobUpdate{})), fault.NotFound, "no")
	expect(t, "show nothing", second(c.Job(ctx, "no/such")), fault.NotFound, "no/such")
	expect(t, "build nothing", second(c.StartBuild(ctx, "no", api.BuildCreate{})), fault.NotFound)
	expect(t, "delete nothing", c.DeleteJob(ctx, "no"), fault.NotFound)
	expect(t, "an unfinished job", c.DeleteJob(ctx, "plain"), fault.Conflict)
	expect(t, "abort", c.Abort(ctx, "plain", 1), none)
	f.Ended(api.Build{Job: "plain", Number: 1})
	expect(t, "delete", c.DeleteJob(ctx, "plain"), none)
	expect(t, "it is gone", second(c.Job(ctx, "plain")), fault.NotFound)
}

// second drops what a call returned besides its error.
func second[T any](_ T, err error) error { return err }

func TestBuilds(t *testing.T) {
	f := servertest.New(t, "linux")
	c, ctx := f.Client, f.Context()
	b := f.Run("team/hello", hello)
	if b.Result != "SUCCESS" || b.DisplayName != "#1" || b.Cause.User != "admin" || b.Started == nil || b.Ended == nil || b.DurationMS <= 0 {
		t.Fatalf("%+v", b)
	}
	if j, err := c.Job(ctx, "team/hello"); err != nil || len(j.Parameters) != 1 || j.Parameters[0].Name != "WHO" || j.LastBuild == nil || j.LastBuild.Number != 1 {
		t.Errorf("%+v, %v", j, err)
	}
	two, err := c.StartBuild(ctx, "team/hello", api.BuildCreate{Parameters: map[string]string{"WHO": "you"}})
	if err != nil || two.Number != 2 || two.State == "finished" {
		t.Fatalf("%+v, %v", two, err)
	}
	expect(t, "an unknown parameter", second(c.StartBuild(ctx, "team/hello", api.BuildCreate{Parameters: map[string]string{"WHAT": "x"}})), fault.Invalid, "WHAT")
	if two = f.Ended(two); two.Result != "SUCCESS" || two.Parameters["WHO"] != "you" {
		t.Errorf("%+v", two)
	}
	three, err := c.Rebuild(ctx, "team/hello", 2)
	if err != nil || three.Number != 3 || three.Parameters["WHO"] != "you" {
		t.Errorf("%+v, %v", three, err)
	}
	f.Ended(three)
	if bs, err := c.Builds(ctx, client.BuildFilter{Job: "team/hello"}); err != nil || len(bs) != 3 || bs[0].Number != 3 {
		t.Errorf("%+v, %v", bs, err)
	}
	if bs, err := c.Builds(ctx, client.BuildFilter{Job: "team/hello", Before: 3, Limit: 1}); err != nil || len(bs) != 1 || bs[0].Number != 2 {
		t.Errorf("%+v, %v", bs, err)
	}
	if bs, err := c.Builds(ctx, client.BuildFilter{State: "running"}); err != nil || len(bs) != 0 || bs == nil {
		t.Errorf("%+v, %v", bs, err)
	}
	ss, err := c.Stages(ctx, "team/hello", 1)
	if err != nil || len(ss) != 1 || ss[0].Name != "Hello" || ss[0].Result != "SUCCESS" || ss[0].Node != "n1" {
		t.Errorf("%+v, %v", ss, err)
	}
	expect(t, "abort a finished one", c.Abort(ctx, "team/hello", 1), fault.Conflict, "finished")
	for what, err := range map[string]error{
		"show": second(c.Build(ctx, "team/hello", 99)), "abort": c.Abort(ctx, "team/hello", 99), "rebuild": second(c.Rebuild(ctx, "team/hello", 99)),
		"stages": second(c.Stages(ctx, "team/hello", 99)), "artifacts": second(c.Artifacts(ctx, "team/hello", 99)), "delete": c.DeleteBuild(ctx, "team/hello", 99),
		"log": second(c.Log(ctx, "team/hello", 99, 0, false)), "lines": second(c.LogLines(ctx, "team/hello", 99, 1, 1)),
		"search": second(c.SearchLog(ctx, "team/hello", 99, "x", 1)), "artifact": second(c.Artifact(ctx, "team/hello", 99, "x")),
		"of no job": second(c.Build(ctx, "nojob", 1)),
	} {
		expect(t, what, err, fault.NotFound)
	}
	expect(t, "delete", c.DeleteBuild(ctx, "team/hello", 1), none)
	expect(t, "it is gone", second(c.Build(ctx, "team/hello", 1)), fault.NotFound)
	f.Job("waits", `node('nowhere') { }`)
	w := f.Build("waits")
	f.Await("it runs", func() bool { b, err := c.Build(ctx, "waits", 1); return err == nil && b.State == "running" })
	expect(t, "delete a running one", c.DeleteBuild(ctx, "waits", w.Number), fault.Conflict)
	expect(t, "abort it", c.Abort(ctx, "waits", w.Number), none)
	if w = f.Ended(w); w.Result != "ABORTED" || w.CauseKind != "USER" || !strings.Contains(w.Message, "admin") {
		t.Errorf("%+v", w)
	}
}

func TestArtifacts(t *testing.T) {
	f := servertest.New(t, "linux")
	c, ctx := f.Client, f.Context()
	f.Run("a/b", hello)
	as, err := c.Artifacts(ctx, "a/b", 1)
	if err != nil || len(as) != 4 {
		t.Fatalf("%+v, %v", as, err)
	}
	for _, a := range as {
		r, err := c.Artifact(ctx, "a/b", 1, a.Path)
		if err != nil {
			t.Errorf("%s: %v", a.Path, err)
			continue
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil || int64(len(b)) != a.Size || cas.Of(b).String() != a.Digest {
			t.Errorf("%s: %d of %d bytes, %v", a.Path, len(b), a.Size, err)
		}
		resp, body := ask(t, f, "GET", strings.TrimPrefix(a.URL, f.URL()), f.Token, "")
		h := resp.Header
		show := strings.HasSuffix(a.Path, ".txt")
		if a.Mode != "0644" || h.Get("X-Outwork-Mode") != a.Mode {
			t.Errorf("%s: mode %q, header %q", a.Path, a.Mode, h.Get("X-Outwork-Mode"))
		}
		if resp.StatusCode != 200 || body != string(b) || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") || h.Get("X-Content-Type-Options") != "nosniff" ||
			strings.HasPrefix(h.Get("Content-Disposition"), "inline") != show || (h.Get("Content-Type") == "text/plain") != show || (!show && h.Get("Content-Type") != "application/octet-stream") {
			t.Errorf("%s: %s %v", a.Path, resp.Status, h)
		}
	}
	for _, p := range []string{"nothing", "page.html/x", "out dir", "%2e%2e/%2e%2e/ledger.db", "..%2f..%2fledger.db"} {
		resp, body := ask(t, f, "GET", "/api/v1/jobs/a%2Fb/builds/1/artifacts/"+strings.ReplaceAll(p, " ", "%20"), f.Token, "")
		failed(t, p, resp, body, 404, fault.NotFound)
	}
	// A blob that is gone is said to be gone, not served short. A large one is a file of its own.
	f.Run("large", `node { sh 'head -c 200000 /dev/zero > f'; archiveArtifacts 'f' }`)
	as, err = c.Artifacts(ctx, "large", 1)
	if err != nil || len(as) != 1 {
		t.Fatalf("%+v, %v", as, err)
	}
	d, err := cas.ParseDigest(as[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	filepath.WalkDir(filepath.Join(f.Config.Data, "cas"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(p, d.Hash) {
			removed++
			return os.Remove(p)
		}
		return err
	})
	if removed != 1 {
		t.Fatalf("removed %d files of %s", removed, d)
	}
	_, err = c.Artifact(ctx, "large", 1, as[0].Path)
	expect(t, "a blob that is gone", err, fault.NotFound, "gone")
}

func TestLogs(t *testing.T) {
	f := servertest.New(t, "linux")
	c, ctx := f.Client, f.Context()
	f.Run("log", `node { sh 'for i in $(seq 2000); do echo line $i; done' }`)
	read := func(offset int64, follow bool) string {
		r, err := c.Log(ctx, "log", 1, offset, follow)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	whole := read(0, false)
	if !strings.Contains(whole, "\nline 1\n") || !strings.HasSuffix(whole, "Finished: SUCCESS\n") {
		t.Fatalf("%q", whole)
	}
	for _, at := range []int{0, 1, 17, len(whole) / 2, len(whole) - 1, len(whole)} {
		for _, follow := range []bool{false, true} {
			if got := read(int64(at), follow); got != whole[at:] {
				t.Errorf("from %d, follow %v: %d bytes, expected %d", at, follow, len(got), len(whole)-at)
			}
		}
	}
	if got := read(int64(len(whole)+1000), false); got != "" {
		t.Errorf("past the end: %q", got)
	}
	lines := strings.Split(strings.TrimSuffix(whole, "\n"), "\n")
	page, err := c.LogLines(ctx, "log", 1, 1000, 10)
	if err != nil || page.Total != int64(len(lines)) || page.Size != int64(len(whole)) || !page.Finished || len(page.Lines) != 10 {
		t.Fatalf("%+v, %v", page, err)
	}
	for i, l := range page.Lines {
		if l.Number != int64(1000+i) || l.Text != lines[999+i] || l.Time.IsZero() || whole[l.Offset:l.Offset+int64(len(l.Text))] != l.Text {
			t.Errorf("%+v, expected %q", l, lines[999+i])
		}
	}
	if page, err := c.LogLines(ctx, "log", 1, 99999, 10); err != nil || page.Lines == nil || len(page.Lines) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	found, err := c.SearchLog(ctx, "log", 1, "^line 19.9$", 100)
	if err != nil || len(found) != 10 || found[0].Text != "line 1909" {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := c.SearchLog(ctx, "log", 1, "^line ", 7); err != nil || len(found) != 7 {
		t.Errorf("%d, %v", len(found), err)
	}
	if found, err := c.SearchLog(ctx, "log", 1, "never", 7); err != nil || found == nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	expect(t, "a bad expression", second(c.SearchLog(ctx, "log", 1, "a(", 7)), fault.Invalid, "a(")
}

// A follower reads every byte once over a restart of the controller, by asking again from where it is.
func TestFollowOverARestart(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("long", `node { sh 'echo one; while ! test -e /proc/self/nothing && ! test -e go; do sleep 0.02; done; echo two' 
 }`)
	f.Job("open", `node { sh 'touch ../long/go' }`)
	b := f.Build("long")
	var got bytes.Buffer
	follow := func(until string) {
		r, err := f.Client.Log(f.Context(), "long", b.Number, int64(got.Len()), true)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := make([]byte, 1)
		for !strings.HasSuffix(got.String(), until) {
			n, err := r.Read(p)
			got.Write(p[:n])
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	follow("\none\n")
	f.Stop()
	f.Start()
	f.Ended(f.Build("open"))
	follow("Finished: SUCCESS\n")
	r, err := f.Client.Log(f.Context(), "long", b.Number, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	whole, _ := io.ReadAll(r)
	if got.String() != string(whole) || strings.Count(got.String(), "\none\n") != 1 || strings.Count(got.String(), "\ntwo\n") != 1 {
		t.Errorf("followed %q\nthe log %q", got.String(), whole)
	}
}

func TestEvents(t *testing.T) {
	f := servertest.New(t)
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	topics := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- f.Client.Events(ctx, func(e api.Event) error {
			select {
			case topics <- e.Topic:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	first := map[string]bool{}
	for range 4 {
		first[<-topics] = true
	}
	if len(first) != 4 || !first["jobs"] || !first["builds"] || !first["queue"] || !first["nodes"] {
		t.Errorf("at the start: %v", first)
	}
	f.Job("j", `node('nowhere') { }`)
	f.Build("j")
	for seen := map[string]bool{}; !seen["builds"] || !seen["queue"]; {
		select {
		case topic := <-topics:
			seen[topic] = true
		case <-time.After(servertest.Patience):
			t.Fatalf("only %v", seen)
		}
	}
	f.Stop() // with who listens
	for {
		select {
		case <-topics:
			continue
		case err := <-ended:
			expect(t, "the end of the controller", err, fault.Unavailable, "broke off")
			return
		}
	}
}

func TestNodes(t *testing.T) {
	f := servertest.New(t, "linux docker")
	f.Online()
	c, ctx := f.Client, f.Context()
	n, err := c.Node(ctx, "n1")
	if err != nil || n.State != "online" || n.Executors != 2 || n.Mode != "normal" || n.Launcher != "local" || n.OS == "" || n.LastHeard == nil ||
		!slices.Contains(n.Assigned, "n1") || !slices.Contains(n.Assigned, "docker") || n.Busy == nil {
		t.Errorf("%+v, %v", n, err)
	}
	f.Job("sleeps", `node('docker') { sh 'while :; do sleep 0.1; done' }`)
	b := f.Build("sleeps")
	f.Await("a busy executor", func() bool {
		n, err := c.Node(ctx, "n1")
		return err == nil && len(n.Busy) == 1 && n.Busy[0].Job == "sleeps" && n.Busy[0].Build == 1
	})
	expect(t, "offline", c.NodeOffline(ctx, "n1", api.NodeOffline{Reason: "new disk", Drain: true}), none)
	f.Await("draining", func() bool {
		n, _ := c.Node(ctx, "n1")
		return n.State == "draining" && n.Offline != nil && n.Offline.By == "admin"
	})
	expect(t, "abort", c.Abort(ctx, "sleeps", 1), none)
	f.Ended(b)
	f.Await("suspended", func() bool {
		n, _ := c.Node(ctx, "n1")
		return n.State == "suspended" && strings.Contains(n.Offline.Text, "new disk")
	})
	expect(t, "online", c.NodeOnline(ctx, "n1"), none)
	f.Await("online", func() bool { n, _ := c.Node(ctx, "n1"); return n.State == "online" && n.Offline == nil })
	text, four, mode, labels, env := "big", 4, "exclusive", []string{"gpu", "a b"}, map[string]string{"K": "V"}
	n, err = c.UpdateNode(ctx, "n1", api.NodeUpdate{Description: &text, Executors: &four, Mode: &mode, Labels: &labels, Env: &env})
	if err != nil || n.Description != text || n.Executors != four || n.Mode != mode || !slices.Contains(n.Assigned, "gpu") || n.Env["K"] != "V" {
		t.Errorf("%+v, %v", n, err)
	}
	bad, odd := []string{"x", ""}, "sometimes"
	expect(t, "a bad label", second(c.UpdateNode(ctx, "n1", api.NodeUpdate{Labels: &bad})), fault.Invalid, "labels[1]")
	expect(t, "a bad mode", second(c.UpdateNode(ctx, "n1", api.NodeUpdate{Mode: &odd})), fault.Invalid, "mode")
	if log, err := c.NodeLog(ctx, "n1"); err != nil || !strings.Contains(log, "Starting") {
		t.Errorf("%q, %v", log, err)
	}
	for what, err := range map[string]error{"show": second(c.Node(ctx, "x")), "update": second(c.UpdateNode(ctx, "x", api.NodeUpdate{})), "delete": c.DeleteNode(ctx, "x"),
		"offline": c.NodeOffline(ctx, "x", api.NodeOffline{}), "online": c.NodeOnline(ctx, "x"), "log": second(c.NodeLog(ctx, "x"))} {
		expect(t, what, err, fault.NotFound, "x")
	}
	tok, err := c.CreateJoinToken(ctx, api.JoinTokenCreate{TTL: "10m", Node: "new"})
	if err != nil || !strings.HasPrefix(tok.Secret, "owj_") || !strings.Contains(tok.Command, tok.Secret) || !strings.Contains(tok.Command, "--name new") ||
		!strings.HasPrefix(tok.Script, "curl -fsS "+f.URL()+"/agent.sh | ") || !strings.Contains(tok.Script, tok.Secret+" --name new") {
		t.Errorf("%+v, %v", tok, err)
	}
	expect(t, "a bad ttl", second(c.CreateJoinToken(ctx, api.JoinTokenCreate{TTL: "soon"})), fault.Invalid, "soon", "30m")
	expect(t, "a bad name", second(c.CreateJoinToken(ctx, api.JoinTokenCreate{Node: "a/b"})), fault.Invalid)
	anon := f.As("")
	expect(t, "as a node of the controller's", second(anon.Join(ctx, api.Join{Token: tok.Secret, Name: "n1"})), fault.Conflict, "local")
	expect(t, "as another", second(anon.Join(ctx, api.Join{Token: tok.Secret, Name: "other"})), fault.Denied)
	expect(t, "with a bad label", second(anon.Join(ctx, api.Join{Token: tok.Secret, Name: "new", Labels: []string{""}})), fault.Invalid, "labels[0]")
	joined, err := anon.Join(ctx, api.Join{Token: tok.Secret, Name: "new", Labels: []string{"arm"}, Executors: 3, Mode: "exclusive"})
	if err != nil || !strings.HasPrefix(joined.Credential, "owa_") {
		t.Fatalf("%+v, %v", joined, err)
	}
	if n, err := c.Node(ctx, "new"); err != nil || n.Executors != 3 || n.Mode != "exclusive" || n.State == "online" || n.Launcher != "inbound" {
		t.Errorf("%+v, %v", n, err)
	}
	expect(t, "a second time", second(anon.Join(ctx, api.Join{Token: tok.Secret, Name: "new"})), fault.Unauthenticated, "used")
	if ns, err := c.Nodes(ctx); err != nil || len(ns) != 2 {
		t.Errorf("%+v, %v", ns, err)
	}
	free, err := c.CreateJoinToken(ctx, api.JoinTokenCreate{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "as a node that is there", second(anon.Join(ctx, api.Join{Token: free.Secret, Name: "new"})), fault.Conflict, "outwork node token --node new")
	if _, err := f.Auth().Authenticate(ctx, joined.Credential); err != nil {
		t.Errorf("the credential of the agent that was there: %v", err)
	}
	bound, err := c.CreateJoinToken(ctx, api.JoinTokenCreate{Node: "new"})
	if err != nil {
		t.Fatal(err)
	}
	former := joined
	if joined, err = anon.Join(ctx, api.Join{Token: bound.Secret, Name: "new", Executors: 9}); err != nil {
		t.Fatalf("with a token for the node: %v", err)
	}
	expect(t, "the former agent", second(f.Auth().Authenticate(ctx, former.Credential)), fault.Unauthenticated)
	if n, err := c.Node(ctx, "new"); err != nil || n.Executors != 3 {
		t.Errorf("the node is the administrator's: %+v, %v", n, err)
	}
	expect(t, "delete", c.DeleteNode(ctx, "new"), none)
	if _, err := f.Auth().Authenticate(ctx, joined.Credential); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the credential of a deleted node: %v", err)
	}
	if _, found := f.Roster().Node(fleet.NodeName("new")); found {
		t.Error("the node is still there")
	}
}

func TestQueue(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	c, ctx := f.Client, f.Context()
	f.Job("waits", `node('gpu && linux') { echo 'there' }`)
	b := f.Build("waits")
	f.Await("it waits", func() bool { q, err := c.Queue(ctx); return err == nil && len(q) == 1 })
	q, _ := c.Queue(ctx)
	if it := q[0]; it.Job != "waits" || it.Build != 1 || it.Label != "gpu && linux" || it.Why == "" {
		t.Errorf("%+v", it)
	}
	for _, name := range []string{q[0].ID, "waits#1"} {
		x, err := c.Why(ctx, name)
		if err != nil || x.Position != 1 || len(x.Nodes) != 1 || x.Nodes[0].Node != "n1" || !strings.Contains(x.Nodes[0].Reason, "gpu") || x.Summary != x.Item.Why {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	expect(t, "nothing", second(c.Why(ctx, "nothing")), fault.NotFound, "nothing")
	labels := []string{"linux", "gpu"}
	expect(t, "give the label", second(c.UpdateNode(ctx, "n1", api.NodeUpdate{Labels: &labels})), none)
	if b := f.Ended(b); b.Result != "SUCCESS" {
		t.Errorf("%+v", b)
	}
	if q, err := c.Queue(ctx); err != nil || q == nil || len(q) != 0 {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestSessions(t *testing.T) {
	f := servertest.New(t)
	c, ctx := f.Client, f.Context()
	if i, err := f.As("").Info(ctx); err != nil || i.Name != "outwork" || i.URL != f.URL() || i.Protocol < 1 || i.Started.IsZero() {
		t.Errorf("%+v, %v", i, err)
	}
	expect(t, "a wrong password", second(f.As("").Login(ctx, api.Login{User: "admin", Password: "wrong"})), fault.Unauthenticated, "wrong user or password")
	expect(t, "no such user", second(f.As("").Login(ctx, api.Login{User: "nobody", Password: "wrong"})), fault.Unauthenticated, "wrong user or password")
	me, err := c.WhoAmI(ctx)
	if err != nil || me.User != "admin" || me.Secret != "" || !slices.Contains(me.Scopes, "admin") {
		t.Errorf("%+v, %v", me, err)
	}
	tok, err := c.CreateToken(ctx, api.TokenCreate{Name: "ci", Scopes: []string{"read"}, TTL: "1h"})
	if err != nil || !strings.HasPrefix(tok.Secret, "owt_") || fmt.Sprint(tok.Scopes) != "[read]" || tok.Expires == nil {
		t.Fatalf("%+v, %v", tok, err)
	}
	reader := f.As(tok.Secret)
	expect(t, "beyond its scope", second(reader.CreateJob(ctx, api.JobCreate{Name: "x", Source: api.Source{Script: "x"}})), fault.Denied, `"write"`)
	expect(t, "more than it has", second(reader.CreateToken(ctx, api.TokenCreate{Name: "more", Scopes: []string{"admin"}})), fault.Denied)
	expect(t, "an odd scope", second(c.CreateToken(ctx, api.TokenCreate{Name: "x", Scopes: []string{"all"}})), fault.Invalid, "all")
	expect(t, "an odd ttl", second(c.CreateToken(ctx, api.TokenCreate{Name: "x", TTL: "-1h"})), fault.Invalid, "-1h")
	ts, err := c.Tokens(ctx)
	if err != nil || !slices.ContainsFunc(ts, func(t api.Token) bool { return t.ID == tok.ID && t.Secret == "" }) {
		t.Errorf("%+v, %v", ts, err)
	}
	expect(t, "make a user", second(c.CreateUser(ctx, api.UserCreate{Name: "eve", Password: "password"})), none)
	expect(t, "twice", second(c.CreateUser(ctx, api.UserCreate{Name: "eve", Password: "password"})), fault.Conflict, "eve")
	expect(t, "a short password", second(c.CreateUser(ctx, api.UserCreate{Name: "mallory", Password: "short"})), fault.Invalid)
	expect(t, "an odd name", second(c.CreateUser(ctx, api.UserCreate{Name: "a b", Password: "password"})), fault.Invalid, "a b")
	eve := f.As(f.Login("eve", "password").Secret)
	expect(t, "another's token", eve.RevokeToken(ctx, tok.ID), fault.NotFound)
	expect(t, "others' names", second(eve.Users(ctx)), fault.Denied, "admin")
	expect(t, "a wrong old password", eve.SetPassword(ctx, api.PasswordChange{Old: "wrong", New: "new password"}), fault.Unauthenticated)
	expect(t, "a new password", eve.SetPassword(ctx, api.PasswordChange{Old: "password", New: "new password"}), none)
	expect(t, "the old one", second(f.As("").Login(ctx, api.Login{User: "eve", Password: "password"})), fault.Unauthenticated)
	expect(t, "the session that changed it", second(eve.WhoAmI(ctx)), none)
	if us, err := c.Users(ctx); err != nil || len(us) != 2 || us[1].Name != "eve" || us[1].Role != "user" {
		t.Errorf("%+v, %v", us, err)
	}
	expect(t, "revoke", c.RevokeToken(ctx, tok.ID), none)
	expect(t, "a revoked token", second(reader.WhoAmI(ctx)), fault.Unauthenticated, "revoked")
	expect(t, "revoke again", c.RevokeToken(ctx, tok.ID), fault.NotFound)
	expect(t, "log out", eve.Logout(ctx), none)
	expect(t, "after it", second(eve.WhoAmI(ctx)), fault.Unauthenticated)
}

func TestPipelineCheck(t *testing.T) {
	f := servertest.New(t)
	k, err := f.Client.Check(f.Context(), api.Check{Script: hello})
	if err != nil || !k.OK || k.Kind != "declarative" || k.Problems == nil {
		t.Errorf("%+v, %v", k, err)
	}
	k, err = f.Client.Check(f.Context(), api.Check{Script: "node {\n  ecko 'x'\n}"})
	if err != nil || k.OK || len(k.Problems) == 0 || k.Problems[0].Line != 2 || !strings.Contains(k.Problems[0].Message, "ecko") {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err = f.Client.Check(f.Context(), api.Check{Script: "pipeline {\n"}); err != nil || k.OK || k.Problems[0].Severity != "error" {
		t.Errorf("%+v, %v", k, err)
	}
}
