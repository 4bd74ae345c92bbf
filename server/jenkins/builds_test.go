package jenkins_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

const sleeper = `node('linux') { sh 'echo begun; exec sleep 600' }`

// The log arrives piece by piece: each answer says where to go on, and whether there will be more.
func TestProgressiveText(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Job("j", sleeper)
	c := admin(f)
	c.start("j")
	read := func(start int64) (string, int64, bool) {
		resp, body := c.ask("POST", "/job/j/1/logText/progressiveText", "start="+strconv.FormatInt(start, 10), "Content-Type", "application/x-www-form-urlencoded")
		size, err := strconv.ParseInt(resp.Header.Get("X-Text-Size"), 10, 64)
		if resp.StatusCode != 200 || err != nil || size != start+int64(len(body)) {
			t.Fatalf("from %d: %s, size %d (%v), %d bytes", start, resp.Status, size, err, len(body))
		}
		return body, size, resp.Header.Get("X-More-Data") == "true"
	}
	f.Await("the start", func() bool { resp, _ := c.ask("GET", "/job/j/1/api/json", ""); return resp.StatusCode == 200 })
	var text string
	var at int64
	more, stopped := true, false
	for deadline := time.Now().Add(servertest.Patience); more; {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long; so far %q", text)
		}
		var piece string
		piece, at, more = read(at)
		text += piece
		if !stopped && strings.Contains(text, "\nbegun") {
			if !more {
				t.Error("a running build has no more")
			}
			stopped = true
			c.post("/job/j/1/stop")
		}
	}
	if whole := c.get("/job/j/1/consoleText"); whole != text || !strings.Contains(text, "Finished: ABORTED") {
		t.Errorf("pieces %q\nwhole %q", text, whole)
	}
	if b := c.json("/job/j/lastBuild/api/json"); b["result"] != "ABORTED" || b["building"] != false || b["executor"] != nil {
		t.Errorf("%v", b)
	}
	if got := c.json("/job/j/api/json?tree=color")["color"]; got != "aborted" {
		t.Errorf("color %v", got)
	}
	resp, body := c.ask("GET", fmt.Sprintf("/job/j/1/logText/progressiveText?start=%d", at+100), "")
	if body != text || resp.Header.Get("X-More-Data") != "" {
		t.Errorf("past the end: %q", body)
	}
	if html := c.get("/job/j/1/logText/progressiveHtml"); strings.Contains(html, "'") || !strings.Contains(html, "begun") {
		t.Errorf("html: %s", html)
	}
}

// While a build runs its job's ball blinks; term ends it without waiting for its finally blocks.
func TestTerm(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Job("j", `node('linux') { try { sh 'echo begun; exec sleep 600' } finally { sh 'echo cleaning; exec sleep 600' } }`)
	c := admin(f)
	c.start("j")
	c.awaitLog(build.ID{Job: "j", Number: 1}, "\nbegun")
	j := c.json("/job/j/api/json")
	if j["color"] != "notbuilt_anime" {
		t.Errorf("color %v", j["color"])
	}
	b := c.json("/job/j/1/api/json")
	if b["building"] != true || b["result"] != nil || b["executor"] == nil || b["duration"] != 0.0 {
		t.Errorf("%v", b)
	}
	c.post("/job/j/1/term")
	f.Await("the end", func() bool { return c.json("/job/j/1/api/json")["building"] == false })
	if text := c.get("/job/j/1/consoleText"); !strings.Contains(text, "Finished: ABORTED") {
		t.Errorf("%s", text)
	}
}

// awaitLog follows a build's log until it says something.
func (c client) awaitLog(id build.ID, text string) {
	c.T.Helper()
	l, err := c.Logs().Build(id)
	if err != nil {
		c.T.Fatal(err)
	}
	defer l.Release()
	said := errors.New("said")
	var got strings.Builder
	err = l.Follow(c.Context(), 0, func(_ int64, p []byte) error {
		if got.Write(p); strings.Contains(got.String(), text) {
			return said
		}
		return nil
	})
	if !errors.Is(err, said) {
		c.T.Fatalf("the log of %s ended without %q (%v): %s", id, text, err, got.String())
	}
}

