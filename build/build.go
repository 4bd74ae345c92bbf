// Package build is the record of what happened: jobs, their numbered builds, the stages of a build, and results.
//
// It holds plain values and the rules between them, and starts nothing. build/log keeps what the steps wrote. The ledger
// keeps the records; see Store.
package build

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// JobName is the full name of a job, folders separated by slashes: "team/app". See CheckJobName.
type JobName string

// CheckJobName refuses names that cannot be a path segment, a URL segment or a workspace folder.
func CheckJobName(n JobName) error {
	if n == "" {
		return fmt.Errorf("job name: expected a name, found none")
	}
	for _, seg := range strings.Split(string(n), "/") {
		if seg == "" || seg == "." || seg == ".." || strings.HasSuffix(seg, ".") || strings.HasPrefix(seg, "-") {
			return fmt.Errorf("job name %q: %q cannot be a segment", n, seg)
		}
		if i := strings.IndexFunc(seg, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`?*\%!@#$^&|<>[]:;"'`, r) }); i >= 0 {
			return fmt.Errorf("job name %q: character %q at %d is not allowed", n, seg[i:i+1], i)
		}
		if len(seg) > 200 {
			return fmt.Errorf("job name %q: segment longer than 200 bytes", n)
		}
	}
	return nil
}

// ID names one build of one job, for ever: numbers are never used again.
type ID struct {
	Job    JobName `json:"job"`
	Number int     `json:"number"` // from 1
}

// String returns "job#12".
func (id ID) String() string { return string(id.Job) + "#" + strconv.Itoa(id.Number) }

// ParseID reads what String prints.
func ParseID(s string) (ID, error) {
	i := strings.LastIndexByte(s, '#')
	if i < 0 {
		return ID{}, fmt.Errorf("build %q: expected JOB#NUMBER", s)
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil || n < 1 {
		return ID{}, fmt.Errorf("build %q: expected a number from 1 after #", s)
	}
	id := ID{JobName(s[:i]), n}
	return id, CheckJobName(id.Job)
}

// Result is how a build, a stage or a step ended. The zero value means that it has not been set.
type Result string

const (
	Success  Result = "SUCCESS"
	Unstable Result = "UNSTABLE"
	Failure  Result = "FAILURE"
	NotBuilt Result = "NOT_BUILT"
	Aborted  Result = "ABORTED"
)

// Worse reports whether r is worse than o, in Jenkins' order SUCCESS < UNSTABLE < FAILURE < NOT_BUILT < ABORTED.
// The zero value is better than all.
func (r Result) Worse(o Result) bool { return r.rank() > o.rank() }

// Worst returns the worse of the two.
func Worst(a, b Result) Result {
	if b.Worse(a) {
		return b
	}
	return a
}

func (r Result) rank() int {
	for i, x := range [...]Result{Success, Unstable, Failure, NotBuilt, Aborted} {
		if r == x {
			return i + 1
		}
	}
	return 0
}

// ParseResult accepts the five names as Jenkins writes them.
func ParseResult(s string) (Result, error) {
	if r := Result(s); r.rank() > 0 {
		return r, nil
	}
	return "", fmt.Errorf("result %q: expected SUCCESS, UNSTABLE, FAILURE, NOT_BUILT or ABORTED", s)
}

// CauseKind tells the farm's own failures from those of the build's work (promise P6: status is honest).
type CauseKind string

const (
	CauseNone  CauseKind = ""      // the build's own work decided the result
	CauseInfra CauseKind = "INFRA" // the farm failed: no disk, agent gone in a retryable step, cloud refused
	CauseLost  CauseKind = "LOST"  // a step's fate is unknown and will stay so; it was not run twice
	CauseUser  CauseKind = "USER"  // a person or a program asked for the end
)

// State is where a build is in its life.
//
//	queued ──start──▶ running ──end──▶ finished
//	   └──────────────abort───────────────▲
type State string

const (
	Queued   State = "queued"   // accepted, on disk, not started: a limit of the job or of the controller holds it
	Running  State = "running"  // its pipeline is being evaluated, or waits for an executor
	Finished State = "finished" // Result is set and will not change
)

// Source says where a job's Jenkinsfile comes from. Exactly one of Script, Git or Dir is set.
type Source struct {
	Script string     `json:"script,omitempty"` // the Jenkinsfile's text itself
	Git    *GitSource `json:"git,omitempty"`    // read from a repository at each build
	Dir    *DirSource `json:"dir,omitempty"`    // a working tree on this machine (outwork run)
}

// GitSource names a Jenkinsfile in a repository.
type GitSource struct {
	URL  string `json:"url"`
	Ref  string `json:"ref,omitempty"`  // branch, tag or commit; "" is the remote's HEAD
	Path string `json:"path,omitempty"` // of the Jenkinsfile in the tree; "" is "Jenkinsfile"
}

// DirSource is a working tree as it stands: `checkout scm` copies it, ignored files left out.
type DirSource struct {
	Path   string `json:"path"`             // absolute path of the tree
	Script string `json:"script,omitempty"` // path of the Jenkinsfile below Path
}

// Job is what is to be built.
type Job struct {
	Name        JobName   `json:"name"`
	Description string    `json:"description,omitempty"`
	Source      Source    `json:"source"`
	Disabled    bool      `json:"disabled,omitempty"`
	Priority    int       `json:"priority,omitempty"` // higher goes first; 0 is normal
	Created     time.Time `json:"created"`
	// Properties are learnt from the options, parameters and triggers of the last run's Jenkinsfile.
	Properties Properties `json:"properties"`
	NextNumber int        `json:"nextNumber"` // number the next build gets; kept by the ledger
}

// Properties are what a pipeline declares about its job. Jenkins applies them at run time, so they hold from the next build on.
type Properties struct {
	Parameters        []Parameter `json:"parameters,omitempty"`
	DisableConcurrent bool        `json:"disableConcurrent,omitempty"`
	AbortPrevious     bool        `json:"abortPrevious,omitempty"` // with DisableConcurrent: a newer build aborts the running one
	KeepBuilds        int         `json:"keepBuilds,omitempty"`    // buildDiscarder numToKeepStr; 0 keeps all
	KeepDays          int         `json:"keepDays,omitempty"`      // buildDiscarder daysToKeepStr; 0 keeps all
	KeepArtifacts     int         `json:"keepArtifacts,omitempty"` // builds whose artifacts are kept; 0 keeps all
}

// Parameter is one declared build parameter.
type Parameter struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"` // string, text, boolean, choice, password
	Default     string   `json:"default,omitempty"`
	Choices     []string `json:"choices,omitempty"` // for choice; the first is the default
	Description string   `json:"description,omitempty"`
}

