package interp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// memoryRun is a step.Run that keeps the console in memory: what survives a restart of the controller.
type memoryRun struct {
	step.Run
	mu      sync.Mutex
	streams map[step.Address][]byte
	env     []string
	clock   time.Time
}

func newMemoryRun() *memoryRun {
	return &memoryRun{streams: map[step.Address][]byte{}, clock: time.UnixMilli(1_700_000_000_000)}
}

func (r *memoryRun) Base() []string       { return append([]string{"JOB_NAME=demo", "PATH=/bin"}, r.env...) }
func (r *memoryRun) Result() build.Result { return "" }
func (r *memoryRun) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(time.Second)
	return r.clock
}

func (r *memoryRun) setEnv(name string, v *string) {
	kept := r.env[:0:0]
	for _, kv := range r.env {
		if k, _, _ := strings.Cut(kv, "="); k != name {
			kept = append(kept, kv)
		}
	}
	if v != nil {
		kept = append(kept, name+"="+*v)
	}
	r.env = kept
}

func (r *memoryRun) Output(a step.Address, stage string) step.Stream { return &memoryStream{r, a} }

// text is the console of the main thread.
func (r *memoryRun) text() string { return string(r.streams["b:"]) }

type memoryStream struct {
	r *memoryRun
	a step.Address
}

func (s *memoryStream) Write(p []byte) (int, error) { return s.WriteAt(p, s.Received()) }

func (s *memoryStream) WriteAt(p []byte, off int64) (int, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	have := s.r.streams[s.a]
	n := len(p)
	if off > int64(len(have)) {
		return 0, fmt.Errorf("%s: gap: %d after %d", s.a, off, len(have))
	}
	if skip := int64(len(have)) - off; skip < int64(len(p)) {
		if string(have[off:]) != string(p[:skip]) {
			return 0, fmt.Errorf("%s at %d: %q is there, %q is written", s.a, off, have[off:], p[:skip])
		}
		s.r.streams[s.a] = append(have, p[skip:]...)
	} else if string(have[off:off+int64(len(p))]) != string(p) {
		return 0, fmt.Errorf("%s at %d: %q is there, %q is written", s.a, off, have[off:], p)
	}
	return n, nil
}

func (s *memoryStream) Received() int64 {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return int64(len(s.r.streams[s.a]))
}
func (s *memoryStream) Sync() error  { return nil }
func (s *memoryStream) Close() error { return nil }

// memoryJournal keeps entries, and fails after a number of them when cut is set.
type memoryJournal struct {
	mu      sync.Mutex
	entries []Entry
	appends int
	cut     int // 0 never fails
}

var errCrash = errors.New("the controller is gone")

func (j *memoryJournal) Append(_ context.Context, es []Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.appends++
	for _, e := range es {
		if want := uint64(len(j.entries) + 1); e.Seq != want {
			return fmt.Errorf("entry %d where %d was expected", e.Seq, want)
		}
		if j.cut > 0 && len(j.entries) >= j.cut {
			return errCrash
		}
		j.entries = append(j.entries, e)
	}
	return nil
}

// funcStep is a step made of a function.
type funcStep struct {
	spec step.Spec
	run  func(t step.Thread, c *step.Call) (value.Value, error)
}

func (s funcStep) Spec() step.Spec                                      { return s.spec }
func (s funcStep) Run(t step.Thread, c *step.Call) (value.Value, error) { return s.run(t, c) }

func parse(t testing.TB, src string) *jenkinsfile.File {
	t.Helper()
	f, err := jenkinsfile.Parse("WorkflowScript", src)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return f
}

// run evaluates a script and returns the console of its main thread.
func run(t testing.TB, src string, set func(*Config)) (string, error) {
	t.Helper()
	r := newMemoryRun()
	c := Config{File: parse(t, src), Run: r, SetEnv: r.setEnv}
	if set != nil {
		set(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context())
	return r.text(), err
}
