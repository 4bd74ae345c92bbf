package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/servertest"
)

// The page of the queue finds items; each is explained node by node with scores, also what would happen if, and why it runs where it does.
func TestTheQueueExplainsItself(t *testing.T) {
	f := servertest.New(t, "linux", "linux", "windows")
	f.Online()
	b := newBrowser(t, f).login("admin", f.Password())
	has(t, "an empty queue", b.get("/queue"), "Nothing waits.")
	f.Job("team/gpu", `node('gpu && linux') { }`)
	f.Job("mac", `node('macos') { }`)
	item := func(job string, state queue.ItemState) (id queue.ItemID) {
		t.Helper()
		f.Await(job, func() bool {
			for _, it := range f.Queue().Snapshot() {
				if string(it.Item.Build.Job) == job && it.State == state {
					id = it.Item.ID
				}
			}
			return id != ""
		})
		return id
	}
	f.Build("team/gpu")
	gpu := "/why/" + url.PathEscape(string(item("team/gpu", queue.Waiting)))
	f.Build("mac")
	item("mac", queue.Waiting)
	page := b.get("/queue")
	has(t, "the queue", page, "2 items in the queue", "part of team/gpu #1", "part of mac #1", "<b>3</b> do not have the labels", `href="`+gpu+`"`)
	page = b.get("/queue?q=MACOS") // of the label
	if strings.Contains(page, "team/gpu") || !strings.Contains(page, "2 items in the queue, 1 item found") {
		t.Errorf("found:\n%s", page)
	}
	has(t, "nothing like that", b.get("/queue?q=xyzzy"), "2 items in the queue, none like that")
	has(t, "the explanation", b.get(gpu), "There are no nodes with the label", "No node can ever run it", "1 in the queue", "What if")
	has(t, "what if", b.get(gpu+"?if="+url.QueryEscape("node n1 label gpu")), "If ‘n1’ had label ‘gpu’, ‘n1’ would take it", `class="chosen"`, `value="node n1 label gpu"`, "Other nodes", "<b>2</b> do not have the labels")
	for _, wrong := range []string{"node n1 explodes", "node n9 online"} {
		has(t, wrong, b.get(gpu+"?if="+url.QueryEscape(wrong)), `role="alert"`, "There are no nodes with the label")
	}
	if resp, _ := b.do("GET", "/why/nothing", nil); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}

	gate := filepath.Join(t.TempDir(), "go")
	f.Job("long", fmt.Sprintf(`node('linux') { sh 'while ! test -e "%s"; do sleep 0.05; done' }`, gate))
	runs := f.Build("long")
	id := item("long", queue.Leased)
	var node string
	for _, it := range f.Queue().Snapshot() {
		if it.Item.ID == id {
			node = string(it.Grant.Node)
		}
	}
	has(t, "its node", b.get("/nodes/"+node), `href="/why/`+url.PathEscape(string(id))+`"`, "why here", "1 of 2 executors free")
	has(t, "why here", b.get("/why/"+url.PathEscape(string(id))), "It runs on ‘"+node+"’", "out of 2 free nodes of 2", `class="chosen"`, "free +")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f.Ended(runs)
	has(t, "after its end", b.get("/why/"+url.PathEscape(string(id))), "It has ended; it ran on ‘"+node+"’")
	for _, job := range []string{"team/gpu", "mac"} {
		if err := f.Client.Abort(f.Context(), job, 1); err != nil {
			t.Fatal(err)
		}
		f.Ended(api.Build{Job: job, Number: 1})
	}
}
