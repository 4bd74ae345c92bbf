// Package steptest is a small real world for testing steps: a Thread with a journal, the Run behind it, Nodes and a Machine.
//
// Everything lives in memory and below one folder. A World is one run; World.Thread starts the program from its top, so that
// calling it twice is a replay: journalled effects answer at once and what was printed is not printed again.
//
//	w := steptest.New(t)
//	th := w.OnNode(w.Thread(), "agent-1")
//	v, err := th.Step(shell.Sh{}, steptest.Args{"script": "make"}, nil)
//	w.Console() // "[Pipeline] sh\n…"
package steptest

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// World is one run. Set the exported fields before the first thread starts. It implements step.Run.
type World struct {
	Record  build.Build
	OfJob   build.Job
	Source  *build.Source            // what SCM answers
	Env     []string                 // what Base answers
	Clock   func() time.Time         // what Now answers; nil is time.Now
	Machine agent.Machine            // of every node whose name is not in Machines
	Farm    map[string]agent.Machine // by node name
	Host    string                   // name of the node that Acquire gives; "" is agent-1
	Refuse  error                    // what Acquire fails with, when set

	tb      testing.TB
	details *Details

	mu      sync.Mutex // guards all below
	journal []entry
	index   map[string]int // into journal
	started map[string]int // how many times an effect's Run was called
	lines   []byte
	marks   map[string]int64 // how much of a stream was received
	result  build.Result
	open    map[string]int // grants acquired and not released, by item
	acquire int

	baton sync.Mutex
}

type entry struct {
	Key   string
	Value json.RawMessage
	Exc   *value.Exception
	Err   string
}

// New returns a world with job#1 of a job "job", and one Machine below a temporary folder.
func New(tb testing.TB) *World {
	return &World{
		Record: build.Build{ID: build.ID{Job: "job", Number: 1}, State: build.Running},
		OfJob:  build.Job{Name: "job"}, Machine: NewMachine(tb.TempDir()), tb: tb, details: &Details{},
		index: map[string]int{}, started: map[string]int{}, marks: map[string]int64{}, open: map[string]int{},
	}
}

// Console returns what was printed, by steps and by what they ran.
func (w *World) Console() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.lines)
}

// Started counts how many times the effects of a name ("sh") were really run.
func (w *World) Started(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for k, c := range w.started {
		if strings.Contains(k, "|"+name+"|") {
			n += c
		}
	}
	return n
}

// Journal lists the completed effects in order, as "address|name|key".
func (w *World) Journal() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.journal {
		out = append(out, e.Key)
	}
	return out
}

// Crash forgets all but the first n completed effects, as if the controller had died before the others were on disk.
// What machines and the console have stays. Start a new Thread afterwards.
func (w *World) Crash(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.journal[n:] {
		delete(w.index, e.Key)
	}
	w.journal = w.journal[:n]
	w.result = ""
}

// Held lists the items whose grants were acquired and not released.
func (w *World) Held() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for item, n := range w.open {
		if n > 0 {
			out = append(out, item)
		}
	}
	sort.Strings(out)
	return out
}

// Build and the methods below implement step.Run.
func (w *World) Build() build.Build {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.Record
	b.Result = w.result
	return b
}
func (w *World) Job() build.Job         { return w.OfJob }
func (w *World) Details() build.Details { return w.details }
func (w *World) Nodes() step.Nodes      { return nodes{w} }
func (w *World) SCM() *build.Source     { return w.Source }
func (w *World) Base() []string         { return append([]string(nil), w.Env...) }

func (w *World) Now() time.Time {
	if w.Clock != nil {
		return w.Clock()
	}
	return time.Now()
}

func (w *World) SetResult(r build.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result = build.Worst(w.result, r)
}

func (w *World) Result() build.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.result
}

// Output opens a stream of the console. The stage is not kept.
func (w *World) Output(a step.Address, _ string) step.Stream { return &stream{w, string(a)} }

type stream struct {
	w   *World
	key string
}

func (s *stream) Received() int64 {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.marks[s.key]
}

func (s *stream) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.lines = append(s.w.lines, p...)
	s.w.marks[s.key] += int64(len(p))
	return len(p), nil
}

func (s *stream) WriteAt(p []byte, off int64) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	have := s.w.marks[s.key]
	if off > have {
		return 0, fmt.Errorf("write at %d of %s: %d bytes are missing before it", off, s.key, off-have)
	}
	if skip := have - off; skip < int64(len(p)) {
		s.w.lines = append(s.w.lines, p[skip:]...)
		s.w.marks[s.key] = off + int64(len(p))
	}
	return len(p), nil
}

func (s *stream) Sync() error { return nil }

func (s *stream) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if n := len(s.w.lines); s.w.marks[s.key] > 0 && n > 0 && s.w.lines[n-1] != '\n' {
		s.w.lines = append(s.w.lines, '\n')
	}
	return nil
}
