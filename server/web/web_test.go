package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/server/servertest"
)

// browser is one without JavaScript: it keeps cookies and follows redirects.
type browser struct {
	t    testing.TB
	f    *servertest.Farm
	http *http.Client
}

func newBrowser(t testing.TB, f *servertest.Farm) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, f, &http.Client{Jar: jar}}
}

func (b *browser) do(method, path string, form url.Values, header ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.f.Context(), method, b.f.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

// get reads a page that must be there.
func (b *browser) get(path string) string {
	b.t.Helper()
	resp, text := b.do("GET", path, nil)
	if resp.StatusCode != 200 {
		b.t.Fatalf("%s: %s\n%s", path, resp.Status, text)
	}
	return text
}

func (b *browser) login(user, password string) *browser {
	b.t.Helper()
	resp, text := b.do("POST", "/login", url.Values{"user": {user}, "password": {password}, "next": {"/jobs"}})
	if resp.StatusCode != 200 || resp.Request.URL.Path != "/jobs" {
		b.t.Fatalf("login: %s %s\n%s", resp.Status, resp.Request.URL, text)
	}
	return b
}

func has(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s has no %q in %d bytes", what, p, len(text))
		}
	}
}

const demo = `pipeline { agent any
  parameters { string(name: 'WHO', defaultValue: 'world'); booleanParam(name: 'LOUD', defaultValue: true); choice(name: 'C', choices: ['a', 'b']) }
  stages {
    stage('First') { steps { echo "hello ${params.WHO} ${params.LOUD} ${params.C}" } }
    stage('Second') { steps { sh 'set +x; printf "\\033[31mred\\033[0m <b>not bold</b>\\n"; for i in $(seq 2500); do echo line $i; done; echo x > "a<b>&.html"'; archiveArtifacts '*.html' } }
  } }`

// Everything that matters works with JavaScript off.
func TestWithoutJavaScript(t *testing.T) {
	f := servertest.New(t, "linux docker")
	f.Online()
	f.Job("team/demo", demo)
	b := newBrowser(t, f)
	resp, text := b.do("GET", "/jobs/team%2Fdemo", nil)
	if resp.Request.URL.Path != "/login" || resp.Request.URL.Query().Get("next") != "/jobs/team%2Fdemo" {
		t.Errorf("a stranger is sent to %s", resp.Request.URL)
	}
	has(t, "the login", text, `<input name="user"`, `type="password"`)
	resp, text = b.do("POST", "/login", url.Values{"user": {"admin"}, "password": {"wrong"}})
	if resp.StatusCode != 401 {
		t.Errorf("a wrong password: %s", resp.Status)
	}
	has(t, "the login", text, "wrong user or password", `value="admin"`)
	b.login("admin", f.Password())
	has(t, "home", b.get("/"), "team/demo", "Nothing runs.", "Nothing waits.", "n1", "never built")
	resp, text = b.do("POST", "/jobs/team%2Fdemo", url.Values{})
	if resp.Request.URL.EscapedPath() != "/jobs/team%2Fdemo/1" {
		t.Fatalf("a new build leads to %s", resp.Request.URL)
	}
	has(t, "the build", text, "#1", "Started by user admin", "/jobs/team%2Fdemo/1/log")
	f.Ended(api.Build{Job: "team/demo", Number: 1})
	has(t, "the job", b.get("/jobs/team%2Fdemo"), "SUCCESS", `name="param.WHO"`, `value="world"`, `name="param.LOUD"`, "checked", "<option>a</option>")
	b.do("POST", "/jobs/team%2Fdemo", url.Values{"param.WHO": {`<img src=x onerror="x">`}, "param.C": {"b"}})
	f.Ended(api.Build{Job: "team/demo", Number: 2})
	text = b.get("/jobs/team%2Fdemo/2")
	has(t, "the build", text, "First", "Second", "SUCCESS", "&lt;img src=x", "a&lt;b&gt;&amp;.html", "artifacts/a%3Cb%3E&amp;.html", "Build again")
	text = b.get("/jobs/team%2Fdemo/2/log")
	has(t, "the last page", text, "Page 3 of 3", "line 2500", "Finished: SUCCESS", `rel="prev"`)
	text = b.get("/jobs/team%2Fdemo/2/log?page=1")
	has(t, "the first page", text, "Page 1 of 3", `<span class="f2">red</span> &lt;b&gt;not bold&lt;/b&gt;`, `id="L1"`, `id="L1000"`, "hello &lt;img", "false b", `rel="next"`)
	if strings.Contains(text, `id="L1001"`) {
		t.Error("the first page has more than a page")
	}
	resp, _ = b.do("POST", "/jobs/team%2Fdemo/2/rebuild", url.Values{})
	if resp.Request.URL.EscapedPath() != "/jobs/team%2Fdemo/3" {
		t.Errorf("build again leads to %s", resp.Request.URL)
	}
	f.Ended(api.Build{Job: "team/demo", Number: 3})
	has(t, "builds", b.get("/builds"), "team/demo #1", "team/demo #2", "team/demo #3")
	has(t, "nodes", b.get("/nodes"), "n1", "online", "2 free", "docker")
	has(t, "the node", b.get("/nodes/n1"), "linux", "Connection log", "Starting", "Take offline")
	_, text = b.do("POST", "/nodes/n1/offline", url.Values{"reason": {"new <disk>"}})
	has(t, "the node", text, "new &lt;disk&gt;", "Bring back online", "suspended")
	if strings.Contains(text, "executors free") || strings.Contains(b.get("/nodes"), " free") {
		t.Error("a node that takes no work has free executors")
	}
	f.Job("waits", `node('gpu') { echo 'x' }`)
	f.Build("waits")
	f.Await("it waits", func() bool { return len(f.Queue().Snapshot()) == 1 })
	has(t, "the queue", b.get("/queue"), "waits", "gpu", "class=\"why\"")
	has(t, "the waiting build", b.get("/jobs/waits/1"), "class=\"why\"", "gpu", "Abort")
	b.do("POST", "/jobs/waits/1/abort", url.Values{})
	f.Ended(api.Build{Job: "waits", Number: 1})
	resp, text = b.do("POST", "/jobs/waits/1/abort", url.Values{})
	if resp.StatusCode != 409 {
		t.Errorf("abort what has ended: %s", resp.Status)
	}
	has(t, "the error", text, "finished", `role="alert"`)
	for _, p := range []string{"/nothing", "/jobs/none", "/jobs/waits/99", "/jobs/waits/x", "/nodes/none", "/jobs/waits/1/log/x", "/?fragment=nothing"} {
		if resp, text := b.do("GET", p, nil); resp.StatusCode != 404 || !strings.Contains(text, "<!doctype html>") {
			t.Errorf("%s: %s", p, resp.Status)
		}
	}
	if resp, _ := b.do("POST", "/logout", url.Values{}); resp.Request.URL.Path != "/login" {
		t.Errorf("after the logout: %s", resp.Request.URL)
	}
	if resp, _ := b.do("GET", "/", nil); resp.Request.URL.Path != "/login" {
		t.Errorf("home after the logout: %s", resp.Request.URL)
	}
}

