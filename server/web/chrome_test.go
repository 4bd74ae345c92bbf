package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

// tab is a page in a real browser. Its methods fail the test.
type tab struct {
	t   testing.TB
	f   *servertest.Farm
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the browser's console said in anger
}

// chrome opens a tab in headless Chromium, which a developer's machine may lack.
func chrome(t testing.TB, f *servertest.Farm) *tab {
	t.Helper()
	path := need.Program(t, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(servertest.Patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 2*servertest.Patience)
	t.Cleanup(cancel)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	b := &tab{t: t, f: f, ctx: ctx}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			b.problem(e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				text, _ := json.Marshal(e.Args)
				b.problem(string(text))
			}
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError || e.Entry.Level == cdplog.LevelWarning {
				b.problem(e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	b.run(cdplog.Enable())
	return b
}

func (b *tab) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// quiet checks that the console had nothing to say.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 {
		b.t.Errorf("the console says:\n%s", strings.Join(b.problems, "\n"))
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.shoot("failed")
		b.t.Fatal(err)
	}
}

func (b *tab) open(path string) { b.t.Helper(); b.run(chromedp.Navigate(b.f.URL() + path)) }

// is waits until a JavaScript expression is true.
func (b *tab) is(expr string) {
	b.t.Helper()
	wait := func() error {
		return chromedp.Run(b.ctx, chromedp.WaitReady("footer"), chromedp.Poll(expr, nil, chromedp.WithPollingTimeout(30*time.Second)))
	}
	err := wait()
	for tries := 0; err != nil && tries < 3 && strings.Contains(err.Error(), "-32000"); tries++ { // the page went away meanwhile: look at the next one
		err = wait()
	}
	if err != nil {
		var body string
		chromedp.Run(b.ctx, chromedp.Evaluate("document.body.innerText", &body))
		b.shoot("failed")
		b.t.Fatalf("%s does not become true (%v). The page:\n%s", expr, err, body[:min(len(body), 3000)])
	}
}

// value is what a JavaScript expression yields.
func value[T any](b *tab, expr string) (v T) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expr, &v))
	return v
}

// shoot keeps a picture of the page in the folder that OUTWORK_SHOTS names.
func (b *tab) shoot(name string) {
	dir := os.Getenv("OUTWORK_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot(&png)); err == nil {
		os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
}

func (b *tab) login() {
	b.t.Helper()
	b.open("/")
	b.run(chromedp.WaitVisible(`input[name=user]`), chromedp.SendKeys(`input[name=user]`, "admin"), chromedp.SendKeys(`input[name=password]`, b.f.Password()))
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Submit(`input[name=password]`)); err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.WaitVisible(`nav`))
}

const staged = `pipeline { agent any
  stages {
    stage('Prepare') { steps { sh 'set +x; for i in $(seq 30); do echo prepare $i; done' } }
    stage('Check') { parallel {
      stage('Unit') { steps { sh 'set +x; for i in $(seq 5); do echo unit $i; done; while ! test -e ../go; do sleep 0.05; done; echo unit ends' } }
      stage('Lint') { steps { sh 'set +x; printf "\\033[33mwarning\\033[0m: <b>lint</b>\\n"; for i in $(seq 5); do echo lint $i; done' } }
    } }
    stage('Pack') { steps { echo 'packed' } }
  } }`

