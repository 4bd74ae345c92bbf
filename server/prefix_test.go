package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// nginx shows upstream below /ci/, and returns its port. strip: it takes the path off.
func nginx(t *testing.T, upstream string, strip bool) string {
	t.Helper()
	if strip {
		upstream += "/"
	}
	return need.Nginx(t, "", `location /ci/ {
      proxy_pass `+upstream+`; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_read_timeout 1h;
    }`)
}

var link = regexp.MustCompile(` (?:href|src|action|data-base|data-module)="(/[^"]*)"`)

// S1-39: a browser logs in, starts a build and walks all links below a path, through a real proxy; the API and an agent work there.
func TestBelowAPathOfAProxy(t *testing.T) {
	for _, strip := range []bool{false, true} {
		t.Run(fmt.Sprintf("strip=%v", strip), func(t *testing.T) { belowAPath(t, strip) })
	}
}

func belowAPath(t *testing.T, strip bool) {
	job := "team/hello"
	if strip {
		job = "hello" // nginx that takes a path off also takes %2F for a slash
	}
	escaped := url.PathEscape(job)
	own := need.Port(t)
	site := "http://127.0.0.1:" + nginx(t, "http://127.0.0.1:"+own, strip)
	cfg := servertest.Config(t)
	cfg.Listen, cfg.URL = "127.0.0.1:"+own, site+"/ci/"
	f := servertest.Start(t, cfg)
	joinByCommand(t, f, "n")
	f.Job(job, `node('n') { sh 'echo text > f.txt'; archiveArtifacts 'f.txt' }`)

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.Path, "/ci/") {
			t.Errorf("led to %s", r.URL)
		}
		return nil
	}}
	page := func(resp *http.Response, err error) (*http.Response, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			return resp, "" // a stream may have no end
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	resp, _ := page(browser.Get(site + "/ci/jobs"))
	if resp.Request.URL.Path != "/ci/login" {
		t.Fatalf("led to %s", resp.Request.URL)
	}
	post := func(path string, form url.Values) *http.Response {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", site+path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", site) // nginx passes a Host of its own: only --url says that this is the same place
		resp, body := page(browser.Do(req))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s\n%s", path, resp.Status, body)
		}
		return resp
	}
	if to := post("/ci/login", url.Values{"user": {"admin"}, "password": {f.Password()}, "next": {"/jobs"}}).Request.URL.Path; to != "/ci/jobs" {
		t.Errorf("the login led to %s", to)
	}
	if to := post("/ci/jobs/"+escaped, nil).Request.URL.EscapedPath(); to != "/ci/jobs/"+escaped+"/1" {
		t.Errorf("the start of a build led to %s", to)
	}
	b, err := f.Client.Build(f.Context(), job, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b = f.Ended(b); b.Result != "SUCCESS" {
		t.Fatalf("%+v", b)
	}
	seen, todo := map[string]bool{"/ci/": true}, []string{"/ci/"}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		resp, text := page(browser.Get(site + at))
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", at, resp.Status)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "/ci/") {
				t.Errorf("%s links to %s", at, m[1])
			}
			post := strings.Contains(m[0], "action=")
			if !seen[m[1]] && !post {
				seen[m[1]] = true
				todo = append(todo, m[1])
			}
		}
	}
	for _, want := range []string{"/ci/jobs/" + escaped + "/1", "/ci/nodes/n", "/ci/api/v1/jobs/" + escaped + "/builds/1/artifacts/f.txt"} {
		if !seen[want] {
			t.Errorf("no link leads to %s; these do: %v", want, seen)
		}
	}
	cl, err := client.New(site+"/ci", f.Token, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := cl.Build(f.Context(), job, 1); err != nil || b.Result != "SUCCESS" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for _, u := range []string{"ci.example.org", "ftp://ci", "http://ci/?x=1", "://"} {
		cfg := servertest.Config(t)
		cfg.URL = u
		s, err := server.New(t.Context(), cfg)
		if err == nil {
			s.Close()
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "--url") {
			t.Errorf("%s: %v", u, err)
		}
	}
}
