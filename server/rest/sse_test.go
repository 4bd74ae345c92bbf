package rest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/servertest"
)

// reader takes server-sent events apart, as a browser does.
type reader struct {
	t     testing.TB
	lines *bufio.Scanner
	body  io.Closer
}

type sent struct {
	id         int64
	name, data string
}

func listen(t testing.TB, f *servertest.Farm, path, last string) *reader {
	t.Helper()
	req, err := http.NewRequestWithContext(f.Context(), "GET", f.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.Token)
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, kind)
	}
	r := &reader{t, bufio.NewScanner(resp.Body), resp.Body}
	r.lines.Buffer(nil, 1<<20)
	return r
}

// next returns the next event; false when the stream has ended.
func (r *reader) next() (e sent, ok bool) {
	r.t.Helper()
	for r.lines.Scan() {
		field, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch field {
		case "id":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			e.id = n
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name != "" {
				return e, true
			}
		}
	}
	return e, false
}

// text is the text of a log event.
func (r *reader) text(e sent) api.LogText {
	r.t.Helper()
	var x api.LogText
	if err := json.Unmarshal([]byte(e.data), &x); err != nil || e.name != "log" || x.Offset+int64(len(x.Text)) != e.id {
		r.t.Fatalf("%+v: %v", e, err)
	}
	return x
}

const logOf = "/api/v1/jobs/log/builds/1/log"

func TestALogAsEvents(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Run("log", `node { sh 'for i in $(seq 300); do printf "%s é€😀 \\033[1m<b>\\n" "$i"; done; printf "no newline \\303"'; echo '' }
 unstable 'not quite'`)
	_, whole := ask(t, f, "GET", logOf, f.Token, "")
	if !strings.Contains(whole, "300 é€😀 \x1b[1m<b>\n") {
		t.Fatalf("%q", whole)
	}
	// From every byte at which a character begins, around a few places.
	for _, from := range []int{0, 1, strings.Index(whole, "é"), strings.Index(whole, "😀"), len(whole) - 1, len(whole)} {
		for _, r := range []*reader{listen(t, f, logOf+"?offset="+strconv.Itoa(from), ""), listen(t, f, logOf+"?offset=3", strconv.Itoa(from))} {
			got, at := "", int64(from)
			for {
				e, ok := r.next()
				if !ok {
					t.Fatalf("from %d: no end", from)
				}
				if e.name == "end" {
					var end api.LogEnd
					if err := json.Unmarshal([]byte(e.data), &end); err != nil || end.Result != "UNSTABLE" || e.id != int64(len(whole)) {
						t.Errorf("from %d: %+v, %v", from, e, err)
					}
					break
				}
				var x api.LogText
				if err := json.Unmarshal([]byte(e.data), &x); err != nil || x.Offset != at || e.id <= at {
					t.Fatalf("from %d: at %d: %+v, %v", from, at, e, err)
				}
				got, at = got+x.Text, e.id
			}
			if want := strings.ToValidUTF8(whole[from:], "\ufffd"); got != want {
				t.Errorf("from %d: %q\nexpected %q", from, got, want)
			}
			if _, more := r.next(); more {
				t.Errorf("from %d: something after the end", from)
			}
		}
	}
	for _, last := range []string{"x", "-1", "1e3", "99999999999999999999"} {
		resp, body := ask(t, f, "GET", logOf, f.Token, "", "Accept", "text/event-stream", "Last-Event-ID", last)
		failed(t, last, resp, body, 422, fault.Invalid)
	}
	resp, body := ask(t, f, "GET", "/api/v1/jobs/log/builds/9/log", f.Token, "", "Accept", "text/event-stream")
	failed(t, "no such build", resp, body, 404, fault.NotFound)
	if resp, body := ask(t, f, "GET", logOf, f.Token, "", "Accept", "*/*"); body != whole || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("without asking for events: %q", resp.Header)
	}
}

// The log is followed while the build runs, over a restart of the controller, and the end is told.
func TestEventsOfALogAreResumed(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("log", `node { sh 'set +x; echo one; while ! test -e go; do sleep 0.02; done; echo two' }`)
	f.Job("open", `node { sh 'touch ../log/go' }`)
	f.Build("log")
	got, last := "", int64(0)
	r := listen(t, f, logOf, "")
	for !strings.Contains(got, "\none\n") {
		e, ok := r.next()
		if !ok {
			t.Fatalf("ended after %q", got)
		}
		got, last = got+r.text(e).Text, e.id
	}
	f.Stop()
	for {
		e, ok := r.next()
		if !ok {
			break
		}
		if e.name != "log" {
			t.Fatalf("%+v, but the build runs", e)
		}
		got, last = got+r.text(e).Text, e.id
	}
	f.Start()
	f.Ended(f.Build("open"))
	r = listen(t, f, logOf, strconv.FormatInt(last, 10))
	for {
		e, ok := r.next()
		if !ok {
			t.Fatal("no end")
		}
		if e.name == "end" {
			if !strings.Contains(e.data, `"result":"SUCCESS"`) {
				t.Error(e.data)
			}
			break
		}
		got += r.text(e).Text
	}
	if _, whole := ask(t, f, "GET", logOf, f.Token, ""); got != whole || strings.Count(got, "\none\n") != 1 || strings.Count(got, "\ntwo\n") != 1 {
		t.Errorf("followed %q\nthe log %q", got, whole)
	}
}

// A build that ended before it began has an end too.
func TestEventsOfABuildThatNeverRan(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("log", `properties([disableConcurrentBuilds()]); node('nowhere') { }`)
	f.Job("other", `echo 'x'`)
	f.Build("log")
	f.Await("it waits", func() bool { q, err := f.Client.Queue(f.Context()); return err == nil && len(q) == 1 })
	second := f.Build("log")
	if err := f.Client.Abort(f.Context(), "log", second.Number); err != nil {
		t.Fatal(err)
	}
	if b := f.Ended(second); b.Result != "ABORTED" && b.Result != "NOT_BUILT" {
		t.Fatalf("%+v", b)
	}
	r := listen(t, f, "/api/v1/jobs/log/builds/2/log", "")
	for {
		e, ok := r.next()
		if !ok {
			t.Fatal("no end")
		}
		if e.name == "end" {
			break
		}
	}
}