// A person logs in, starts a build with the button, and sees it run and end, without loading the page again.
func TestABuildEndsBeforeOnesEyes(t *testing.T) {
	f := servertest.New(t, "linux", "linux")
	f.Online()
	f.Job("staged", staged)
	b := chrome(t, f)
	b.login()
	b.is(`document.querySelector("main").innerText.includes("staged")`)
	b.open("/jobs/staged")
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(`button.main`)); err != nil {
		t.Fatal(err)
	}
	b.is(`location.pathname === "/jobs/staged/1"`)
	b.run(chromedp.Evaluate(`window.marker = "the same page"`, nil))
	b.is(`document.querySelector(".stage.s-success .name")?.textContent === "Prepare"`)
	b.is(`[...document.querySelectorAll(".stage.s-running .name")].some((e) => e.textContent === "Unit")`)
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "unit 5")`)
	b.is(`document.querySelector("#log-state").textContent.includes("running")`)
	b.is(`[...document.querySelectorAll(".row code .f4")].some((e) => e.textContent === "warning")`)
	b.shoot("running")
	if err := os.WriteFile(filepath.Join(f.Config.Data, "agents", "n1", "workspace", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.Config.Data, "agents", "n2", "workspace", "go"), nil, 0o644); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	b.is(`document.querySelector("h1 .status").textContent === "SUCCESS"`)
	b.is(`document.querySelector("#console").dataset.finished === "true"`)
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "Finished: SUCCESS")`)
	b.is(`document.querySelectorAll(".stage.s-success").length === 5`)
	if value[string](b, `window.marker || ""`) == "" {
		t.Error("the page was loaded again")
	}
	b.shoot("finished")

	// Fold: a stage is one row, whole, also where its parallel sibling's lines stand between its own.
	b.run(chromedp.Evaluate(`document.querySelector("#viewer").scrollTop = 0`, nil))
	b.is(`document.querySelector('.row[data-line="1"]') !== null`)
	for _, stage := range []string{"Prepare", "Unit"} {
		fold := fmt.Sprintf(`document.querySelector('.fold[aria-label="Stage %s"]')`, stage)
		b.is(fold + ` !== null`)
		word := strings.ToLower(stage)
		lines := fmt.Sprintf(`[...document.querySelectorAll(".row code")].filter((e) => /^%s \d+$/.test(e.textContent)).length`, word)
		b.is(lines + ` > 0`)
		if n := value[int](b, fmt.Sprintf(`document.querySelectorAll('.fold[aria-label="Stage %s"]').length`, stage)); n != 1 {
			t.Errorf("%s has %d fold marks", stage, n)
		}
		b.run(chromedp.Evaluate(fold+`.click()`, nil))
		b.is(lines + ` === 0`)
		b.is(fold + `.getAttribute("aria-expanded") === "false"`)
		b.is(fmt.Sprintf(`/^%s · \d+ lines$/.test(document.querySelector(".row.folded:has([aria-label='Stage %s']) code").textContent)`, stage, stage))
	}
	b.shoot("folded")
	b.run(chromedp.Evaluate(`document.querySelector('.fold[aria-label="Stage Prepare"]').click()`, nil))
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "prepare 3")`)

	// A link to a line opens what is folded, marks it, and brings it into view; so does a stage of the tree.
	line := value[int](b, `Number([...document.querySelectorAll(".row")].find((e) => e.querySelector("code").textContent === "prepare 3").dataset.line)`)
	b.run(chromedp.Evaluate(`document.querySelector('.fold[aria-label="Stage Prepare"]').click()`, nil), chromedp.Evaluate(fmt.Sprintf(`location.hash = "#L%d-L%d"`, line, line+1), nil))
	b.is(`[...document.querySelectorAll(".row.hit code")].map((e) => e.textContent).join() === "prepare 3,prepare 4"`)
	b.run(chromedp.Evaluate(`[...document.querySelectorAll("a.stage")].find((e) => e.textContent.includes("Pack")).click()`, nil))
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "packed")`)
	b.quiet()
}

func big(t testing.TB, lines int) *servertest.Farm {
	f := servertest.New(t, "linux")
	if b := f.Run("big", fmt.Sprintf(`node { sh 'set +x; seq -f "line %%.0f" %d' }`, lines)); b.Result != "SUCCESS" {
		t.Fatalf("%+v", b)
	}
	return f
}

