package jenkins_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/servertest"
)

// client speaks to a farm as a script does: basic authentication, no redirects followed.
type client struct {
	*servertest.Farm
	user, secret string
}

func admin(f *servertest.Farm) client { return client{f, "admin", f.Token} }

// ask sends a request with headers in pairs.
func (c client) ask(method, path, body string, header ...string) (*http.Response, string) {
	c.T.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, c.URL()+path, strings.NewReader(body))
	if err != nil {
		c.T.Fatal(err)
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.secret)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.T.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.T.Fatal(err)
	}
	return resp, string(b)
}

func (c client) get(path string) string {
	c.T.Helper()
	resp, body := c.ask("GET", path, "")
	if resp.StatusCode != 200 {
		c.T.Fatalf("GET %s: %s: %s", path, resp.Status, body)
	}
	return body
}

// post changes something that works.
func (c client) post(path string) *http.Response {
	c.T.Helper()
	resp, body := c.ask("POST", path, "")
	if resp.StatusCode >= 300 {
		c.T.Fatalf("POST %s: %s: %s", path, resp.Status, body)
	}
	return resp
}

func (c client) postXML(path, doc string) (*http.Response, string) {
	c.T.Helper()
	return c.ask("POST", path, doc, "Content-Type", "text/xml")
}

// json reads an object.
func (c client) json(path string) map[string]any {
	c.T.Helper()
	var m map[string]any
	if body := c.get(path); json.Unmarshal([]byte(body), &m) != nil {
		c.T.Fatalf("GET %s: no JSON: %s", path, body)
	}
	return m
}