func TestViewersSeeAndDoNotDo(t *testing.T) {
	f := servertest.New(t, "linux")
	if _, err := f.Client.CreateUser(f.Context(), api.UserCreate{Name: "viewer", Password: "password", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	f.Job("j", `echo 'x'`)
	b := newBrowser(t, f).login("viewer", "password")
	for path, button := range map[string]string{"/jobs/j": "Build now", "/nodes/n1": "Take offline"} {
		f.Await("the node", func() bool { _, ok := f.Roster().Node("n1"); return ok })
		if strings.Contains(b.get(path), button) {
			t.Errorf("%s offers %q to a viewer", path, button)
		}
	}
	for _, path := range []string{"/jobs/j", "/jobs/j/1/abort", "/jobs/j/1/rebuild", "/nodes/n1/offline", "/nodes/n1/online"} {
		if resp, _ := b.do("POST", path, url.Values{}); resp.StatusCode != 403 {
			t.Errorf("POST %s by a viewer: %s", path, resp.Status)
		}
	}
}

// Requests that another site makes a browser send change nothing, whatever cookies come with them.
func TestOtherSitesChangeNothing(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("j", `echo 'x'`)
	b := newBrowser(t, f).login("admin", f.Password())
	for _, path := range []string{"/jobs/j", "/login", "/logout", "/nodes/n1/offline", "/api/v1/jobs/j/builds", "/api/v1/logout", "/api/v1/tokens"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.org"}, {"Origin", "null"}} {
			if resp, _ := b.do("POST", path, url.Values{}, header...); resp.StatusCode != 403 {
				t.Errorf("POST %s with %v: %s", path, header, resp.Status)
			}
		}
	}
	if resp, _ := b.do("DELETE", "/api/v1/jobs/j", nil, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("DELETE: %s", resp.Status)
	}
	if bs, err := f.Client.Builds(f.Context(), builds("j")); err != nil || len(bs) != 0 {
		t.Errorf("%+v, %v", bs, err)
	}
	if resp, _ := b.do("POST", "/jobs/j", url.Values{}, "Sec-Fetch-Site", "same-origin", "Origin", f.URL()); resp.StatusCode != 200 {
		t.Errorf("our own page: %s", resp.Status)
	}
}

// A GET of what POST does is no page, and does nothing.
func TestGetChangesNothing(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("j", `node('none') { echo 'x' }`)
	f.Build("j")
	f.Online()
	b := newBrowser(t, f).login("admin", f.Password())
	for _, path := range []string{"/logout", "/jobs/j/1/abort", "/jobs/j/1/rebuild", "/nodes/n1/offline", "/nodes/n1/online"} {
		if resp, _ := b.do("GET", path, nil); resp.StatusCode != 404 && resp.StatusCode != 405 {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
	}
	b.get("/") // still logged in
	if got, err := f.Client.Build(f.Context(), "j", 1); err != nil || got.State == "finished" {
		t.Errorf("%+v, %v", got, err)
	}
	if bs, err := f.Client.Builds(f.Context(), builds("j")); err != nil || len(bs) != 1 {
		t.Errorf("%+v, %v", bs, err)
	}
	if st, _ := f.Roster().Node("n1"); st.Node.Offline != nil {
		t.Error("the node was taken offline")
	}
}

func TestHeadersAndCookies(t *testing.T) {
	f := servertest.New(t)
	b := newBrowser(t, f)
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, _ := b.do("POST", "/login", url.Values{"user": {"admin"}, "password": {f.Password()}})
	c := resp.Cookies()
	if len(c) != 1 || c[0].Name != "outwork_session" || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Secure || c[0].Path != "/" || c[0].Domain != "" || c[0].Expires.IsZero() {
		t.Errorf("%+v", c)
	}
	for _, path := range []string{"/", "/login", "/nothing", "/jobs"} {
		resp, _ := b.do("GET", path, nil)
		csp := resp.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy %q has no %s", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	text := b.get("/")
	for _, asset := range regexp.MustCompile(`/static/[0-9a-f]+/[^"]+`).FindAllString(text, -1) {
		resp, _ := b.do("GET", asset, nil)
		if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s %v", asset, resp.Status, resp.Header)
		}
	}
	if strings.Contains(text, "<script>") || strings.Contains(text, " onclick") || strings.Contains(text, "style=\"") {
		t.Error("a page holds script or style of its own, which the policy refuses")
	}
	resp, _ = b.do("POST", "/logout", nil)
	if c := resp.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("after the logout: %+v", c)
	}
}

// Behind TLS the cookie is Secure and bound to the host.
func TestSecureCookie(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.URL = "https://ci.example.org"
	cfg.Listen = "127.0.0.1:0"
	f := &servertest.Farm{T: t, Config: cfg}
	f.Start()
	t.Cleanup(f.Stop)
	req, _ := http.NewRequest("POST", "http://"+f.Address()+"/login", strings.NewReader(url.Values{"user": {"admin"}, "password": {f.FirstPassword()}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if c := resp.Cookies(); len(c) != 1 || c[0].Name != "__Host-outwork_session" || !c[0].Secure || !c[0].HttpOnly {
		t.Errorf("%s %+v", resp.Status, c)
	}
}

// A login leads only to a page of this site.
func TestLoginLeadsNowhereElse(t *testing.T) {
	f := servertest.New(t)
	for next, want := range map[string]string{"/nodes": "/nodes", "//evil.example.org": "/", "https://evil.example.org": "/", `/\evil.example.org`: "/", "": "/", "jobs": "/", "/a\r\nX: y": "/"} {
		b := newBrowser(t, f)
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, _ := b.do("POST", "/login", url.Values{"user": {"admin"}, "password": {f.Password()}, "next": {next}})
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

// What came from people, builds and agents stays text on every page.
func TestMarkupStaysText(t *testing.T) {
	f := servertest.New(t, "linux")
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	if _, err := f.Client.CreateJob(f.Context(), api.JobCreate{Name: "j(onerror=alert)", Description: evil, Source: api.Source{Script: fmt.Sprintf(`node { echo '%s'
 currentBuild.description = '%[1]s' }`, strings.ReplaceAll(evil, "'", ""))}}); err != nil {
		t.Fatal(err)
	}
	labels := []string{evil}
	f.Online()
	if _, err := f.Client.UpdateNode(f.Context(), "n1", api.NodeUpdate{Labels: &labels, Description: &labels[0]}); err != nil {
		t.Fatal(err)
	}
	if err := f.Client.NodeOffline(f.Context(), "n1", api.NodeOffline{Reason: evil}); err != nil {
		t.Fatal(err)
	}
	f.Build("j(onerror=alert)")
	f.Await("it waits", func() bool { return len(f.Queue().Snapshot()) == 1 })
	b := newBrowser(t, f).login("admin", f.Password())
	pages := []string{"/", "/jobs", "/builds", "/queue", "/nodes", "/nodes/n1", "/jobs/j(onerror=alert)", "/jobs/j(onerror=alert)/1", "/jobs/j(onerror=alert)/1/log"}
	check := func() {
		for _, p := range pages {
			text := b.get(p)
			if strings.Contains(text, "<script>") || strings.Contains(text, "<img") {
				t.Errorf("%s has markup that came from outside", p)
			}
		}
	}
	check()
	if err := f.Client.NodeOnline(f.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	f.Ended(api.Build{Job: "j(onerror=alert)", Number: 1})
	check()
	has(t, "the log", b.get("/jobs/j(onerror=alert)/1/log"), "&lt;script&gt;alert(1)")
}

func builds(job string) client.BuildFilter { return client.BuildFilter{Job: job} }