// A long log shows what is in view, wherever that is, with as many elements as fit in it.
func TestALongLog(t *testing.T) {
	const lines = 100_000
	f := big(t, lines)
	b := chrome(t, f)
	b.login()
	b.open("/jobs/big/1")
	b.is(`document.querySelector("#console").dataset.finished === "true"`)
	at := func(want int) {
		t.Helper()
		shown := fmt.Sprintf(`[...document.querySelectorAll(".row")].some((e) => { const r = e.getBoundingClientRect(), v = document.querySelector("#viewer").getBoundingClientRect();
			return e.querySelector("code").textContent === "line %d" && r.top >= v.top && r.bottom <= v.bottom + 1; })`, want)
		b.is(shown)
		if n := value[int](b, `document.querySelectorAll(".row").length`); n > 120 {
			t.Errorf("%d rows are in the page", n)
		}
		if value[bool](b, `[...document.querySelectorAll(".row")].some((e) => /^line/.test(e.querySelector("code").textContent) && Number(e.dataset.line) - Number(e.querySelector("code").textContent.slice(5)) !== Number(document.querySelector(".row").dataset.line) * 0 + `+
			`(window.shift ??= Number(e.dataset.line) - Number(e.querySelector("code").textContent.slice(5))))`) {
			t.Error("a row shows another line than its number says")
		}
	}
	b.is(fmt.Sprintf(`document.querySelector("#viewer").scrollHeight >= %d`, 20*lines)) // it is laid out as a whole
	b.run(chromedp.Evaluate(`document.querySelector("#viewer").scrollTop = document.querySelector("#viewer").scrollHeight / 2`, nil))
	at(lines / 2)
	b.run(chromedp.Focus("#viewer"), chromedp.KeyEvent(kb.End))
	at(lines)
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "Finished: SUCCESS")`)
	b.run(chromedp.KeyEvent(kb.Home))
	at(1)
	for i := range 40 { // here and there: the browser keeps only so much
		b.run(chromedp.Evaluate(fmt.Sprintf(`document.querySelector("#viewer").scrollTop = %d`, (i*7919%100)*20000), nil))
	}
	b.run(chromedp.Evaluate(`document.querySelector("#viewer").scrollTop = 20 * 25000`, nil))
	at(25_005)
	b.run(chromedp.Evaluate(`location.hash = "#L77777"`, nil))
	b.is(`document.querySelector(".row.hit")?.dataset.line === "77777" && document.querySelector(".row.hit code").textContent.startsWith("line 777")`)
	b.quiet()
}

// Every page fits a phone's width and is reached by keyboard.
func TestPhoneAndKeyboard(t *testing.T) {
	f := servertest.New(t, "linux docker a-label-that-is-rather-long another-label")
	f.Online()
	long := "team/a-job-with-quite-a-long-name-that-goes-on-and-on-without-a-space"
	f.Run(long, demo)
	f.Job("waits", `node('gpu && a-label-that-is-rather-long-and-that-nobody-has') { echo 'x' }`)
	f.Build("waits")
	f.Await("it waits", func() bool { return len(f.Queue().Snapshot()) == 1 })
	b := chrome(t, f)
	b.login()
	esc := url.PathEscape(long)
	pages := map[string]string{"home": "/", "jobs": "/jobs", "builds": "/builds", "queue": "/queue", "nodes": "/nodes", "node": "/nodes/n1", "job": "/jobs/" + esc, "build": "/jobs/" + esc + "/1",
		"log": "/jobs/" + esc + "/1/log?page=1", "waits": "/jobs/waits/1"}
	for _, scheme := range []string{"light", "dark"} {
		if scheme == "dark" && os.Getenv("OUTWORK_SHOTS") == "" {
			continue // nothing to measure, only to look at
		}
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, width := range []int64{1280, 390} {
			b.run(chromedp.EmulateViewport(width, 860))
			for name, path := range pages {
				b.open(path)
				if strings.HasSuffix(name, "build") {
					b.is(`document.querySelector("#console").dataset.finished === "true" && document.querySelectorAll(".row").length > 3`)
				}
				if over := value[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
					t.Errorf("%s is %d pixels wider than %d", name, over, width)
				}
				b.shoot(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			}
		}
	}
	b.run(chromedp.EmulateViewport(1280, 860))
	b.open("/jobs/" + esc + "/1")
	b.is(`document.querySelectorAll(".row").length > 3`)
	seen := ""
	for range 40 {
		b.run(chromedp.KeyEvent(kb.Tab))
		at := value[string](b, `document.activeElement.id || document.activeElement.textContent.trim().slice(0, 30)`)
		if seen += at + "\n"; at == "viewer" {
			break
		}
	}
	has(t, "the order of the tab key", seen, "Skip to the page", "Jobs", "Log out", "Build again", "follow", "viewer")
	b.run(chromedp.KeyEvent(kb.End))
	b.is(`[...document.querySelectorAll(".row code")].some((e) => e.textContent === "Finished: SUCCESS")`)
	b.run(chromedp.KeyEvent(kb.Home))
	b.is(`document.querySelector('.row[data-line="1"]') !== null && document.querySelector("#viewer").scrollTop === 0`)
	b.quiet()
}

// A queue's reasons, nodes and builds come and go on the home page by themselves.
func TestHomeIsLive(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	b := chrome(t, f)
	b.login()
	b.is(`document.querySelector("main").innerText.includes("Nothing waits.")`)
	f.Job("late", `node('gpu') { echo 'x' }`)
	f.Build("late")
	b.is(`document.querySelector("ul.queue .why")?.textContent.includes("gpu")`)
	b.shoot("home-waiting")
	labels := []string{"gpu"}
	if _, err := f.Client.UpdateNode(f.Context(), "n1", api.NodeUpdate{Labels: &labels}); err != nil {
		t.Fatal(err)
	}
	b.is(`document.querySelector("main").innerText.includes("Nothing waits.") && document.querySelector(".status.s-success") !== null`)
	f.Stop() // and comes back: the page finds it
	f.Start()
	f.Job("after", `echo 'x'`)
	b.is(`document.querySelector("main").innerText.includes("after")`)
}