// start starts a build and returns its queue item's path.
func (c client) start(job string) string {
	c.T.Helper()
	resp := c.post("/job/" + job + "/build")
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusCreated {
		c.T.Fatalf("%s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
	return u.Path
}

func TestWhoMayIn(t *testing.T) {
	f := servertest.New(t)
	f.Job("j", "echo 1")
	if err := f.Auth().CreateUser(f.Context(), "vera", "long enough a password", "viewer"); err != nil {
		t.Fatal(err)
	}
	vera := client{f, "vera", f.Login("vera", "long enough a password").Secret}
	for _, c := range []struct {
		name         string
		who          client
		method, path string
		status       int
		says         string
	}{
		{"a token", admin(f), "GET", "/api/json", 200, "hudson.model.Hudson"},
		{"a password", client{f, "admin", f.Password()}, "GET", "/api/json", 200, "hudson.model.Hudson"},
		{"a password, again", client{f, "admin", f.Password()}, "GET", "/api/json", 200, "hudson.model.Hudson"},
		{"a wrong password", client{f, "admin", "wrong"}, "GET", "/api/json", 401, "wrong user or password"},
		{"no such user", client{f, "nobody", f.Password()}, "GET", "/api/json", 401, "wrong user or password"},
		{"a token of somebody else", client{f, "admin", vera.secret}, "GET", "/api/json", 401, "not one of user"},
		{"a wrong token", client{f, "admin", "owt_x"}, "GET", "/api/json", 401, "not known"},
		{"nobody", client{f, "", ""}, "GET", "/api/json", 403, "anonymous is missing the Overall/Read permission"},
		{"nobody at a job", client{f, "", ""}, "GET", "/job/j/api/json", 403, "anonymous is missing"},
		{"nobody asks who", client{f, "", ""}, "GET", "/whoAmI/api/json", 200, `"name":"anonymous"`},
		{"a viewer looks", vera, "GET", "/job/j/api/json", 200, "WorkflowJob"},
		{"a viewer builds", vera, "POST", "/job/j/build", 403, "vera is missing the Job/Build permission"},
		{"a viewer deletes", vera, "POST", "/job/j/doDelete", 403, "vera is missing the Job/Delete permission"},
		{"a viewer makes a node", vera, "POST", "/computer/doCreateItem?name=x", 403, "vera is missing the Agent/Create permission"},
		{"a viewer at nothing", vera, "POST", "/job/nope/build", 404, "no job nope"},
	} {
		resp, body := c.who.ask(c.method, c.path, "")
		if resp.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %s: %s", c.name, resp.Status, body)
		}
		if resp.StatusCode >= 400 && resp.Header.Get("X-Error") == "" {
			t.Errorf("%s: no X-Error", c.name)
		}
		if got := resp.Header.Get("WWW-Authenticate"); (resp.StatusCode == 401) != (got != "") {
			t.Errorf("%s: WWW-Authenticate %q", c.name, got)
		}
	}
	credential, err := f.Auth().IssueAgent(f.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	// Who is known and may not read does not learn that the job is there.
	if resp, _ := (client{f, "", ""}).ask("GET", "/job/j/api/json", "", "Authorization", "Bearer "+credential); resp.StatusCode != 404 {
		t.Errorf("an agent: %s", resp.Status)
	}
	no := true
	if _, err := f.Client.UpdateUser(f.Context(), "vera", api.UserUpdate{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{vera.secret, "long enough a password"} {
		if resp, _ := (client{f, "vera", secret}).ask("GET", "/api/json", ""); resp.StatusCode != 401 {
			t.Errorf("a disabled user: %s", resp.Status)
		}
	}
}

// A password that was remembered is forgotten when it changes.
func TestAChangedPasswordIsNotRemembered(t *testing.T) {
	f := servertest.New(t)
	old := client{f, "admin", f.Password()}
	old.get("/api/json")
	if err := f.Auth().ResetPassword(f.Context(), "admin", "another long password", ""); err != nil {
		t.Fatal(err)
	}
	if resp, _ := old.ask("GET", "/api/json", ""); resp.StatusCode != 401 {
		t.Errorf("the old password: %s", resp.Status)
	}
	client{f, "admin", "another long password"}.get("/api/json")
}

// Every change wants POST, and says so.
func TestChangesArePosted(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Run("j", "echo 1")
	c := admin(f)
	for _, path := range []string{"/createItem?name=x", "/job/j/build", "/job/j/buildWithParameters", "/job/j/doDelete", "/job/j/enable", "/job/j/disable",
		"/job/j/1/stop", "/job/j/1/term", "/job/j/1/kill", "/job/j/1/doDelete", "/job/j/1/submitDescription", "/computer/doCreateItem?name=x", "/computer/createItem?name=x",
		"/computer/n1/doDelete", "/computer/n1/toggleOffline", "/computer/n1/changeOfflineCause", "/computer/n1/launchSlaveAgent", "/computer/n1/doDisconnect",
		"/computer/_launchAll", "/queue/cancelItem?id=1", "/quietDown", "/cancelQuietDown", "/user/admin/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			resp, body := c.ask(method, path, "")
			if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %s, Allow %q: %s", method, path, resp.Status, resp.Header.Get("Allow"), body)
			}
		}
	}
	if got := c.json("/job/j/api/json?tree=builds[number],color"); fmt.Sprint(got["builds"]) != "[map[_class:org.jenkinsci.plugins.workflow.job.WorkflowRun number:1]]" || got["color"] != "blue" {
		t.Errorf("something changed: %v", got)
	}
}

// Browsers are sent on; clients that follow redirects and read JSON get nothing; both with and without a slash at the end.
func TestRedirects(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Job("a b", "echo 1")
	c := admin(f)
	for _, path := range []string{"/computer/n1/toggleOffline", "/computer/n1/toggleOffline/", "/job/a%20b/disable", "/job/a%20b/enable/"} {
		resp, body := c.ask("POST", path, "")
		if resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Length") != "0" {
			t.Errorf("POST %s: %s %q", path, resp.Status, body)
		}
	}
	for path, want := range map[string]string{"/computer/n1/toggleOffline": "/nodes/n1", "/job/a%20b/disable": "/jobs/a%20b"} {
		resp, _ := c.ask("POST", path, "", "Accept", "text/html,application/xhtml+xml")
		if resp.StatusCode != 302 || resp.Header.Get("Location") != f.URL()+want {
			t.Errorf("a browser's POST %s: %s %q", path, resp.Status, resp.Header.Get("Location"))
		}
	}
	for path, want := range map[string]string{"/job/a%20b/": "/jobs/a%20b", "/job/a%20b": "/jobs/a%20b", "/computer/n1/": "/nodes/n1", "/queue/": "/queue", "/view/all/": "/jobs"} {
		if resp, _ := c.ask("GET", path, ""); resp.StatusCode != 302 || resp.Header.Get("Location") != f.URL()+want {
			t.Errorf("GET %s: %s %q", path, resp.Status, resp.Header.Get("Location"))
		}
	}
	resp, _ := c.ask("POST", "/computer", "")
	if resp.StatusCode != 307 && resp.StatusCode != 308 {
		t.Errorf("the slash at the end is not added with the method kept: %s", resp.Status)
	}
	// The page keeps its own paths, and has the headers too.
	resp, body := c.ask("GET", "/queue", "", "Authorization", "Bearer "+f.Token)
	if resp.StatusCode != 200 || !strings.Contains(body, "<html") || resp.Header.Get("X-Jenkins") == "" || resp.Header.Get("X-Jenkins-Session") == "" {
		t.Errorf("the page's queue: %s %v", resp.Status, resp.Header)
	}
}

// A cookie wants a crumb, a token does not; pages of others change nothing.
func TestCrumbs(t *testing.T) {
	f := servertest.New(t)
	f.Job("j", "echo 1")
	nobody := client{f, "", ""}
	cookie := "outwork_session=" + f.Token
	status := func(header ...string) int {
		resp, _ := nobody.ask("POST", "/job/j/disable", "", append(header, "Cookie", cookie)...)
		return resp.StatusCode
	}
	if got := status(); got != 403 {
		t.Errorf("without a crumb: %d", got)
	}
	var shown string
	for _, path := range []string{"/crumbIssuer/api/json", "/crumbIssuer/api/json/api/json"} {
		resp, body := nobody.ask("GET", path, "", "Cookie", cookie)
		var crumb struct{ Crumb, CrumbRequestField string }
		if err := json.Unmarshal([]byte(body), &crumb); err != nil || crumb.CrumbRequestField != "Jenkins-Crumb" || crumb.Crumb == "" {
			t.Fatalf("%s: %s %s", path, resp.Status, body)
		}
		shown = crumb.Crumb
	}
	if got := status("Jenkins-Crumb", shown); got != 200 {
		t.Errorf("with a crumb: %d", got)
	}
	if got := status("Jenkins-Crumb", shown+"x"); got != 403 {
		t.Errorf("with a wrong crumb: %d", got)
	}
	if resp, _ := nobody.ask("POST", "/job/j/disable?Jenkins-Crumb="+shown, "", "Cookie", cookie); resp.StatusCode != 200 {
		t.Errorf("with a crumb as a parameter: %s", resp.Status)
	}
	if got := status("Jenkins-Crumb", shown, "Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("from a page of somebody else: %d", got)
	}
	other := f.Login("admin", f.Password()).Secret
	if resp, _ := nobody.ask("POST", "/job/j/disable", "", "Cookie", "outwork_session="+other, "Jenkins-Crumb", shown); resp.StatusCode != 403 {
		t.Errorf("with another session's crumb: %s", resp.Status)
	}
	_, body := nobody.ask("GET", `/crumbIssuer/api/xml?xpath=concat(//crumbRequestField,":",//crumb)`, "", "Cookie", cookie)
	if body != "Jenkins-Crumb:"+shown {
		t.Errorf("xml: %s", body)
	}
	_, body = nobody.ask("GET", "/crumbIssuer/api/python", "", "Cookie", cookie)
	if body != `{"_class":"hudson.security.csrf.DefaultCrumbIssuer","crumb":"`+shown+`","crumbRequestField":"Jenkins-Crumb"}` {
		t.Errorf("python: %s", body)
	}
	admin(f).post("/job/j/enable") // a token needs none
}