// An item is answered for while it waits and for five minutes after; then it is gone. It is the same over a restart.
func TestQueueItems(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Nodes = []server.Local{{Name: "n1", Labels: []string{"linux"}, Executors: 1}}
	var ahead atomic.Int64
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f := servertest.Start(t, cfg)
	f.Online()
	f.Job("one", "properties([disableConcurrentBuilds()])\n"+sleeper)
	c := admin(f)
	first := c.start("one")
	f.Await("the first build", func() bool {
		j, err := f.Ledger().Tables.Builds.Job(f.Context(), "one")
		return err == nil && j.Properties.DisableConcurrent
	})
	second := c.start("one")
	f.Await("the reason", func() bool {
		return c.json(second + "api/json")["why"] == "Build #1 is already in progress"
	})
	q := c.json("/queue/api/json")["items"].([]any)
	if len(q) != 1 || q[0].(map[string]any)["_class"] != "hudson.model.Queue$BlockedItem" {
		t.Fatalf("queue %v", q)
	}
	if resp, _ := c.ask("GET", "/job/one/2/api/json", ""); resp.StatusCode != 404 {
		t.Errorf("a build in the queue is a run: %s", resp.Status)
	}
	if j := c.json("/job/one/api/json"); j["inQueue"] != true || j["queueItem"] == nil || fmt.Sprint(j["lastBuild"].(map[string]any)["number"]) != "1" {
		t.Errorf("job %v", j)
	}
	left := c.json(first + "api/json")
	if left["_class"] != "hudson.model.Queue$LeftItem" || left["cancelled"] != false || fmt.Sprint(left["executable"].(map[string]any)["number"]) != "1" || left["why"] != nil {
		t.Errorf("left %v", left)
	}
	f.Stop()
	f.Start()
	if again := c.json(second + "api/json"); again["id"] != c.json(second + "api/json")["id"] || again["executable"] != nil {
		t.Errorf("after a restart: %v", again)
	}
	id := strings.Trim(strings.TrimPrefix(second, "/queue/item/"), "/")
	if resp, _ := c.ask("POST", "/queue/cancelItem?id="+id, ""); resp.StatusCode != 204 {
		t.Errorf("cancel: %s", resp.Status)
	}
	if got := c.json(second + "api/json"); got["cancelled"] != true || got["executable"] != nil {
		t.Errorf("cancelled: %v", got)
	}
	if resp, _ := c.ask("POST", "/queue/cancelItem?id="+id, ""); resp.StatusCode != 422 {
		t.Errorf("cancel again: %s", resp.Status)
	}
	if resp, _ := c.ask("POST", "/queue/cancelItem?id=12345", ""); resp.StatusCode != 404 {
		t.Errorf("cancel nothing: %s", resp.Status)
	}
	if got := c.json("/job/one/api/json?tree=builds[number]"); len(got["builds"].([]any)) != 1 {
		t.Errorf("a cancelled item is a build: %v", got)
	}
	ahead.Store(int64(6 * time.Minute))
	for _, item := range []string{first, second} {
		if resp, _ := c.ask("GET", item+"api/json", ""); resp.StatusCode != 404 {
			t.Errorf("after six minutes: %s", resp.Status)
		}
	}
	c.post("/job/one/1/stop")
}

