package web_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/servertest"
)

// faults is what is hard to read, to reach or to hear on a page, in the words of WCAG 2.2 AA: contrast of text (1.4.3) and of the
// edges of inputs (1.4.11), names of what can be used (4.1.2), ids that are there once, and what is wider than the page (1.4.10).
const faults = `(() => {
  const out = new Set();
  const colour = (text) => {
    let m = text.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)/);
    if (m) return [m[1] / 255, m[2] / 255, m[3] / 255, m[4] === undefined ? 1 : +m[4]];
    m = text.match(/^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)(?: \/ ([\d.]+))?\)/);
    if (m) return [+m[1], +m[2], +m[3], m[4] === undefined ? 1 : +m[4]];
    out.add("a colour that is not known: " + text);
    return [0, 0, 0, 0];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const ground = (el) => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((below, c) => over(c, below), [1, 1, 1, 1]);
  };
  const light = (c) => { const f = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const faded = (el) => { let o = 1; for (let e = el; e; e = e.parentElement) o *= getComputedStyle(e).opacity; return o; };
  const name = (el) => el.tagName.toLowerCase() + (el.id ? "#" + el.id : "") + (el.name ? "[name=" + el.name + "]" : "") + (el.className ? "." + el.className : "") + " " + JSON.stringify(el.textContent.trim().slice(0, 30));
  const seen = (el) => el.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !el.closest(".sr, .skip");
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; (t = walk.nextNode());) {
    const el = t.parentElement;
    if (!t.textContent.trim() || /SCRIPT|STYLE|NOSCRIPT|OPTION/.test(el.tagName) || !seen(el) || el.closest(":disabled")) continue;
    const s = getComputedStyle(el), back = ground(el), c = colour(s.color);
    c[3] *= faded(el);
    const px = parseFloat(s.fontSize), large = px >= 24 || px >= 18.66 && s.fontWeight >= 700;
    const r = ratio(over(c, back), back);
    if (r < (large ? 3 : 4.5)) out.add("contrast " + r.toFixed(2) + " of " + name(el));
  }
  for (const el of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!seen(el) || el.closest(":disabled")) continue;
    const back = ground(el.parentElement);
    if (!/checkbox|radio/.test(el.type) && ratio(over(colour(getComputedStyle(el).borderTopColor), back), back) < 3) out.add("the edge of " + name(el));
    if (el.placeholder) { const g = ground(el), s = getComputedStyle(el, "::placeholder"), c = colour(s.color); c[3] *= s.opacity; const r = ratio(over(c, g), g); if (r < 4.5) out.add("contrast " + r.toFixed(2) + " of the placeholder of " + name(el)); }
  }
  for (const el of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary")) {
    const label = (el.ariaLabel || [...(el.labels || [])].map((l) => l.textContent).join(" ") || (/INPUT|SELECT|TEXTAREA/.test(el.tagName) ? "" : el.textContent) || el.title || "").trim();
    if (!label) out.add("no name: " + name(el));
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) out.add("twice: #" + id);
  for (const el of document.querySelectorAll("[aria-describedby]")) for (const id of el.getAttribute("aria-describedby").split(" ")) if (!document.getElementById(id)) out.add("describes nothing: #" + id);
  const wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wider > 0) for (const el of document.body.querySelectorAll("*")) if (el.getBoundingClientRect().right > document.documentElement.clientWidth && seen(el)) { out.add("sticks out: " + name(el)); break; }
  if (wider > 0) out.add(wider + " pixels too wide");
  if (document.querySelectorAll("h1").length !== 1) out.add("no single h1");
  return [...out];
})()`

// Every page can be read in light and dark, on a phone and on a desk, with long names; what can be used has a name.
func TestEveryPageCanBeReadAndUsed(t *testing.T) {
	t.Setenv("NODE_PASSWORD", "secret")
	f := servertest.New(t, "linux docker a-label-that-is-rather-long", "windows old")
	f.Online()
	crowd(t, f, 70)
	long := "team/a-job-with-quite-a-long-name-that-goes-on-and-on-without-a-space"
	f.Run(long, demo)
	f.Job("waits", `node('gpu && a-label-that-is-rather-long-and-that-nobody-has') { echo 'x' }`)
	f.Build("waits")
	var item queue.ItemID
	f.Await("it waits", func() bool {
		for _, it := range f.Queue().Snapshot() {
			item = it.Item.ID
		}
		return item != ""
	})
	if err := f.Client.NodeOffline(f.Context(), "n2", api.NodeOffline{Reason: "new disk"}); err != nil {
		t.Fatal(err)
	}
	newBrowser(t, f).login("admin", f.Password()).post("/new-node", 200, whole("rack-7-with-a-name-that-is-long-and-hard-to-fit"))
	b := chrome(t, f)
	b.open("/login")
	check := func(name string) {
		t.Helper()
		if bad := value[[]string](b, faults); len(bad) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(bad, "\n"))
			b.shoot("faulty-" + name)
		}
	}
	check("login")
	b.login()
	esc := url.PathEscape(long)
	pages := map[string]string{"home": "/", "jobs": "/jobs", "builds": "/builds", "queue": "/queue", "nodes": "/nodes", "rows": "/nodes?q=n1+||+n2", "node": "/nodes/n1", "off": "/nodes/n2", "dials": "/nodes/build-0001",
		"rich": "/nodes/rack-7-with-a-name-that-is-long-and-hard-to-fit", "job": "/jobs/" + esc, "build": "/jobs/" + esc + "/1", "log": "/jobs/" + esc + "/1/log?page=1", "why": "/why/" + url.PathEscape(string(item)), "new": "/new-node?launcher=ssh",
		"edit": "/nodes/rack-7-with-a-name-that-is-long-and-hard-to-fit/config", "delete": "/nodes/n1/delete", "orders": "/node-orders?where=linux+||+old", "none": "/nodes?q=xyzzy", "wrong": "/nodes?q=%26%26", "lost": "/nothing"}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}), chromedp.EmulateViewport(width, 860))
			for name, path := range pages {
				b.open(path)
				b.run(chromedp.Evaluate(`document.querySelectorAll("details").forEach((d) => d.open = true)`, nil))
				if name == "build" {
					b.is(`document.querySelectorAll(".row").length > 3`)
				}
				check(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			}
		}
	}
	if os.Getenv("OUTWORK_SHOTS") == "" {
		return
	}
	pictures(b, pages)
}
