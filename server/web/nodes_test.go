package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server/servertest"
)

// crowd adds nodes whose agents never come.
func crowd(t testing.TB, f *servertest.Farm, count int) {
	t.Helper()
	for i := range count {
		n := fleet.Node{Name: fleet.NodeName(fmt.Sprintf("build-%04d", i)), Executors: 4, Labels: []string{[]string{"linux", "windows"}[i%2], fmt.Sprintf("rack%d", i%40)}, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
		if err := f.Roster().Put(f.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
}

// A thousand nodes are quick to render and light to send, and are found by text, by labels and by state.
func TestAThousandNodes(t *testing.T) {
	f := servertest.New(t, "linux docker", "windows")
	f.Online()
	crowd(t, f, 1000)
	b := newBrowser(t, f).login("admin", f.Password())
	start := time.Now()
	page := b.get("/nodes")
	took := time.Since(start)
	t.Logf("1002 nodes: %v, %d bytes", took, len(page))
	if len(page) > 300_000 || strings.Count(page, "data-node=") != 1002 || !strings.Contains(page, "all 1002") {
		t.Errorf("%d bytes, %d nodes", len(page), strings.Count(page, "data-node="))
	}
	for query, want := range map[string]int{"q=build-07": 100, "q=" + url.QueryEscape("linux && online"): 1, "state=online": 2, "q=" + url.QueryEscape("rack7 || docker"): 26, "q=nothing-like-it": 0} {
		page := b.get("/nodes?view=cells&" + query)
		if got := strings.Count(page, "data-node="); got != want {
			t.Errorf("%s: %d nodes, expected %d", query, got, want)
		}
	}
	if page := b.get("/nodes?q=" + url.QueryEscape("linux &&")); !strings.Contains(page, `role="alert"`) {
		t.Error("a wrong expression is not told")
	}
	if page := b.get("/nodes?state=online"); !strings.Contains(page, "<table") {
		t.Error("few nodes are no table")
	}
}

// S1-76, S1-77 and S1-31, with forms alone: a node is taken offline with a reason that all see, drained, disconnected and reconnected.
func TestANodeIsLookedAfterWithoutJavaScript(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	b := newBrowser(t, f).login("admin", f.Password())
	post := func(path string, form url.Values, status int) {
		t.Helper()
		if form == nil {
			form = url.Values{}
		}
		if resp, text := b.do("POST", path, form); resp.StatusCode != status {
			t.Errorf("POST %s: %s\n%s", path, resp.Status, text)
		}
	}
	state := func(want string) {
		t.Helper()
		f.Await(want, func() bool { st, _ := f.Roster().Node("n1"); return string(st.State) == want })
	}
	for _, step := range []struct {
		path string
		form url.Values
		want string
	}{
		{"offline", url.Values{"reason": {"new disk"}}, "suspended"}, {"online", nil, "online"}, {"disconnect", url.Values{"reason": {"rack"}}, "offline"},
		{"reconnect", nil, "online"}, {"drain", url.Values{"reason": {"fan"}}, "suspended"}, {"online", nil, "online"},
	} {
		post("/nodes/n1/"+step.path, step.form, 200)
		state(step.want)
		if page := b.get("/nodes/n1"); step.form.Get("reason") != "" && !strings.Contains(page, step.form.Get("reason")) {
			t.Errorf("%s: the page does not tell the reason", step.path)
		}
	}
	post("/nodes/none/offline", nil, http.StatusNotFound)
	crowd(t, f, 1)
	if page := b.get("/nodes/build-0000"); strings.Contains(page, "Reconnect") || !strings.Contains(page, "cannot be started from here") { // S1-34
		t.Error("a node that dials can be reconnected from here")
	}
}

// The pages of nodes in a browser: cells change by themselves, the log grows, nothing is wrong in the console. With OUTWORK_SHOTS
// pictures of them are kept, light and dark, wide and narrow.
func TestNodesInABrowser(t *testing.T) {
	f := servertest.New(t, "linux docker", "linux", "windows old")
	f.Online()
	crowd(t, f, 200)
	f.Job("waits", `node('gpu && linux') { }`)
	f.Build("waits")
	f.Await("it waits", func() bool { return len(f.Queue().Snapshot()) == 1 })
	b := chrome(t, f)
	b.login()
	b.open("/nodes")
	b.is(`document.querySelector('[data-node="n1"]').classList.contains("s-online")`)
	if err := f.Client.NodeOffline(f.Context(), "n1", api.NodeOffline{Reason: "new disk"}); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector('[data-node="n1"]').classList.contains("s-suspended")`)
	b.open("/nodes/n2")
	b.is(`document.getElementById("node-log").textContent.includes("Starting")`)
	if err := f.Client.ReconnectNode(f.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	b.is(`document.getElementById("node-log").textContent.split("Starting").length > 2`)
	b.open("/queue")
	b.run(chromedp.Evaluate(`document.querySelector("details.tree").open = true; document.querySelector("details.tree").seen = true`, nil))
	if err := f.Client.NodeOnline(f.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector("details.tree") && !document.querySelector("details.tree").seen && document.querySelector("details.tree").open`)
	b.quiet()
	pictures(b, map[string]string{"nodes": "/nodes", "rows": "/nodes?q=n&view=rows&state=online", "node": "/nodes/n2", "offline": "/nodes/n1", "queue": "/queue"})
	b.quiet()
}

// pictures keeps the pages light and dark, wide and narrow, whole.
func pictures(b *tab, pages map[string]string) {
	dir := os.Getenv("OUTWORK_SHOTS")
	if dir == "" {
		return
	}
	for name, path := range pages {
		for _, width := range []int64{1400, 390} {
			for _, scheme := range []string{"light", "dark"} {
				b.run(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
				b.open(path)
				b.is(`document.querySelector("footer") !== null`)
				b.run(chromedp.Evaluate(`document.querySelectorAll("details.tree").forEach(d => d.open = true)`, nil))
				var png []byte
				b.run(chromedp.FullScreenshot(&png, 100))
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), png, 0o644); err != nil {
					b.t.Error(err)
				}
			}
		}
	}
}

func fleetName(s string) fleet.NodeName { return fleet.NodeName(s) }