// A job with 10,000 builds lists a hundred, all when asked, and knows its old ones by name.
func TestListsAreBounded(t *testing.T) {
	const all = 10_000
	f := servertest.New(t)
	f.Job("big", "echo 1")
	builds := f.Ledger().Tables.Builds
	var wg sync.WaitGroup
	now := time.Now().UTC()
	put := func(n int) {
		b := build.Build{ID: build.ID{Job: "big"}, State: build.Finished, Result: build.Success, Accepted: now, Started: now, Ended: now.Add(time.Second)}
		if n == 0 {
			b.Result = build.Failure
		}
		b.State = build.Queued
		id, err := builds.Accept(f.Context(), b)
		if err == nil {
			_, err = builds.Update(f.Context(), id, func(b *build.Build) error { b.State = build.Finished; return nil })
		}
		if err != nil {
			t.Error(err)
		}
	}
	put(0)
	for range 100 {
		wg.Go(func() {
			for range (all - 1) / 100 {
				put(1)
			}
		})
	}
	wg.Wait()
	for range (all - 1) % 100 {
		put(1)
	}
	c := admin(f)
	j := c.json("/job/big/api/json")
	listed := j["builds"].([]any)
	if len(listed) != 100 || fmt.Sprint(listed[0].(map[string]any)["number"]) != strconv.Itoa(all) {
		t.Errorf("%d builds listed", len(listed))
	}
	if fmt.Sprint(j["lastFailedBuild"].(map[string]any)["number"]) != "1" || fmt.Sprint(j["firstBuild"].(map[string]any)["number"]) != "1" {
		t.Errorf("lastFailedBuild %v, firstBuild %v", j["lastFailedBuild"], j["firstBuild"])
	}
	if got := c.json("/job/big/api/json?tree=allBuilds[number]")["allBuilds"].([]any); len(got) != all {
		t.Errorf("allBuilds: %d", len(got))
	}
	if got := c.json("/job/big/api/json?tree=allBuilds[number]{150,152}")["allBuilds"]; fmt.Sprint(got) != fmt.Sprintf("[map[_class:%[1]s number:%[2]d] map[_class:%[1]s number:%[3]d]]", "org.jenkinsci.plugins.workflow.job.WorkflowRun", all-150, all-151) {
		t.Errorf("part of allBuilds: %v", got)
	}
	began := time.Now()
	again := c.json("/job/big/api/json?tree=lastFailedBuild[number],color,lastSuccessfulBuild[number]")
	t.Logf("permalinks the second time: %v", time.Since(began))
	if fmt.Sprint(again["lastFailedBuild"].(map[string]any)["number"]) != "1" || again["color"] != "blue" {
		t.Errorf("%v", again)
	}
	if err := builds.DeleteBuild(f.Context(), build.ID{Job: "big", Number: 1}); err != nil {
		t.Fatal(err)
	}
	if got := c.json("/job/big/api/json?tree=lastFailedBuild[number],firstBuild[number]"); got["lastFailedBuild"] != nil || fmt.Sprint(got["firstBuild"].(map[string]any)["number"]) != "2" {
		t.Errorf("after the deletion: %v", got)
	}
}

// S1-09: artifacts are served without their node, whole, in ranges and as a zip. S1-10: their URLs do not name it.
func TestArtifacts(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Run("team/j", `node('linux') { writeFile file: 'out dir/ä.txt', text: '0123456789'; writeFile file: 'page.html', text: '<script>'; archiveArtifacts '**' }`)
	c := admin(f)
	c.post("/computer/n1/doDisconnect")
	b := c.json("/job/team/job/j/lastSuccessfulBuild/api/json")
	if got := fmt.Sprint(b["artifacts"]); got != "[map[displayPath:ä.txt fileName:ä.txt relativePath:out dir/ä.txt] map[displayPath:page.html fileName:page.html relativePath:page.html]]" {
		t.Errorf("artifacts %s", got)
	}
	base := "/job/team/job/j/1/artifact/"
	if got := c.get(base + "out%20dir/%C3%A4.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	resp, body := c.ask("GET", base+"out%20dir/%C3%A4.txt", "", "Range", "bytes=3-5")
	if resp.StatusCode != 206 || body != "345" {
		t.Errorf("range: %s %q", resp.Status, body)
	}
	resp, _ = c.ask("GET", base+"page.html", "")
	if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a page: %v", resp.Header)
	}
	if resp, _ = c.ask("GET", base+"page.html", "", "If-None-Match", resp.Header.Get("ETag")); resp.StatusCode != 304 {
		t.Errorf("known already: %s", resp.Status)
	}
	names := func(path string) (out []string) {
		text := c.get(path)
		z, err := zip.NewReader(bytes.NewReader([]byte(text)), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range z.File {
			out = append(out, file.Name)
		}
		return out
	}
	if got := names(base + "*zip*/archive.zip"); !slices.Equal(got, []string{"archive/out dir/ä.txt", "archive/page.html"}) {
		t.Errorf("all: %q", got)
	}
	if got := names(base + "out%20dir/*zip*/out%20dir.zip"); !slices.Equal(got, []string{"out dir/ä.txt"}) {
		t.Errorf("one folder: %q", got)
	}
	for _, path := range []string{base + "nope", base + "nope/*zip*/nope.zip", "/job/team/job/j/7/api/json", "/job/team/job/j/lastFailedBuild/api/json"} {
		if resp, _ := c.ask("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
