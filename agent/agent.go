// Package agent says what a machine can do for the controller: the Machine interface and its messages.
//
// agent/host is the Machine that is this computer; agent/remote is the Machine at the far end of a link; agent/serve is the
// program at the far end. Both Machines pass agent/agenttest. A Machine decides nothing: it never schedules, and it acts
// only within leases that the controller opened on it. All methods may be called concurrently.
//
// # Leases and steps
//
// The controller opens a lease (Open) and gets a workspace. Within it, it starts steps (Start), reads their output by offset
// (Follow) and forgets them when their end is on its own disk (Forget). Close ends the lease: what still runs is killed, the
// workspace's name is free again. Leases and steps are on the agent's disk: they survive the agent, not the machine.
//
//	Start ──▶ running ──process ends──▶ ended ──Forget──▶ (gone)
//	             └── Stop: TERM, grace, KILL ──▶ ended
//
// # Fencing
//
// Every call carries the lease's epoch. The highest epoch seen of an item is on disk; a call with a lower one changes nothing
// and fails with fault.Stale. A higher epoch kills and closes what the lower one left.
//
// # Time
//
// A Kill lease ends on the machine before the controller gives its item out again, however late a message arrives, whether it
// arrives once, twice or after a newer one, and however long either side was stopped:
//
//   - Open gives the lease its TTL from when Open is heard. No step is started before Open was answered.
//   - Renew gives it its TTL from a Heard that an earlier Renew was answered with: the controller had that answer before it
//     sent this Renew.
//   - The controller counts TTL and a grace from when it last sent a Renew that names the lease, or had an answer about it.
//
// So what the machine counts from is never later than what the controller counts from. The grace is left for what is not in
// that sum: the time from TERM to KILL, and two clocks that do not run alike.
package agent

