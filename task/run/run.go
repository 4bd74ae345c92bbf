// Package run builds a graph of tasks: what the cache has is taken from there, the rest goes to an executor, as much at once as the
// machine's resources allow.
//
// A node's action is made when the artifacts of all that it requires are known, and looked up; so a change that ends in the same
// artifact as before stops there. Equal actions run once, however many nodes have them. A result whose bytes are gone is no hit, and
// bytes that are lost while a build runs are made again by whoever made them first. Build ends when nothing that it started runs any
// more. A Builder may be used for one build after another; a Workspace for one.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/graph"
)

// Config says with what to build. Store, Actions, Executor and Workspace are required; zero values of the rest have the defaults given.
type Config struct {
	Store     cas.Store
	Actions   cas.ActionCache
	Executor  task.Executor
	Workspace *Workspace
	Dir       string // for logs and for what the keys were made of, made when missing

	Jobs   int            // tasks' CPUs at once; the machine's
	Memory int64          // bytes of tasks at once; 0 is not counted
	Named  map[string]int // other resources that there are; one of each that is not named

	KeepGoing bool   // go on with what does not need the task that failed
	NoCache   bool   // take no result from the cache; what is built is kept there all the same
	Strict    bool   // a file of the workspace that is read and not declared fails the task
	Salt      string // part of every key

	Events func(Event) // told what happens, one at a time; nil: nobody looks
}

// State is how far a task is.
type State string

// The states of a task: waiting, then perhaps running, then one of the others.
//
//	waiting ──► hit
//	   │ └────► skipped, canceled
//	   ▼
//	running ──► built, failed, canceled
const (
	Waiting  State = "waiting"
	Running  State = "running"
	Hit      State = "hit"      // the cache had its result
	Built    State = "built"    // it ran, and has an artifact
	Failed   State = "failed"   // it ran, or could not
	Skipped  State = "skipped"  // what it requires has no artifact, or another task failed before it began
	Canceled State = "canceled" // the build was given up
)

// Result is what became of a task.
type Result struct {
	ID       string        `json:"task"`
	State    State         `json:"state"`
	Key      cas.Digest    `json:"-"`
	Artifact cas.Digest    `json:"-"` // of the root folder; zero when there is none
	Where    string        `json:"where,omitempty"`
	Exit     int           `json:"exit,omitempty"`
	Error    string        `json:"error,omitempty"`
	Log      string        `json:"log,omitempty"` // file with what the commands wrote, when they ran now
	Tests    *Tests        `json:"tests,omitempty"`
	Took     time.Duration `json:"-"`                 // of running
	Reasons  []string      `json:"reasons,omitempty"` // what is different from last time, when it was no hit
	Merged   bool          `json:"merged,omitempty"`  // another task of this build had the same action, and ran it
}

// OK reports whether the task has an artifact.
func (r Result) OK() bool { return r.State == Hit || r.State == Built }

// Event is a change of a task's state.
type Event struct {
	Node   *graph.Node
	Result Result
}

// Report is what became of a build.
type Report struct {
	Results []Result // by the graph's nodes
	Took    time.Duration
}

// Builder builds graphs.
type Builder struct {
	cfg     Config
	history *history
}

// New returns a builder.
func New(cfg Config) (*Builder, error) {
	if cfg.Jobs <= 0 {
		cfg.Jobs = runtime.NumCPU()
	}
	if cfg.Events == nil {
		cfg.Events = func(Event) {}
	}
	for _, dir := range []string{"logs", "keys"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	return &Builder{cfg: cfg, history: loadHistory(filepath.Join(cfg.Dir, "keys"))}, nil
}

// Build builds a graph. Its error is about the build as a whole: a task that needs what this machine does not have. What became of each
// task, and whether the goals have artifacts, is in the report. When ctx ends, what runs is killed and the rest is canceled.
func (b *Builder) Build(ctx context.Context, g *graph.Graph) (*Report, error) {
	began := time.Now()
	w := newWalk(b, g)
	for _, n := range g.Nodes {
		if err := w.pool.possible(n.Task); err != nil {
			return nil, err
		}
	}
	w.walk(ctx)
	err := b.history.save()
	return &Report{Results: w.results(), Took: time.Since(began)}, err
}

// Missing are the goals of a graph that have no artifact.
func (r *Report) Missing(g *graph.Graph) (ids []string) {
	for _, n := range g.Goals {
		if !r.Results[n.Index].OK() {
			ids = append(ids, n.Task.ID)
		}
	}
	return ids
}

// Count is the number of tasks in a state.
func (r *Report) Count(s State) (n int) {
	for _, res := range r.Results {
		if res.State == s {
			n++
		}
	}
	return n
}

// lost reports whether an error says that bytes are gone which were there.
func lost(err error) bool {
	return errors.Is(err, cas.ErrNotFound) || errors.Is(err, cas.ErrMismatch)
}

// inputs are what a node's action is made of, once the artifacts of all that it requires are known.
func (b *Builder) inputs(n *graph.Node, artifact func(*graph.Node) cas.Digest) (graph.Inputs, error) {
	in := graph.Inputs{Salt: b.cfg.Salt}
	var err error
	if in.Sources, err = b.cfg.Workspace.Sources(n.Task); err != nil {
		return in, err
	}
	for _, d := range n.Deps {
		in.Artifacts = append(in.Artifacts, artifact(d.Node))
	}
	return in, nil
}

// LogFile is where a task's log of its last run is kept.
func (b *Builder) LogFile(id string) string {
	return filepath.Join(b.cfg.Dir, "logs", fileName(id)+".log")
}

// fileName makes a file's name of a task's.
func fileName(id string) string {
	d := cas.Of([]byte(id)).Hash[:12]
	name := []byte(id[:min(len(id), 100)])
	for i, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == '=') {
			name[i] = '_'
		}
	}
	return fmt.Sprintf("%s-%s", name, d)
}