// Cause says who or what started a build, or ended it.
type Cause struct {
	Kind string `json:"kind"` // user, upstream, timer, scm, rebuild, system
	User string `json:"user,omitempty"`
	Text string `json:"text,omitempty"` // as shown: "Started by user alice"
}

// Build is the record of one build. Times are UTC; a zero time means that it has not happened.
type Build struct {
	ID          ID                `json:"id"`
	State       State             `json:"state"`
	Result      Result            `json:"result,omitempty"` // may be set (and worsen) while running
	CauseKind   CauseKind         `json:"causeKind,omitempty"`
	Message     string            `json:"message,omitempty"` // one line: why it ended as it did
	Cause       Cause             `json:"cause"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Description string            `json:"description,omitempty"`
	DisplayName string            `json:"displayName,omitempty"` // "" is "#number"
	Accepted    time.Time         `json:"accepted"`
	Started     time.Time         `json:"started,omitzero"`
	Ended       time.Time         `json:"ended,omitzero"`
	AbortBy     string            `json:"abortBy,omitempty"` // who asked for the abort; "" nobody
}

// Stage is one stage of a build as the page shows it. Stages form a tree by Parent.
type Stage struct {
	ID      string    `json:"id"`               // the step address of the stage: stable across resume
	Parent  string    `json:"parent,omitempty"` // "" at the top
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`  // stage, parallel (a branch), post
	State   string    `json:"state"` // running, finished, skipped
	Result  Result    `json:"result,omitempty"`
	Reason  string    `json:"reason,omitempty"` // why it was skipped, why it failed
	Node    string    `json:"node,omitempty"`   // node of the executor it ran on, if one
	Order   int       `json:"order"`            // position among all stages of the build, in order of start
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Artifact is a file that a build archived. Its bytes are in the cas.
type Artifact struct {
	Path   string `json:"path"`   // validated, relative, slashes
	Digest string `json:"digest"` // cas.Digest's String
	Size   int64  `json:"size"`
	Mode   uint32 `json:"mode,omitempty"` // permission bits
}

// Filter chooses builds for List. Zero fields do not restrict.
type Filter struct {
	Job    JobName
	States []State
	Before int // numbers below this one, within one job; 0 from the newest
	Limit  int // 0 is 100
}

// Store is what keeps the records. Every write is durable when it returns. Unknown names answer a fault.NotFound error.
type Store interface {
	PutJob(ctx context.Context, j Job, create bool) error // create: fault.Conflict when it exists
	Job(ctx context.Context, name JobName) (Job, error)
	Jobs(ctx context.Context) ([]Job, error)         // by name
	DeleteJob(ctx context.Context, n JobName) error  // with its builds' rows; fault.Conflict while one is unfinished
	Accept(ctx context.Context, b Build) (ID, error) // gives the next number; State must be Queued
	Build(ctx context.Context, id ID) (Build, error)
	Builds(ctx context.Context, f Filter) ([]Build, error) // newest first (by acceptance)
	// Update changes a build under the row's own transaction; change may be called again after a conflict and must be pure.
	// A Finished build cannot be changed back: fault.Conflict.
	Update(ctx context.Context, id ID, change func(*Build) error) (Build, error)
	DeleteBuild(ctx context.Context, id ID) error
}

// Details keeps what hangs on a build. Same rules as Store.
type Details interface {
	PutStage(ctx context.Context, id ID, s Stage) error // insert or replace by Stage.ID; need not be durable at return
	Stages(ctx context.Context, id ID) ([]Stage, error) // by Order
	PutArtifacts(ctx context.Context, id ID, as []Artifact) error
	Artifacts(ctx context.Context, id ID) ([]Artifact, error) // by path
	// Stash keeps what a build stashed under a name: the digest of a tree. A second stash of the name replaces the first.
	PutStash(ctx context.Context, id ID, name, digest string) error
	Stash(ctx context.Context, id ID, name string) (digest string, err error)
}
