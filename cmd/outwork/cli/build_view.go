package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/outwork-build/outwork/task/graph"
	taskrun "github.com/outwork-build/outwork/task/run"
)

// view shows a build of tasks while it runs: a line for each task that ends, and on a terminal one below them for what runs now.
type view struct {
	out     io.Writer
	flags   taskFlags
	quiet   bool
	columns func() int // of the terminal; nil: there is none
	total   int

	mu      sync.Mutex
	done    int
	hits    int
	running []running
	drawn   bool // the line of what runs stands there

	ended   chan struct{}
	stopped sync.WaitGroup
}

type running struct {
	id    string
	since time.Time
}

func (e *env) newView(f taskFlags, g *graph.Graph) *view {
	v := &view{out: e.err, flags: f, quiet: e.json, total: len(g.Nodes), ended: make(chan struct{})}
	if file, ok := e.err.(*os.File); ok && isTerminal(file) && e.getenv("TERM") != "dumb" {
		v.columns = func() int {
			w, _, err := term.GetSize(int(file.Fd()))
			if err != nil || w < 20 {
				return 80
			}
			return w
		}
	}
	return v
}

// redraw is how often the times of what runs are shown anew.
const redraw = 100 * time.Millisecond

// start shows what runs until stop.
func (v *view) start() {
	if v.quiet || v.columns == nil {
		return
	}
	v.stopped.Go(func() {
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-v.ended:
				return
			case <-tick.C:
				v.mu.Lock()
				v.draw()
				v.mu.Unlock()
			}
		}
	})
}

func (v *view) stop() {
	close(v.ended)
	v.stopped.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
}

// event takes in a change of a task.
func (v *view) event(e taskrun.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := e.Result
	if r.State == taskrun.Running {
		v.running = append(v.running, running{r.ID, time.Now()})
		return
	}
	v.running = slices.DeleteFunc(v.running, func(x running) bool { return x.id == r.ID })
	v.done++
	if r.State == taskrun.Hit {
		v.hits++
	}
	if v.quiet || r.State == taskrun.Hit && !v.flags.verbose || r.State == taskrun.Canceled {
		return
	}
	v.wipe()
	v.line(r)
	v.draw()
}

var taskMarks = map[taskrun.State]string{taskrun.Hit: "=", taskrun.Built: "✓", taskrun.Failed: "✗", taskrun.Skipped: "–"}

// line says what became of a task.
func (v *view) line(r taskrun.Result) {
	text := fmt.Sprintf("  %s %s", taskMarks[r.State], r.ID)
	switch r.State {
	case taskrun.Hit:
		text += "  cached"
	case taskrun.Built:
		text += "  " + duration(r.Took)
		if r.Merged {
			text = fmt.Sprintf("  %s %s  same work as another task", taskMarks[r.State], r.ID)
		}
	default:
		text += "  " + r.Error
	}
	if r.Tests != nil && r.State != taskrun.Failed {
		text += "  " + r.Tests.String()
	}
	fmt.Fprintln(v.out, text)
	if v.flags.whyMiss && r.State != taskrun.Skipped {
		for _, why := range r.Reasons {
			fmt.Fprintf(v.out, "      %s\n", why)
		}
	}
	if r.State == taskrun.Failed {
		v.failure(r)
	}
}

// lastLines is how much of a failed task's log is shown.
const lastLines = 30

func (v *view) failure(r taskrun.Result) {
	if r.Tests != nil {
		for _, name := range r.Tests.Names {
			fmt.Fprintf(v.out, "      failed: %s\n", name)
		}
	}
	if r.Log == "" {
		return
	}
	f, err := os.Open(r.Log)
	if err != nil {
		return
	}
	defer f.Close()
	var lines []string
	more := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if lines = append(lines, s.Text()); len(lines) > lastLines {
			lines, more = lines[1:], more+1
		}
	}
	if more > 0 {
		fmt.Fprintf(v.out, "      … %d lines before, all in %s\n", more, r.Log)
	}
	for _, l := range lines {
		fmt.Fprintf(v.out, "      %s\n", printable(l))
	}
}

// printable keeps a log from taking hold of the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// draw shows what runs, in one line.
func (v *view) draw() {
	if v.columns == nil || v.quiet || len(v.running) == 0 {
		return
	}
	text := fmt.Sprintf("[%d/%d] %d cached, running", v.done, v.total, v.hits)
	for _, r := range v.running {
		text += fmt.Sprintf("  %s %s", r.id, duration(time.Since(r.since).Truncate(100*time.Millisecond)))
	}
	line := []rune(text)
	if w := v.columns() - 1; len(line) > w {
		line = append(line[:w-1], '…')
	}
	fmt.Fprintf(v.out, "\r\x1b[K%s", string(line))
	v.drawn = true
}

func (v *view) wipe() {
	if v.drawn {
		fmt.Fprint(v.out, "\r\x1b[K")
		v.drawn = false
	}
}

// summary says what a build came to.
func (v *view) summary(r *taskrun.Report) {
	if v.quiet {
		return
	}
	parts := []string{}
	for _, c := range []struct {
		state taskrun.State
		word  string
	}{{taskrun.Hit, "cached"}, {taskrun.Built, "built"}, {taskrun.Failed, "failed"}, {taskrun.Skipped, "skipped"}, {taskrun.Canceled, "canceled"}} {
		if n := r.Count(c.state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	where := ""
	for _, res := range r.Results {
		if res.State == taskrun.Built && !res.Merged && strings.Contains(res.Where, "(folder)") {
			where = "; nothing was hidden from them: no sandbox works on this machine, apt-get install bubblewrap"
		}
	}
	fmt.Fprintf(v.out, "%d tasks: %s in %s%s\n", len(r.Results), strings.Join(parts, ", "), duration(r.Took), where)
}
