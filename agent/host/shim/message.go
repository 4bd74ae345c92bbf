// Package shim is the small process that owns the process tree of one lease's steps and outlives the agent.
//
// The agent starts its own binary again in a session of its own; Main recognises that and never returns. The shim listens on
// a unix socket (on Windows: a port of the loopback interface, where both sides prove by TLS that they hold a key which only the
// owner can read) and serves one agent connection at a time: a new connection replaces the old one, and nothing that runs
// depends on any. It serves one lease, then (when it can prove that no process is left) it is free for the next.
//
//	idle ──Lease──▶ leased ──Close──▶ closing ──no process left──▶ idle ──the agent leaves, or Quit──▶ (gone)
//	                  └──the deadline passes──▶ expired ──Close──▶ closing
//
// # What it does for a step
//
// Output goes through a pipe that the shim drains into the step's spool. A file handed to the process would save the copy,
// but a script that opens /dev/stderr for writing would then truncate its own log; and the pipe lets a full disk or a full
// quota drop bytes, counted, instead of failing or blocking the step. The exit has its room on disk before the start.
//
// # What it leaves to others
//
// It knows no epochs, workspaces, environments or policies: the agent decides and writes the claim to disk first. Exits are
// on disk before they are told, so every message to the agent may be lost.
package shim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Proto is the version of the messages. It grows when an old shim could not serve a new agent; fields may be added freely.
const Proto = 1

// maxMessage bounds one message: an environment and arguments at the kernel's own limit fit well.
const maxMessage = 16 << 20

// Names of the messages. The first group goes to the shim, the second to the agent.
const (
	KindLease = "lease" // Lease, Folder, Deadline, Env: serve this lease
	KindStart = "start" // Step, Start
	KindStop  = "stop"  // Step, Grace, Reason
	KindWatch = "watch" // Step, Size: say once when the spool is longer than Size
	KindRenew = "renew" // Deadline
	KindClose = "close" // Grace, Reason: end all that runs, then say closed
	KindQuit  = "quit"  // end, when idle

	KindHello   = "hello"   // first on every connection: Proto, PID, Lease, Running, Expired
	KindExited  = "exited"  // Step, Exit
	KindGrown   = "grown"   // Step: answers watch
	KindExpired = "expired" // the deadline passed; what ran has been told to end
	KindClosed  = "closed"  // no process of the lease is left
)

// Message is one frame: four bytes of length, then this as JSON. Each kind uses the fields named beside it.
type Message struct {
	Kind     string        `json:"k"`
	Proto    int           `json:"proto,omitempty"`
	PID      int           `json:"pid,omitempty"`
	Lease    string        `json:"lease,omitempty"`    // the lease's key, as in Cookie
	Folder   string        `json:"folder,omitempty"`   // the lease's
	Deadline int64         `json:"deadline,omitempty"` // by Now; 0 is none
	Env      []string      `json:"env,omitempty"`      // what the lease's steps share
	Step     string        `json:"step,omitempty"`     // the step's key, as in Cookie
	Start    *Start        `json:"start,omitempty"`
	Grace    time.Duration `json:"grace,omitempty"` // negative is no grace
	Reason   string        `json:"reason,omitempty"`
	Size     int64         `json:"size,omitempty"`
	Exit     *Exit         `json:"exit,omitempty"`
	Running  []string      `json:"running,omitempty"`
	Expired  bool          `json:"expired,omitempty"`
}

// Start is a process to run.
type Start struct {
	File    string   `json:"file"` // the step's file (MakeStepFile)
	Path    string   `json:"path"` // of the program; no PATH lookup is done
	Argv    []string `json:"argv"`
	Line    string   `json:"line,omitempty"` // on Windows, the command line, where it is not that of Argv
	Dir     string   `json:"dir"`
	Env     []string `json:"env"`
	Over    bool     `json:"over,omitempty"`    // Env is laid over that of the lease
	Limit   int64    `json:"limit"`             // bytes of output kept
	Capture string   `json:"capture,omitempty"` // the file that takes stdout instead of the output
	Stdout  int64    `json:"stdout,omitempty"`  // bytes of stdout kept, with Capture
}

// ExpiredFile stands in the lease's folder once its deadline has passed.
const ExpiredFile = "expired"

// Cookies in the environment of every process of a step, so that it can be found wherever it went.
const (
	LeaseCookie = "OUTWORK_LEASE"
	StepCookie  = "OUTWORK_STEP"
)

// Exit is the end of a step as the exit file keeps it.
type Exit struct {
	Code    int       `json:"code"`
	Signal  string    `json:"signal,omitempty"`
	Stopped bool      `json:"stopped,omitempty"`
	Lost    bool      `json:"lost,omitempty"`
	Reason  string    `json:"reason,omitempty"` // at most maxReason bytes
	Output  int64     `json:"output"`
	Dropped int64     `json:"dropped,omitempty"`
	Stdout  int64     `json:"stdout,omitempty"` // bytes of captured stdout
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Write sends one message in one write.
func Write(w io.Writer, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("shim message %s: %w", m.Kind, err)
	}
	if len(body) > maxMessage {
		return fmt.Errorf("shim message %s has %d bytes, over the limit of %d", m.Kind, len(body), maxMessage)
	}
	frame := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// Read receives one message. io.EOF means that the other side left between messages.
func Read(r io.Reader) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessage {
		return Message{}, fmt.Errorf("shim message of %d bytes, over the limit of %d", n, maxMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Message{}, fmt.Errorf("shim message: %w", err)
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return Message{}, fmt.Errorf("shim message: %w", err)
	}
	return m, nil
}