import (
	"context"
	"io/fs"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// Lease names one attempt of one queue item. Item is at most 512 bytes; Epoch counts from 1.
type Lease struct {
	Item  string `json:"item"`
	Epoch uint64 `json:"epoch"`
}

// Policy says what happens to a lease's steps when the agent loses the controller.
type Policy string

const (
	// Hold lets steps run on to their end; their results wait on disk. For work that must never be started twice.
	Hold Policy = "hold"
	// Kill ends all steps when the lease has not been renewed for its TTL, so that the controller may give the item out
	// again after TTL plus grace; see Time above. With a heartbeat every tenth second and a TTL of thirty, steps are killed
	// twenty to thirty seconds after the last Renew arrived. The shim keeps this deadline, by the machine's monotonic clock, even
	// while the agent is dead.
	Kill Policy = "kill"
)

// Heard is when a machine heard a Renew, by a clock of its own that no one else can read. 0 is never. It means something on
// the connection only on which it was answered.
type Heard int64

// OpenRequest opens a lease, or finds it open already: Open is idempotent by lease.
type OpenRequest struct {
	Lease     Lease
	Job       string            // names the workspace folder: workspace/JOB, JOB@2 when it is in use, …
	Workspace string            // when set, this folder instead (customWorkspace); relative to the remote root, or absolute
	Build     string            // for people: "job#12"
	Env       map[string]string // added to the environment of every step of the lease
	Policy    Policy            // "" is Hold
	TTL       time.Duration     // of a Kill lease, renewed by Renew; 0 is 30 s
}

// Workspace is where the steps of a lease run.
type Workspace struct {
	Path string // absolute, in the machine's own notation
	Tmp  string // a sibling folder, emptied at Close: PATH@tmp
	Home string // where HOME points for the steps
	// Tools is the folder of tools as it was at Open, absolute; "" when the machine has none. OUTWORK_TOOLS says it to the steps. See
	// Toolkeeper.
	Tools string
}

// StepID names a step within its lease: the step's address in the pipeline. At most 512 bytes.
type StepID string

// StartRequest starts one process. Start is idempotent by (Lease, Step): the second call changes nothing and succeeds,
// whether the process still runs or has ended. When Start returns nil the start is on the agent's disk.
type StartRequest struct {
	Lease Lease
	Step  StepID
	// Script is run by Interpreter: "sh" (default; "#!" lines are honoured; -xe otherwise), "bat", "powershell", "pwsh".
	// An interpreter that the machine does not have fails with fault.Invalid.
	Interpreter string
	Script      []byte
	// Argv runs a program without any shell; exactly one of Script and Argv is set.
	Argv []string
	Dir  string            // relative to the workspace, or absolute; created when missing
	Env  map[string]string // over the machine's and the lease's environment; NAME+X (PATH+EXTRA) prepends as in Jenkins' withEnv
	// Capture keeps stdout out of the output and returns it in Exit.Stdout (returnStdout). stderr stays in the output.
	Capture bool
	// Encoding is kept for later; output is passed on as it is.
	MaxOutput int64 // bytes of output kept; 0 is the agent's default; the rest is counted in Exit.Dropped
}

// Output is a piece of a step's output. Offset counts the step's bytes from 0.
type Output struct {
	Offset int64
	Data   []byte // never more than 64 KiB; valid only during the call
}

// Exit is the end of a step's process.
type Exit struct {
	Code    int    // exit code; 128+n for signal n; -1 when Lost
	Signal  string // "killed", "terminated", … when a signal ended it
	Stopped bool   // Stop (or the lease's end) was asked for before it ended
	Lost    bool   // the machine cannot say how it ended: it was rebooted, the shim was killed
	Reason  string // for people, when Lost or Stopped
	Stdout  []byte // with Capture; at most 16 MiB
	Output  int64  // length of the output in bytes, all of which Follow has handed out
	Dropped int64  // bytes that were not kept (MaxOutput, disk full)
	Ended   time.Time
	Started time.Time
}

// StopRequest asks a step's whole process tree to end: TERM now, KILL after Grace. Stop returns at once; Follow tells the end.
type StopRequest struct {
	Lease  Lease
	Step   StepID
	Grace  time.Duration // 0 is 20 s; negative is KILL at once
	Reason string        // comes back in Exit.Reason
}

// Leases open and close work on a machine.
type Leases interface {
	Open(ctx context.Context, r OpenRequest) (Workspace, error)
	// Renew says that the controller is alive and still holds these leases. It is also the heartbeat. Its answer lists the
	// leases that are open on the machine, so that the controller can close what it no longer knows, says when this Renew
	// was heard, and how the machine feels. feels is zero where that is not known: an older agent.
	//
	// answered is that moment of the newest Renew on this connection whose answer the caller had before it chose held. Each Kill
	// lease in held lives until its TTL has passed from then, or longer if it did already. With 0 nothing is prolonged: that is
	// the first Renew of a connection, after whose answer the next should follow at once.
	Renew(ctx context.Context, held []Lease, answered Heard) (open []Lease, heard Heard, feels Vitals, err error)
	// Close kills what still runs in the lease and frees its workspace. Closing what is not open is not an error.
	Close(ctx context.Context, l Lease) error
}

// Steps run processes within a lease.
type Steps interface {
	Start(ctx context.Context, r StartRequest) error
	// Follow calls sink with the output from the byte at offset on, in order, as it is written, and returns when the process
	// has ended and all has been handed out. fault.NotFound when there is no such step. An error from sink is returned.
	Follow(ctx context.Context, l Lease, s StepID, offset int64, sink func(Output) error) (Exit, error)
	Stop(ctx context.Context, r StopRequest) error
	// Forget drops the step's spool and result. After it, Start with the same id is refused with fault.Conflict while the lease lives.
	Forget(ctx context.Context, l Lease, s StepID) error
}

// FileInfo describes one file below a workspace.
type FileInfo struct {
	Path    string // relative to the directory asked for, slashes
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
}

// Files reach into the workspace of a lease. A relative path stays below the workspace (os.Root: no .. and no link leads out);
// an absolute path is taken as it is, like the steps of the lease could. A missing file is fault.NotFound.
type Files interface {
	ReadFile(ctx context.Context, l Lease, path string, limit int64) ([]byte, error) // fault.Exhausted over limit; 0 is 16 MiB
	WriteFile(ctx context.Context, l Lease, path string, data []byte, mode fs.FileMode) error
	Stat(ctx context.Context, l Lease, path string) (FileInfo, error)
	Remove(ctx context.Context, l Lease, path string) error // a tree; the workspace itself is emptied, not removed; missing is no error
	// Glob lists files (not folders) below dir by Ant patterns, comma separated: **/*.jar, build/. DefaultExcludes drops
	// version-control and backup files as Ant does.
	Glob(ctx context.Context, r GlobRequest) ([]FileInfo, error)
}

// GlobRequest chooses files as Ant's fileset does. Source: Apache Ant manual, "Directory-based tasks".
type GlobRequest struct {
	Lease           Lease
	Dir             string // relative to the workspace, or absolute
	Includes        string // "" is **
	Excludes        string
	DefaultExcludes bool
	CaseInsensitive bool
}

// Trees move many files to and from the cas, only the missing blobs.
type Trees interface {
	// Pack stores the chosen files and returns the digest of their root Directory (REAPI encoding).
	Pack(ctx context.Context, r GlobRequest) (Packed, error)
	// Unpack writes a tree below dir, over what is there. Links and paths that would lead out are refused.
	Unpack(ctx context.Context, l Lease, root cas.Digest, dir string) error
}

// Packed is the result of Pack.
type Packed struct {
	Root     cas.Digest
	Files    []PackedFile // by path
	Uploaded int64        // bytes that had to move
}

// PackedFile is one file of a packed tree.
type PackedFile struct {
	Path   string
	Digest cas.Digest
	Mode   fs.FileMode
}

// Description is what a machine says of itself when it connects.
type Description struct {
	Version  string   `json:"version"` // Outwork's
	OS       string   `json:"os"`      // runtime.GOOS
	Arch     string   `json:"arch"`    // runtime.GOARCH
	Hostname string   `json:"hostname"`
	CPUs     int      `json:"cpus"`
	Root     string   `json:"root"` // the agent's folder, absolute
	Boot     string   `json:"boot"` // changes when the machine restarts
	PID      int      `json:"pid"`
	Shells   []string `json:"shells"` // interpreters it has: sh, bat, powershell, pwsh
	Git      bool     `json:"git"`    // a git program is on PATH
	// Env is what every step finds in its environment, but for what differs from lease to lease (HOME, TMPDIR). Nothing secret.
	Env map[string]string `json:"env,omitempty"`
}

// Machine is all a machine can do.
type Machine interface {
	Describe(ctx context.Context) (Description, error)
	Leases
	Steps
	Files
	Trees
}
