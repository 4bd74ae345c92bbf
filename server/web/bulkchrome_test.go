package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server/servertest"
)

// submit does what leads to another page, and waits for that.
func (b *tab) submit(a chromedp.Action) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, a); err != nil {
		b.shoot("failed")
		b.t.Fatal(err)
	}
}

// click clicks on what is there at that moment: a refresh may put another like it in its place at any time.
func click(selector string) chromedp.Action {
	return chromedp.Evaluate("document.querySelector(`"+selector+"`).click()", nil)
}

// empty takes away what is written in an input.
func empty(selector string) chromedp.Action {
	return chromedp.Evaluate("document.querySelector(`"+selector+"`).value = ''", nil)
}

// Nodes are found as one types, without loading the page again; those that are shown are ticked at once, previewed, taken off, and seen to be.
func TestManyNodesInABrowser(t *testing.T) {
	f := servertest.New(t, "linux docker", "linux", "windows old")
	f.Online()
	crowd(t, f, 200)
	b := chrome(t, f)
	b.login()
	b.open("/nodes")
	b.is(`document.querySelectorAll("#cells li").length === 203 && document.querySelector("#act button").disabled`)
	b.run(chromedp.Evaluate(`window.marker = "the same page"`, nil), chromedp.SendKeys(`#find input[name=q]`, "linux && online"))
	b.is(`[...document.querySelectorAll("tbody [name=node]")].map((e) => e.value).join() === "n1,n2"`)
	b.is(`new URL(location.href).searchParams.get("q") === "linux && online" && document.activeElement.name === "q"`)
	b.is(`document.getElementById("say").textContent === "2 nodes shown"`)
	b.run(chromedp.SendKeys(`#find input[name=q]`, " &&"))
	b.is(`document.querySelector("#fleet [role=alert]")?.textContent.includes("expected")`)
	b.run(empty(`#find input[name=q]`), chromedp.SendKeys(`#find input[name=q]`, "build-01"))
	b.is(`document.querySelectorAll("#cells li").length === 100`)

	crowded := fleet.Node{Name: "build-01-more", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
	if err := f.Roster().Put(f.Context(), crowded); err != nil { // it comes by itself
		t.Fatal(err)
	}
	b.is(`document.querySelectorAll("#cells li").length === 101 && document.querySelector('[data-node="build-01-more"]') !== null`)
	if err := f.Roster().Remove(f.Context(), crowded.Name); err != nil { // and goes
		t.Fatal(err)
	}
	b.is(`document.querySelectorAll("#cells li").length === 100`)

	// What is ticked stays so while other things change, and so does a node that looks different.
	b.run(click(`[data-node="build-0105"] input`))
	b.is(`document.getElementById("chosen").textContent === "1 chosen" && document.getElementById("all").indeterminate`)
	if err := f.Roster().SetOffline(f.Context(), "build-0105", fleet.ByUser("bob", "fan")); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector('[data-node="build-0105"] a').title.includes("bob") && document.querySelector('[data-node="build-0105"] input').checked`)
	b.run(click(`#all`))
	b.is(`document.getElementById("chosen").textContent === "100 chosen"`)
	b.run(click(`#all`), empty(`#find input[name=q]`), chromedp.SendKeys(`#find input[name=q]`, "n"+kb.Enter))
	b.is(`document.querySelectorAll("#cells li").length === 203`) // all have an n somewhere
	b.run(click(`#tallies a.s-online`))
	b.is(`[...document.querySelectorAll("tbody [name=node]")].map((e) => e.value).join() === "n1,n2,n3"`)
	if value[string](b, `window.marker || ""`) == "" {
		t.Error("the page was loaded again")
	}
	b.run(click(`tbody tr:nth-child(1) input`), click(`tbody tr:nth-child(3) input`))
	b.is(`document.getElementById("chosen").textContent === "2 chosen"`)
	b.submit(click(`#act button`))
	b.is(`[...document.querySelectorAll("#orders [name=node]")].map((e) => e.value + e.checked).join() === "n1true,n3true"`)
	b.is(`document.getElementById("do").textContent === "Take offline: 2 nodes" && document.getElementById("f-reason").required`)
	b.run(click(`#orders [name=node][value=n3]`))
	b.is(`document.getElementById("do").textContent === "Take offline: 1 node"`)
	b.quiet() // from here on the console tells of a 422
	b.submit(click(`#do`))
	b.is(`document.activeElement.id === "problems"`) // the reason is missing: what is wrong is read first
	b.run(click(`#problems a`))
	b.is(`document.activeElement.id === "f-reason"`)
	b.run(chromedp.SendKeys(`#f-reason`, "new disk"))
	b.is(`[...document.querySelectorAll("#orders [name=node]")].map((e) => e.value).join() === "n1"`)
	b.submit(click(`#do`))
	b.is(`document.querySelector("h1").textContent === "Take offline: 1 node" && document.querySelector("tbody").innerText.includes("takes no new work")`)
	b.open("/nodes/n1")
	b.is(`document.querySelector(".why").textContent.includes("new disk")`)
}

// A node is made in a browser: the fields of a kind come with its choice, what is wrong is led to, rows are added.
func TestANodeFormInABrowser(t *testing.T) {
	t.Setenv("NODE_PASSWORD", "secret")
	f := servertest.New(t, "linux")
	f.Online()
	b := chrome(t, f)
	b.login()
	b.open("/nodes")
	b.submit(click(`a[href="/new-node"]`))
	shown := func(selector string) string {
		return `(document.querySelector('` + selector + `').checkVisibility())`
	}
	b.is(shown(`.choices`) + ` && !` + shown(`[name="launcher.ssh.host"]`) + ` && !` + shown(`[name="launcher.command.command"]`) + ` && !` + shown(`[name="reason"]`))
	b.run(chromedp.Focus(`[name=launcher]:checked`), chromedp.KeyEvent(kb.ArrowDown)) // by keyboard
	b.is(shown(`[name="launcher.ssh.host"]`) + ` && !` + shown(`[name="launcher.command.command"]`) + ` && !` + shown(`[name="launcher.ssh.timeout"]`))
	b.run(click(`[name=retention][value=schedule]`))
	b.is(shown(`[name="retention.schedule.start"]`) + ` && !` + shown(`[name="retention.demand.idleDelay"]`))
	b.run(chromedp.SendKeys(`#f-name`, "made"), chromedp.SendKeys(`#f-launcher-ssh-host`, "127.0.0.1"), chromedp.SendKeys(`#f-launcher-ssh-port`, "none"),
		chromedp.SendKeys(`#f-retention-schedule-start`, "0 8 * * *"), chromedp.SendKeys(`#f-retention-schedule-upTime`, "10h"),
		chromedp.Evaluate(`document.querySelector(".of-ssh details").open = true`, nil), chromedp.SendKeys(`#f-launcher-ssh-timeout`, "soon"), chromedp.Evaluate(`document.querySelector(".of-ssh details").open = false`, nil))
	b.run(click(`.pairs:has([name="env.name"]) .more`))
	b.is(`document.activeElement.name === "env.name" && document.querySelectorAll('[name="env.name"]').length === 3`)
	b.run(chromedp.KeyEvent("A"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("b"))
	b.quiet() // from here on the console tells of a 422
	b.submit(chromedp.Submit(`#node-form`))
	b.is(`document.activeElement.id === "problems" && document.querySelector(".of-ssh details").open`)
	b.is(`document.querySelector('[name="env.value"]').value === "b" && document.querySelector('#f-launcher-ssh-port').getAttribute("aria-invalid") === "true"`)
	b.shoot("form-wrong")
	b.run(chromedp.Evaluate(`document.querySelector(".of-ssh details").open = false`, nil), click(`#problems a[href="#f-launcher-ssh-timeout"]`))
	b.is(`document.activeElement.id === "f-launcher-ssh-timeout" && document.querySelector(".of-ssh details").open`)
	b.run(chromedp.SetValue(`#f-launcher-ssh-timeout`, "5s"), chromedp.SetValue(`#f-launcher-ssh-port`, "1"), chromedp.SetValue(`#f-launcher-ssh-password`, "env:NODE_PASSWORD"), chromedp.SetValue(`#f-launcher-ssh-hostKey`, "none"))
	b.run(click(`#f-hold`), chromedp.SendKeys(`#f-reason`, "not yet"))
	b.submit(chromedp.Submit(`#node-form`))
	b.is(`location.pathname === "/nodes/made" && document.querySelector("dl").innerText.includes("A=b")`)
	b.is(`document.querySelector("main").innerText.includes("not yet")`)

	// A reason that is being written outlives what changes meanwhile, and the focus stays.
	b.open("/nodes/n1")
	b.run(chromedp.Evaluate(`document.querySelector("#reason").focus()`, nil), chromedp.KeyEvent("f"), chromedp.KeyEvent("a"), chromedp.KeyEvent("n"), chromedp.Evaluate("document.querySelector(`button[formaction$=\"/drain\"]`).focus()", nil), chromedp.Evaluate(`document.querySelector("#do").seen = true`, nil))
	n, _ := f.Roster().Node("n1")
	n.Node.Description = "changed"
	if err := f.Roster().Put(f.Context(), n.Node); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector(".lead").textContent.includes("changed") && !document.querySelector("#do").seen`)
	b.is(`document.querySelector("#reason").value === "fan" && document.activeElement.getAttribute("formaction").endsWith("/drain")`)
	b.submit(click(`button[formaction$="/drain"]`))
	b.is(`document.querySelector(".why").textContent.includes("fan")`)
}
