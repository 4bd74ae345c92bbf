package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

// With forms alone, many nodes are chosen by name, by expression or as they are shown; nothing is done before they were seen.
func TestManyNodesWithoutJavaScript(t *testing.T) {
	f := servertest.New(t, "linux", "linux old", "windows")
	f.Online()
	crowd(t, f, 10)
	b := newBrowser(t, f).login("admin", f.Password())
	meant := func(page string) string { return strings.Join(inputs(page)["node"], " ") }
	state := func(name, want string) {
		t.Helper()
		f.Await(name+" "+want, func() bool { st, _ := f.Roster().Node(fleetName(name)); return string(st.State) == want })
	}
	page := b.get("/node-orders?verb=drain&where=" + url.QueryEscape("linux && connected"))
	if got := meant(page); got != "n1 n2" {
		t.Errorf("linux && connected are %s", got)
	}
	has(t, "the preview", page, "Drain 2 nodes?", `value="drain" data-reason="true" selected`)
	page = b.post("/node-orders", 200, url.Values{"all": {"yes"}, "q": {"build-000"}, "state": {"offline"}, "verb": {"offline"}})
	if got := strings.Fields(meant(page)); len(got) != 10 {
		t.Errorf("all shown are %s", got)
	}
	page = b.post("/node-orders", 200, url.Values{"node": {"n3", "n1", "gone"}, "verb": {"offline"}})
	if got := meant(page); got != "n1 n3" {
		t.Errorf("ticked are %s", got)
	}
	has(t, "the preview", page, "Take offline 2 nodes?", "There is no node gone any more.")
	state("n1", "online") // so far nothing was done

	page = b.post("/node-orders/do", http.StatusUnprocessableEntity, inputs(page))
	has(t, "without a reason", page, `id="f-reason-problem"`, `aria-invalid="true"`)
	if got := meant(page); got != "n1 n3" {
		t.Errorf("kept are %s", got)
	}
	form := inputs(page)
	form.Set("reason", "new <disks>")
	form.Del("show")
	page = b.post("/node-orders/do", 200, form)
	has(t, "the result", page, "Take offline: 2 nodes", "takes no new work", "new &lt;disks&gt;", `href="/nodes/n1"`, `href="/nodes/n3"`)
	state("n1", "suspended")
	state("n3", "suspended")
	page = b.post("/node-orders/do", 200, url.Values{"verb": {"online"}, "node": {"n1", "n2", "build-0001", "gone"}})
	has(t, "the result", page, "Bring back online: 3 nodes", "takes work again", "was not taken off", "There is no node gone any more.")
	state("n1", "online")
	has(t, "a wrong expression", b.post("/node-orders", http.StatusUnprocessableEntity, url.Values{"where": {"linux &&"}, "verb": {"online"}, "show": {"yes"}}), `id="f-where-problem"`, `value="linux &amp;&amp;"`)
	has(t, "nothing chosen", b.post("/node-orders/do", http.StatusUnprocessableEntity, url.Values{"verb": {"reconnect"}}), "none is chosen")
	has(t, "nobody", b.get("/node-orders?where=nobody"), "No node is like that.")
	b.post("/node-orders", http.StatusUnprocessableEntity, url.Values{"verb": {"explode"}})
}
